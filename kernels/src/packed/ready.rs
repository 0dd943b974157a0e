//! Panels as a task multiplies them: as packed, unpacked to bytes, or for the matrix unit.
//!
//! Invariant: in whatever form panels are read, the outputs are the same, bit for bit.

use super::{
    Format, GROUP, Matrix,
    activations::{BLOCK, View},
    group::{Group, Packed, Unpacked},
    panels::Panels,
    part::folds_zero,
    product::FEW_ROWS,
    sinks::Sink,
    tile::{MAX_ROWS, NR, Tile, Tiles, Unpack},
};
use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::{activations::BAND, amx, amx_bf16};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx512, amx::Configured};

/// How a task reads its panels.
pub(super) enum Form {
    /// As they are: few rows would not pay for more.
    Packed,
    /// As bytes.
    Unpacked,
    /// By the matrix unit, which is set up while this lives.
    #[cfg(target_arch = "x86_64")]
    Tiles(#[allow(dead_code, reason = "its end matters")] Configured),
    /// The same, of bfloat16 as packed.
    #[cfg(target_arch = "x86_64")]
    Bf16Tiles(#[allow(dead_code, reason = "its end matters")] Configured),
}

impl Form {
    /// # Safety
    /// As [`super::panels::product_panels`].
    pub(super) unsafe fn new(format: Format, panels: &Panels) -> Self {
        #[cfg(target_arch = "x86_64")]
        if format == Format::Bf16 {
            // SAFETY: the caller vouches (only the matrix unit has this format); the task ends
            // before the thread has another (so below).
            return Self::Bf16Tiles(unsafe { amx_bf16::configure(panels.rows) });
        } else if panels.on_tiles && panels.rows > FEW_ROWS && amx::takes(format) {
            // SAFETY: as above.
            return Self::Tiles(unsafe { amx::configure() });
        }
        if panels.rows <= FEW_ROWS || format == Format::Int16 {
            return Self::Packed;
        }
        Self::Unpacked
    }
}

/// `NR` panels ready to be multiplied with many rows.
pub(super) struct Ready<'a> {
    format: Format,
    first: usize,
    from: [*const u8; NR],
    form: &'a Form,
    tiles: &'static [(usize, Tile)],
}

impl<'a> Ready<'a> {
    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    pub(super) unsafe fn new<D: Tiles>(
        weight: &Matrix<'_>,
        first: usize,
        form: &'a Form,
        area: *mut u8,
    ) -> Self {
        // An odd last panel is computed twice and stored once.
        let (last, bytes) = (weight.num_panels() - 1, weight.panel_bytes());
        let at = |n: usize| weight.data.as_ptr().wrapping_add(last.min(first + n) * bytes);
        let from: [*const u8; NR] = std::array::from_fn(at);
        let (format, groups) = (weight.format, weight.cols.div_ceil(GROUP));
        let steps = Steps::of::<D>(format);
        let from = match form {
            // SAFETY: the caller vouches (so below).
            Form::Unpacked => unsafe { (steps.unpack)(from, groups, area) },
            #[cfg(target_arch = "x86_64")]
            Form::Tiles(_) => unsafe { amx::unpack_all(format, from, groups, area) },
            _ => from,
        };
        let tiles = if matches!(form, Form::Unpacked) { steps.unpacked } else { steps.packed };
        Self { format, first, from, form, tiles }
    }

    /// Multiplies `rows` (the first, and how many).
    ///
    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    pub(super) unsafe fn multiply<D: Tiles, S: Sink>(
        &self,
        x: &View,
        (mut row, rows): (usize, usize),
        sink: &mut S,
    ) {
        #[cfg(target_arch = "x86_64")]
        if D::WIDE {
            // SAFETY: the caller vouches; chunks, and parts of them, begin with a tile.
            match self.form {
                Form::Tiles(_) => return unsafe { self.bands(x, (row, rows), sink) },
                Form::Bf16Tiles(_) => {
                    let panels = (self.from, self.first);
                    return unsafe { amx_bf16::multiply(panels, x, (row, rows), sink) };
                }
                _ => {}
            }
        }
        let (end, mut outputs) = (row + rows, [[0.0; BLOCK]; MAX_ROWS]);
        for &(num, tile) in self.tiles {
            while row + num <= end {
                // SAFETY: the caller vouches.
                unsafe {
                    tile(self.from, x, row, &mut outputs);
                    sink.take::<D::S>((row, self.first), &outputs[..num]);
                }
                row += num;
            }
        }
        debug_assert_eq!(row, end, "{:?} is for the matrix unit alone", self.format);
    }

