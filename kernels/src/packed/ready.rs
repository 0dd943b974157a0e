//! Panels as a task multiplies them: as packed, unpacked to bytes, or for the matrix unit.
//!
//! Invariant: in whatever form panels are read, the outputs are the same, bit for bit.

use super::{
    Format, GROUP, Matrix,
    activations::{BLOCK, View},
    group::{Group, Packed, Unpacked},
    panels::Panels,
    product::FEW_ROWS,
    sinks::Sink,
    tile::{NR, Tiles},
};
#[cfg(target_arch = "x86_64")]
use super::{activations::BAND, amx, amx_bf16};
#[cfg(target_arch = "x86_64")]
use crate::simd::amx::Configured;

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
        let from = match form {
            // SAFETY: the caller vouches (so below).
            Form::Unpacked => unsafe { unpack_all::<D>(format, from, groups, area) },
            #[cfg(target_arch = "x86_64")]
            Form::Tiles(_) => unsafe { amx::unpack_all(format, from, groups, area) },
            _ => from,
        };
        Self { format, first, from, form }
    }

    /// Multiplies `rows` (the first, and how many).
    ///
    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    pub(super) unsafe fn multiply<D: Tiles, S: Sink>(
        &self,
        x: &View,
        rows: (usize, usize),
        sink: &mut S,
    ) {
        // SAFETY: the caller vouches.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if D::WIDE && matches!(self.form, Form::Tiles(_)) {
                return self.bands(x, rows, sink);
            }
            match (self.format, matches!(self.form, Form::Unpacked)) {
                (Format::Bf16, _) => self.bf16::<D, S>(x, rows, sink),
                (Format::Int16, _) => self.int16::<D, S>(x, rows, sink),
                (Format::Q4, false) => self.few::<D, Packed<4, false>, S>(x, rows, sink),
                (Format::Q4Min, false) => self.few::<D, Packed<4, true>, S>(x, rows, sink),
                (Format::Q5, false) => self.few::<D, Packed<5, false>, S>(x, rows, sink),
                (Format::Q5Min, false) => self.few::<D, Packed<5, true>, S>(x, rows, sink),
                (Format::Q6, false) => self.few::<D, Packed<6, false>, S>(x, rows, sink),
                (Format::Q8, false) => self.few::<D, Packed<8, false>, S>(x, rows, sink),
                // Unpacked, fewer bits look like more: only the zero point differs.
                (Format::Q4, true) => self.many::<D, Packed<4, false>, S>(x, rows, sink),
                (Format::Q4Min, true) => self.many::<D, Packed<4, true>, S>(x, rows, sink),
                (Format::Q5, true) => self.many::<D, Packed<5, false>, S>(x, rows, sink),
                (Format::Q5Min, true) => self.many::<D, Packed<5, true>, S>(x, rows, sink),
                (Format::Q6, true) => self.many::<D, Packed<6, false>, S>(x, rows, sink),
                (Format::Q8, true) => self.many::<D, Packed<8, false>, S>(x, rows, sink),
            }
        }
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
                sink.take((first + row, self.first), &band[..BAND.min(rows - row)]);
            }
        }
    }

    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    unsafe fn bf16<D: Tiles, S: Sink>(&self, x: &View, rows: (usize, usize), sink: &mut S) {
        #[cfg(target_arch = "x86_64")]
        if D::WIDE {
            // SAFETY: the caller vouches; chunks, and parts of them, begin with a tile.
            return unsafe { amx_bf16::multiply((self.from, self.first), x, rows, sink) };
        }
        let _ = (x, rows, sink);
        unreachable!("only the matrix unit has this format");
    }

    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    unsafe fn few<D: Tiles, G: Group, S: Sink>(
        &self,
        x: &View,
        (mut row, rows): (usize, usize),
        sink: &mut S,
    ) {
        let (end, mut four) = (row + rows, [[0.0; BLOCK]; 4]);
        // SAFETY: the caller vouches.
        unsafe {
            while row + 4 <= end {
                D::quantized::<G, 4>(self.from, x, row, &mut four);
                sink.take((row, self.first), &four);
                row += 4;
            }
            let (two, _) = four.split_first_chunk_mut::<2>().expect("four");
            if row + 2 <= end {
                D::quantized::<G, 2>(self.from, x, row, two);
                sink.take((row, self.first), two);
                row += 2;
            }
            let (one, _) = two.split_first_chunk_mut::<1>().expect("two");
            if row < end {
                D::quantized::<G, 1>(self.from, x, row, one);
                sink.take((row, self.first), one);
            }
        }
    }

    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    unsafe fn many<D: Tiles, G: Group, S: Sink>(
        &self,
        x: &View,
        (mut row, rows): (usize, usize),
        sink: &mut S,
    ) {
        let (end, mut six) = (row + rows, [[0.0; BLOCK]; 6]);
        // SAFETY: the caller vouches.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            while super::part::folds_zero::<D, G>() && row + 6 <= end {
                super::tile::six_folded::<G>(self.from, x, row, &mut six);
                sink.take((row, self.first), &six);
                row += 6;
            }
            while D::WIDE && row + 6 <= end {
                D::quantized::<Unpacked<G>, 6>(self.from, x, row, &mut six);
                sink.take((row, self.first), &six);
                row += 6;
            }
            self.few::<D, Unpacked<G>, S>(x, (row, end - row), sink);
        }
    }

    /// # Safety
    /// As [`super::panels::product_panels`].
    #[inline(always)]
    unsafe fn int16<D: Tiles, S: Sink>(
        &self,
        x: &View,
        (mut row, rows): (usize, usize),
        sink: &mut S,
    ) {
        let (end, mut six) = (row + rows, [[0.0; BLOCK]; 6]);
        // SAFETY: the caller vouches.
        unsafe {
            while D::WIDE && row + 6 <= end {
                D::int16::<6>(self.from, x, row, &mut six);
                sink.take((row, self.first), &six);
                row += 6;
            }
            #[cfg(target_arch = "x86_64")]
            while D::AVX2 && row + 6 <= end {
                super::tile::six_int16(self.from, x, row, &mut six);
                sink.take((row, self.first), &six);
                row += 6;
            }
            let (four, _) = six.split_first_chunk_mut::<4>().expect("six");
            if row + 4 <= end {
                D::int16::<4>(self.from, x, row, four);
                sink.take((row, self.first), four);
                row += 4;
            }
            let (two, _) = four.split_first_chunk_mut::<2>().expect("four");
            while row + 2 <= end {
                D::int16::<2>(self.from, x, row, two);
                sink.take((row, self.first), two);
                row += 2;
            }
            let (one, _) = two.split_first_chunk_mut::<1>().expect("two");
            if row < end {
                D::int16::<1>(self.from, x, row, one);
                sink.take((row, self.first), one);
            }
        }
    }
}

