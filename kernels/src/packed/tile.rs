//! Register tiles: `MR` rows of activations times `NR` panels.
//!
//! Written without closures: one that is not inlined is compiled without the instruction set.
//! Invariant: each output adds the same numbers in the same order whatever `MR` is.

use super::{
    activations::{View, slot},
    group::{Group, Unpacked},
    int16, part,
};
#[cfg(target_arch = "x86_64")]
use super::{avx2_int16, avx2_nibbles};
use crate::simd::{Dot, LANES, Portable, Simd};

/// Panels of a tile.
pub(super) const NR: usize = 2;
/// Rows of the largest tile.
pub(super) const MAX_ROWS: usize = 6;
/// A row of a tile.
pub(super) type Outputs = [f32; NR * LANES];
/// Multiplies some rows, from the one given, with the panels that begin so.
pub(super) type Tile = unsafe fn([*const u8; NR], &View, usize, &mut [Outputs; MAX_ROWS]);
/// Makes bytes of that many groups of panels, and says where they begin.
pub(super) type Unpack = unsafe fn([*const u8; NR], usize, *mut u8) -> [*const u8; NR];

/// Tiles as functions of their own, each compiled for its instruction set: inlined into one
/// another, they are too much for the compiler.
pub(super) trait Tiles: Dot {
    /// The first of `to` = `MR` rows from `row` times the panels that begin at `panels`, groups
    /// of `G`.
    ///
    /// # Safety
    /// Rows and panels are within bounds, the form of activations is kept, and the machine has
    /// the instruction set.
    unsafe fn quantized<G: Group, const MR: usize>(
        panels: [*const u8; NR],
        x: &View,
        row: usize,
        to: &mut [Outputs; MAX_ROWS],
    );

    /// The same for panels of 16-bit integers.
    ///
    /// # Safety
    /// As [`quantized`](Self::quantized).
    unsafe fn int16<const MR: usize>(
        panels: [*const u8; NR],
        x: &View,
        row: usize,
        to: &mut [Outputs; MAX_ROWS],
    );

    /// Unpacks `NR` panels into `area`, one after another, and says where each begins.
    ///
    /// # Safety
    /// Panels have so many groups, the area has room for them, and the machine has the
    /// instruction set.
    unsafe fn unpack<G: Group>(
        from: [*const u8; NR],
        groups: usize,
        area: *mut u8,
    ) -> [*const u8; NR];
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
    six: &mut [Outputs; MAX_ROWS],
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
    six: &mut [Outputs; MAX_ROWS],
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
                to: &mut [Outputs; MAX_ROWS],
            ) {
                // SAFETY: the caller vouches.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    if MR == MAX_ROWS && part::folds_zero::<Self, G>() {
                        return six_folded::<G>(panels, x, row, to);
                    }
                    store::<Self, MR>(&tile::<Self, G, MR>(panels, x, row), to);
                }
            }

            $(#[target_feature(enable = $feature)])?
            #[inline(never)]
            unsafe fn int16<const MR: usize>(
                panels: [*const u8; NR],
                x: &View,
                row: usize,
                to: &mut [Outputs; MAX_ROWS],
            ) {
                // SAFETY: the caller vouches.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    if MR == MAX_ROWS && <Self as Dot>::AVX2 {
                        return six_int16(panels, x, row, to);
                    }
                    store::<Self, MR>(&int16::tile::<Self, MR>(panels, x, row), to);
                }
            }

            $(#[target_feature(enable = $feature)])?
            #[inline(never)]
            unsafe fn unpack<G: Group>(
                from: [*const u8; NR],
                groups: usize,
                area: *mut u8,
            ) -> [*const u8; NR] {
                let panel_bytes = groups * Unpacked::<G>::BYTES;
                for (n, from) in from.into_iter().enumerate() {
                    for g in 0..groups {
                        // SAFETY: the caller vouches.
                        unsafe {
                            let to = area.add(n * panel_bytes + g * Unpacked::<G>::BYTES);
                            Unpacked::<G>::unpack::<Self>(from.add(g * G::BYTES), to);
                        }
                    }
                }
                std::array::from_fn(|n| area.wrapping_add(n * panel_bytes).cast_const())
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
unsafe fn store<D: Dot, const MR: usize>(tile: &Sums<D, MR>, to: &mut [Outputs; MAX_ROWS]) {
    for (tile, to) in tile.iter().zip(to) {
        for (outputs, to) in tile.iter().zip(to.as_chunks_mut::<LANES>().0) {
            // SAFETY: sixteen floats.
            unsafe { D::S::store(to.as_mut_ptr(), *outputs) };
        }
    }
}

/// Outputs of a tile.
pub(super) type Sums<D, const MR: usize> = [[<<D as Dot>::S as Simd>::V; NR]; MR];

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
) -> Sums<D, MR> {
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
