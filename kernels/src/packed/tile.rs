//! Register tiles: `MR` rows of activations times `NR` panels.
//!
//! Written without closures: one that is not inlined is compiled without the instruction set.
//! Invariant: each output adds the same numbers in the same order whatever `MR` is.

use super::{
    Format, GROUP,
    activations::{BAND, BLOCK, View, slot},
    group::Group,
    part,
};
#[cfg(target_arch = "x86_64")]
use super::{avx2_int16, avx2_nibbles};
use crate::simd::{Dot, LANES, LINE, Portable, Simd};

/// Pairs of inputs in a block.
const PAIRS: usize = BLOCK / 2;
/// Panels of a tile.
pub(super) const NR: usize = 2;
/// A row of a tile.
pub(super) type Outputs = [f32; NR * LANES];

/// Tiles as functions of their own, each compiled for its instruction set: inlined into one
/// another, they are too much for the compiler.
pub(super) trait Tiles: Dot {
    /// `to` = `MR` rows from `row` times the panels that begin at `panels`, groups of `G`.
    ///
    /// # Safety
    /// Rows and panels are within bounds, the form of activations is kept, and the machine has
    /// the instruction set.
    unsafe fn quantized<G: Group, const MR: usize>(
        panels: [*const u8; NR],
        x: &View,
        row: usize,
        to: &mut [Outputs; MR],
    );

    /// The same for panels of 16-bit integers.
    ///
    /// # Safety
    /// As [`quantized`](Self::quantized).
    unsafe fn int16<const MR: usize>(
        panels: [*const u8; NR],
        x: &View,
        row: usize,
        to: &mut [Outputs; MR],
    );
}

/// `six` = six rows of one band times panels of 16-bit integers, by AVX2.
///
/// # Safety
/// As [`Tiles::int16`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn six_int16(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
    six: &mut [Outputs; 6],
) {
    for (n, panel) in panels.into_iter().enumerate() {
        // SAFETY: the caller vouches.
        unsafe { avx2_int16::six_rows(panel, x, row, (&mut *six, n * LANES)) };
    }
}

/// `six` = six rows of one band times panels unpacked from four bits, groups of `G`.
///
/// # Safety
/// As [`Tiles::quantized`]; [`part::folds_zero`] is true of `D` and `G`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn six_folded<G: Group>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
    six: &mut [Outputs; 6],
) {
    for (n, panel) in panels.into_iter().enumerate() {
        // SAFETY: the caller vouches; only AVX2 folds.
        unsafe {
            let to = (&mut *six, n * LANES);
            if G::MIN {
                avx2_nibbles::six_rows::<true>(panel, x, row, to);
            } else {
                avx2_nibbles::six_rows::<false>(panel, x, row, to);
            }
        }
    }
}