/// Unpacks panels to bytes.
///
/// # Safety
/// As [`super::panels::product_panels`].
#[inline(always)]
unsafe fn unpack_all<D: Tiles>(
    format: Format,
    from: [*const u8; NR],
    groups: usize,
    area: *mut u8,
) -> [*const u8; NR] {
    // SAFETY: the caller vouches.
    unsafe {
        match format {
            Format::Q4 => unpack::<D, Packed<4, false>>(from, groups, area),
            Format::Q4Min => unpack::<D, Packed<4, true>>(from, groups, area),
            Format::Q5 => unpack::<D, Packed<5, false>>(from, groups, area),
            Format::Q5Min => unpack::<D, Packed<5, true>>(from, groups, area),
            Format::Q6 => unpack::<D, Packed<6, false>>(from, groups, area),
            Format::Q8 => unpack::<D, Packed<8, false>>(from, groups, area),
            Format::Int16 | Format::Bf16 => from,
        }
    }
}

/// Unpacks `NR` panels into `area`, one after another, and says where each begins.
///
/// # Safety
/// As [`super::panels::product_panels`].
#[inline(always)]
unsafe fn unpack<D: Tiles, G: Group>(
    from: [*const u8; NR],
    groups: usize,
    area: *mut u8,
) -> [*const u8; NR] {
    let panel_bytes = groups * Unpacked::<G>::BYTES;
    // SAFETY: the caller vouches.
    unsafe {
        for (n, from) in from.iter().enumerate() {
            for g in 0..groups {
                let to = area.add(n * panel_bytes + g * Unpacked::<G>::BYTES);
                Unpacked::<G>::unpack::<D>(from.add(g * G::BYTES), to);
            }
        }
        std::array::from_fn(|n| area.add(n * panel_bytes).cast_const())
    }
}
