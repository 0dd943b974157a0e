//! Register tiles: `MR` rows of activations times `NR` panels.
//!
//! Written without closures: one that is not inlined is compiled without the instruction set.
//! Invariant: each output adds the same numbers in the same order whatever `MR` is.

use super::{
    GROUP,
    activations::{BAND, View, slot},
    group::{Group, QUADS},
};
use crate::simd::{Dot, LANES, LINE, Portable, Simd};

/// Pairs of inputs in a group.
const PAIRS: usize = GROUP / 2;
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

    /// The same for bfloat16.
    ///
    /// # Safety
    /// As [`quantized`](Self::quantized).
    unsafe fn bf16<const MR: usize>(
        panels: [*const u8; NR],
        x: &View,
        row: usize,
        to: &mut [Outputs; MR],
    );
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
            unsafe fn bf16<const MR: usize>(
                panels: [*const u8; NR],
                x: &View,
                row: usize,
                to: &mut [Outputs; MR],
            ) {
                // SAFETY: the caller vouches.
                unsafe { store::<Self, MR>(&tile_bf16::<Self, MR>(panels, x, row), to) }
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
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        let mut acc = [[D::S::zero(); NR]; MR];
        let first = slot(row, x.groups);
        for g in 0..x.groups {
            let slot = first + g * BAND;
            let groups = [panels[0].add(g * G::BYTES), panels[1].add(g * G::BYTES)];
            for block in 0..2 {
                for part in 0..1 + usize::from(G::HALVES) {
                    add_part::<D, G, MR>(&mut acc, groups, x, (slot, block, part));
                }
            }
            if G::MIN {
                let minima = [G::minimum::<D>(groups[0]), G::minimum::<D>(groups[1])];
                for (m, acc) in acc.iter_mut().enumerate() {
                    let offsets = x.offsets.add((slot + m) * 2).cast::<u32>().read_unaligned();
                    for (acc, minima) in acc.iter_mut().zip(minima) {
                        *acc = D::dot_bf16(*acc, minima, offsets);
                    }
                }
            }
        }
        acc
    }
}

/// Adds the inputs that share one scale: a block of 32, or half of one.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn add_part<D: Dot, G: Group, const MR: usize>(
    acc: &mut Tile<D, MR>,
    groups: [*const u8; NR],
    x: &View,
    (slot, block, part): (usize, usize, usize),
) {
    let parts = 1 + usize::from(G::HALVES);
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        let mut sums = [[D::zero(); NR]; MR];
        if G::ZERO_BITS < 7 || !D::CENTRES_BYTES {
            for (m, sums) in sums.iter_mut().enumerate() {
                let at = (slot + m) * 2 + block;
                let sum = if G::HALVES { x.sums.add(at * 2 + part) } else { x.block_sums.add(at) };
                *sums = [D::splat_shl(sum, G::ZERO_BITS); NR];
            }
        }
        let pairs = QUADS / 4 / parts;
        for j in 0..pairs {
            let pair = (block * parts + part) * pairs + j;
            let lines = [G::pair::<D>(groups[0], pair), G::pair::<D>(groups[1], pair)];
            for (m, sums) in sums.iter_mut().enumerate() {
                let at = (slot + m) * LINE + pair * 8;
                // Two loads: taken from one, they would pass through general registers.
                let quads = x.int8.add(at).cast::<i32>();
                let (low, high) = (quads.read_unaligned(), quads.add(1).read_unaligned());
                for (sum, lines) in sums.iter_mut().zip(&lines) {
                    if G::ZERO_BITS == 7 {
                        *sum = D::dot8(D::dot8(*sum, lines[0], low), lines[1], high);
                    } else {
                        *sum = D::dot(D::dot(*sum, lines[0], low), lines[1], high);
                    }
                }
            }
        }
        let i = block * parts + part;
        let scales = [G::scale::<D>(groups[0], i), G::scale::<D>(groups[1], i)];
        for (m, acc) in acc.iter_mut().enumerate() {
            let scale = D::S::splat(*x.scales.add((slot + m) * 2 + block));
            for (n, acc) in acc.iter_mut().enumerate() {
                let scale = D::S::mul(scales[n], scale);
                *acc = D::S::fma(D::to_f32(sums[m][n]), scale, *acc);
            }
        }
    }
}

/// As [`tile`] for bfloat16 panels.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn tile_bf16<D: Dot, const MR: usize>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
) -> Tile<D, MR> {
    // SAFETY: the caller vouches for bounds and instruction set.
    unsafe {
        let mut acc = [[D::S::zero(); NR]; MR];
        let first = slot(row, x.groups);
        for i in 0..x.groups * PAIRS {
            let lines = [D::line(panels[0].add(i * LINE)), D::line(panels[1].add(i * LINE))];
            let at = (first + i / PAIRS * BAND) * PAIRS + i % PAIRS;
            for (m, acc) in acc.iter_mut().enumerate() {
                let a = x.bf16.cast::<u32>().add(at + m * PAIRS).read_unaligned();
                for (acc, line) in acc.iter_mut().zip(lines) {
                    *acc = D::dot_bf16(*acc, line, a);
                }
            }
        }
        acc
    }
}