macro_rules! tiles_on {
    ($dot:ty $(, $feature:literal)?) => {
        impl Tiles for $dot {
            $(#[target_feature(enable = $feature)])?
            #[inline(never)]
            unsafe fn quantized<G: Group, const MR: usize>(
                panels: [*const u8; NR],
                x: &View,
                row: usize,
                to: &mut [Outputs; MR],
            ) {
                // SAFETY: the caller vouches.
                unsafe { store::<Self, MR>(&tile::<Self, G, MR>(panels, x, row), to) }
            }

            $(#[target_feature(enable = $feature)])?
            #[inline(never)]
            unsafe fn int16<const MR: usize>(
                panels: [*const u8; NR],
                x: &View,
                row: usize,
                to: &mut [Outputs; MR],
            ) {
                // SAFETY: the caller vouches.
                unsafe { store::<Self, MR>(&tile_int16::<Self, MR>(panels, x, row), to) }
            }
        }
    };
}

tiles_on!(Portable);
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::simd::{Dot256, Dot512};

    tiles_on!(Dot256<false>, "avx2,fma,f16c");
    tiles_on!(Dot256<true>, "avx2,fma,f16c,avxvnni");
    tiles_on!(Dot512<false, false>, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c");
    tiles_on!(
        Dot512<true, false>,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
    );
    tiles_on!(
        Dot512<true, true>,
        "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c"
    );
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::*;
    use crate::simd::Dot128;

    tiles_on!(Dot128<false>, "neon");
    tiles_on!(Dot128<true>, "neon,dotprod");
}

/// # Safety
/// The machine has the instruction set of `D`.
#[inline(always)]
unsafe fn store<D: Dot, const MR: usize>(tile: &Tile<D, MR>, to: &mut [Outputs; MR]) {
    for (tile, to) in tile.iter().zip(to) {
        for (outputs, to) in tile.iter().zip(to.as_chunks_mut::<LANES>().0) {
            // SAFETY: sixteen floats.
            unsafe { D::S::store(to.as_mut_ptr(), *outputs) };
        }
    }
}

/// Outputs of a tile.
type Tile<D, const MR: usize> = [[<<D as Dot>::S as Simd>::V; NR]; MR];

/// `MR` rows from `row` times the panels that begin at `panels`, groups of `G`.
///
/// # Safety
/// Rows and panels are within bounds, the form of activations is kept, and the machine has the
/// instruction set of `D`.
#[inline(always)]
unsafe fn tile<D: Dot, G: Group, const MR: usize>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
) -> Tile<D, MR> {
    let first = slot(row, x.groups);
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        if D::WIDE {
            return part::panels::<D, G, MR, NR>(panels, x, first);
        }
        // Sixteen registers hold the sums of one panel.
        let mut tile = [[D::S::zero(); NR]; MR];
        for (n, panel) in panels.into_iter().enumerate() {
            let own = part::panels::<D, G, MR, 1>([panel], x, first);
            for (tile, [own]) in tile.iter_mut().zip(own) {
                tile[n] = own;
            }
        }
        tile
    }
}

/// As [`tile`] for panels of 16-bit integers.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn tile_int16<D: Dot, const MR: usize>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
) -> Tile<D, MR> {
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        if D::WIDE {
            return panels_int16::<D, MR, NR>(panels, x, row);
        }
        let mut tile = [[D::S::zero(); NR]; MR];
        for (n, panel) in panels.into_iter().enumerate() {
            let own = panels_int16::<D, MR, 1>([panel], x, row);
            for (tile, [own]) in tile.iter_mut().zip(own) {
                tile[n] = own;
            }
        }
        tile
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn panels_int16<D: Dot, const MR: usize, const N: usize>(
    panels: [*const u8; N],
    x: &View,
    row: usize,
) -> [[<D::S as Simd>::V; N]; MR] {
    let first = slot(row, x.groups);
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        let mut acc = [[D::S::zero(); N]; MR];
        for i in 0..x.groups * 2 {
            let (slot, block) = (first + i / 2 * BAND, i % 2);
            let groups = panels.map(|panel| panel.add(i / 2 * Format::Int16.group_bytes()));
            let mut totals = [[D::zero(); N]; MR];
            for pair in block * PAIRS..(block + 1) * PAIRS {
                let lines = groups.map(|group| D::line(group.add(pair * LINE)));
                for (m, totals) in totals.iter_mut().enumerate() {
                    let inputs = x.int16.add((slot + m) * GROUP + pair * 2).cast::<u32>();
                    let inputs = inputs.read_unaligned();
                    for (total, line) in totals.iter_mut().zip(lines) {
                        *total = D::dot16(*total, line, inputs);
                    }
                }
            }
            for (n, group) in groups.into_iter().enumerate() {
                let scales = D::S::load(group.add(2 * PAIRS * LINE).cast());
                for (m, (acc, totals)) in acc.iter_mut().zip(totals).enumerate() {
                    let scale = D::S::splat(*x.int16_scales.add((slot + m) * 2 + block));
                    let scaled = D::S::mul(D::to_f32(totals[n]), scales);
                    acc[n] = D::S::fma(scaled, scale, acc[n]);
                }
            }
        }
        acc
    }
}