    /// # Safety
    /// As [`super::panels::product_panels`].
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn bands<S: Sink>(&self, x: &View, (first, rows): (usize, usize), sink: &mut S) {
        let mut band = [[0.0; BLOCK]; BAND];
        for row in (0..rows).step_by(BAND) {
            // SAFETY: the caller vouches; bands are kept whole, and chunks begin with one.
            unsafe {
                amx::band(self.format, self.from, x, first + row, &mut band);
                sink.take::<Avx512>((first + row, self.first), &band[..BAND.min(rows - row)]);
            }
        }
    }
}

/// How panels of a format are multiplied: by functions, since one body for all formats would be
/// more than a compiler is quick with, and each is called for thousands of products.
struct Steps {
    unpack: Unpack,
    /// Of panels as they are: rows of a tile, most first, and the tile.
    packed: &'static [(usize, Tile)],
    /// Of panels as bytes.
    unpacked: &'static [(usize, Tile)],
}

impl Steps {
    fn of<D: Tiles>(format: Format) -> &'static Self {
        match format {
            // Unpacked, fewer bits look like more: only the zero point differs.
            Format::Q4 => const { &Self::quantized::<D, Packed<4, false>>() },
            Format::Q4Min => const { &Self::quantized::<D, Packed<4, true>>() },
            Format::Q5 => const { &Self::quantized::<D, Packed<5, false>>() },
            Format::Q5Min => const { &Self::quantized::<D, Packed<5, true>>() },
            Format::Q6 => const { &Self::quantized::<D, Packed<6, false>>() },
            Format::Q8 => const { &Self::quantized::<D, Packed<8, false>>() },
            Format::Int16 => const { &Self::int16::<D>() },
            Format::Bf16 => const { &Self { unpack: as_they_are, packed: &[], unpacked: &[] } },
        }
    }

    const fn quantized<D: Tiles, G: Group>() -> Self {
        let six = D::WIDE || folds_zero::<D, G>();
        Self {
            unpack: D::unpack::<G>,
            packed: Quantized::<D, G>::FEW,
            unpacked: if six {
                Quantized::<D, Unpacked<G>>::MANY
            } else {
                Quantized::<D, Unpacked<G>>::FEW
            },
        }
    }

    const fn int16<D: Tiles>() -> Self {
        let six = D::WIDE || D::AVX2;
        let packed = if six { Int16::<D>::MANY } else { Int16::<D>::FEW };
        Self { unpack: as_they_are, packed, unpacked: &[] }
    }
}

struct Quantized<D, G>(PhantomData<(D, G)>);

impl<D: Tiles, G: Group> Quantized<D, G> {
    const FEW: &[(usize, Tile)] =
        &[(4, D::quantized::<G, 4>), (2, D::quantized::<G, 2>), (1, D::quantized::<G, 1>)];
    const MANY: &[(usize, Tile)] = &[
        (6, D::quantized::<G, 6>),
        (4, D::quantized::<G, 4>),
        (2, D::quantized::<G, 2>),
        (1, D::quantized::<G, 1>),
    ];
}

struct Int16<D>(PhantomData<D>);

impl<D: Tiles> Int16<D> {
    const FEW: &[(usize, Tile)] = &[(4, D::int16::<4>), (2, D::int16::<2>), (1, D::int16::<1>)];
    const MANY: &[(usize, Tile)] =
        &[(6, D::int16::<6>), (4, D::int16::<4>), (2, D::int16::<2>), (1, D::int16::<1>)];
}

/// # Safety
/// None.
unsafe fn as_they_are(from: [*const u8; NR], _groups: usize, _area: *mut u8) -> [*const u8; NR] {
    from
}
