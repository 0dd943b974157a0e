//! Some rows of activations times panels of quantised weights, block after block.
//!
//! Invariant: a block's integer sum is exact, and what is added is added in order of inputs.

use super::{
    activations::{BAND, View},
    group::{Group, QUADS},
};
use crate::simd::{Dot, LINE, Simd};

/// Floats of `MR` rows and `N` panels.
type Floats<D, const MR: usize, const N: usize> = [[<<D as Dot>::S as Simd>::V; N]; MR];
/// Integers of the same.
type Totals<D, const MR: usize, const N: usize> = [[<D as Dot>::I; N]; MR];

/// `MR` rows, whose first group is in slot `first`, times whole panels.
///
/// # Safety
/// Rows and panels are within bounds, the form of activations is kept, and the machine has the
/// instruction set of `D` (so in all below).
#[inline(always)]
pub(super) unsafe fn panels<D: Dot, G: Group, const MR: usize, const N: usize>(
    panels: [*const u8; N],
    x: &View,
    first: usize,
) -> Floats<D, MR, N> {
    let parts = if G::HALVES { 4 } else { 2 };
    // SAFETY: the caller vouches.
    unsafe {
        let mut acc = [[D::S::zero(); N]; MR];
        // One loop over the parts of all groups: of two nested ones, the inner one would be
        // unrolled, and what ends a part be put off while registers run out.
        for i in 0..x.groups * parts {
            let (g, part) = (i / parts, i % parts);
            let mut groups = panels;
            for group in &mut groups {
                *group = group.add(g * G::BYTES);
            }
            let slot = first + g * BAND;
            add_part::<D, G, MR, N>(&mut acc, groups, x, (slot, part));
            if G::MIN && part == parts - 1 && !folds_zero::<D, G>() {
                add_minima::<D, G, MR, N>(&mut acc, groups, x, slot);
            }
        }
        acc
    }
}

/// Whether minima and zero point are one number, which [`add_folded`] adds.
pub(super) const fn folds_zero<D: Dot, G: Group>() -> bool {
    D::FOLDS_ZERO && G::ZERO_BITS == 3
}

/// Ends a part whose totals are of weights without their zero point: `Σ w·a·s + (minimum − 8·w)
/// · Σ a·s`, the same in `avx2_nibbles`.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn add_folded<D: Dot, G: Group, const MR: usize, const N: usize>(
    acc: &mut Floats<D, MR, N>,
    (groups, totals): ([*const u8; N], &Totals<D, MR, N>),
    x: &View,
    (slot, block): (usize, usize),
) {
    // SAFETY: the caller vouches.
    unsafe {
        for (n, group) in groups.into_iter().enumerate() {
            let scales = G::scale::<D>(group, block);
            let minima = match (G::MIN, block) {
                (false, _) => D::S::zero(),
                (true, 0) => D::bf16_of::<false>(G::minimum::<D>(group)),
                (true, _) => D::bf16_of::<true>(G::minimum::<D>(group)),
            };
            let minima = D::S::fma(scales, D::S::splat(-8.0), minima);
            for (m, (acc, totals)) in acc.iter_mut().zip(totals).enumerate() {
                let at = (slot + m) * 2 + block;
                let scale = D::S::splat(*x.scales.add(at));
                let sum = D::S::splat(*x.scaled_sums.add(at));
                let total = D::S::mul(D::to_f32(totals[n]), scale);
                acc[n] = D::S::fma(sum, minima, D::S::fma(total, scales, acc[n]));
            }
        }
    }
}

/// Adds the minima of a group.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
pub(super) unsafe fn add_minima<D: Dot, G: Group, const MR: usize, const N: usize>(
    acc: &mut Floats<D, MR, N>,
    groups: [*const u8; N],
    x: &View,
    slot: usize,
) {
    // SAFETY: the caller vouches.
    unsafe {
        let mut minima = [G::minimum::<D>(groups[0]); N];
        for (minima, group) in minima.iter_mut().zip(groups).skip(1) {
            *minima = G::minimum::<D>(group);
        }
        if D::WIDE && !D::ROUNDS_TO_BF16 {
            // What is broadcast from memory costs nothing beside the products.
            let mut both = [[D::S::zero(); 2]; N];
            for (both, minima) in both.iter_mut().zip(minima) {
                *both = [D::bf16_of::<false>(minima), D::bf16_of::<true>(minima)];
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let offsets = x.wide_offsets.add((slot + m) * 2);
                let offsets = [D::S::splat(*offsets), D::S::splat(*offsets.add(1))];
                for (acc, both) in acc.iter_mut().zip(both) {
                    *acc = D::S::fma(both[0], offsets[0], *acc);
                    *acc = D::S::fma(both[1], offsets[1], *acc);
                }
            }
            return;
        }
        for (m, acc) in acc.iter_mut().enumerate() {
            let offsets = x.offsets.add((slot + m) * 2).cast::<u32>().read_unaligned();
            for (acc, minima) in acc.iter_mut().zip(minima) {
                *acc = D::dot_bf16(*acc, minima, offsets);
            }
        }
    }
}

/// Adds the inputs that share one scale: a block of 32, or half of one.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn add_part<D: Dot, G: Group, const MR: usize, const N: usize>(
    acc: &mut Floats<D, MR, N>,
    groups: [*const u8; N],
    x: &View,
    (slot, part): (usize, usize),
) {
    let block = if G::HALVES { part / 2 } else { part };
    // SAFETY: the caller vouches.
    unsafe {
        let mut totals = [[D::zero(); N]; MR];
        let folds = folds_zero::<D, G>();
        if !folds && (G::ZERO_BITS < 7 || !D::CENTRES_BYTES) {
            for (m, totals) in totals.iter_mut().enumerate() {
                let row = slot + m;
                let sum = if G::HALVES {
                    x.sums.add(row * 4 + part)
                } else {
                    x.block_sums.add(row * 2 + block)
                };
                *totals = [D::splat_shl(sum, G::ZERO_BITS); N];
            }
        }
        add_integers::<D, G, MR, N>(&mut totals, groups, x, (slot, part));
        if folds {
            add_folded::<D, G, MR, N>(acc, (groups, &totals), x, (slot, block));
            return;
        }
        let mut scales = [D::S::zero(); N];
        for (scale, group) in scales.iter_mut().zip(groups) {
            *scale = G::scale::<D>(group, part);
        }
        for ((m, acc), totals) in acc.iter_mut().enumerate().zip(totals) {
            let scale = D::S::splat(*x.scales.add((slot + m) * 2 + block));
            for ((acc, total), scales) in acc.iter_mut().zip(totals).zip(scales) {
                *acc = D::S::fma(D::to_f32(total), D::S::mul(scales, scale), *acc);
            }
        }
    }
}

/// Adds the products of one part.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn add_integers<D: Dot, G: Group, const MR: usize, const N: usize>(
    totals: &mut Totals<D, MR, N>,
    groups: [*const u8; N],
    x: &View,
    (slot, part): (usize, usize),
) {
    // Pairs of lines in a part, and how many of them `D::Sums` have room for.
    let pairs = if G::HALVES { QUADS / 8 } else { QUADS / 4 };
    let room = D::room(G::ZERO_BITS + 1) / 2;
    let first = part * pairs;
    // SAFETY: the caller vouches.
    unsafe {
        if G::ZERO_BITS == 7 {
            for pair in first..first + pairs {
                let lines = lines::<D, G, N>(groups, pair);
                for (m, totals) in totals.iter_mut().enumerate() {
                    let [low, high] = quads(x, slot + m, pair);
                    for (total, lines) in totals.iter_mut().zip(&lines) {
                        *total = D::dot8(D::dot8(*total, lines[0], low), lines[1], high);
                    }
                }
            }
            return;
        }
        let mut sums = begin::<D, MR, N>(totals);
        // Written out, so that places in a group are constants, and no loop of few turns ends.
        macro_rules! add {
            ($($i:literal)*) => {
                $(if $i < pairs {
                    if $i > 0 && $i % room == 0 {
                        end::<D, MR, N>(totals, &sums);
                        sums = begin::<D, MR, N>(totals);
                    }
                    let lines = lines::<D, G, N>(groups, first + $i);
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let [low, high] = quads(x, slot + m, first + $i);
                        for (sums, lines) in sums.iter_mut().zip(&lines) {
                            *sums = D::more(D::more(*sums, lines[0], low), lines[1], high);
                            D::pin(sums);
                        }
                    }
                })*
            };
        }
        add!(0 1 2 3);
        end::<D, MR, N>(totals, &sums);
    }
}

/// One pair of lines of each panel.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn lines<D: Dot, G: Group, const N: usize>(
    groups: [*const u8; N],
    pair: usize,
) -> [[D::Line; 2]; N] {
    // SAFETY: the caller vouches.
    unsafe {
        let mut lines = [G::pair::<D>(groups[0], pair); N];
        for (lines, group) in lines.iter_mut().zip(groups).skip(1) {
            *lines = G::pair::<D>(group, pair);
        }
        lines
    }
}

/// Twice four inputs of a row, as they are multiplied with a pair of lines.
///
/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn quads(x: &View, slot: usize, pair: usize) -> [i32; 2] {
    // SAFETY: the caller vouches.
    unsafe {
        let quads = x.int8.add(slot * LINE + pair * 8).cast::<i32>();
        // Two loads: taken from one, they would pass through general registers.
        [quads.read_unaligned(), quads.add(1).read_unaligned()]
    }
}

/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn begin<D: Dot, const MR: usize, const N: usize>(
    totals: &Totals<D, MR, N>,
) -> [[D::Sums; N]; MR] {
    // SAFETY: the caller vouches.
    unsafe {
        let mut sums = [[D::begin(totals[0][0]); N]; MR];
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sums, total) in sums.iter_mut().zip(totals) {
                *sums = D::begin(*total);
            }
        }
        sums
    }
}

/// # Safety
/// As [`panels`].
#[inline(always)]
unsafe fn end<D: Dot, const MR: usize, const N: usize>(
    totals: &mut Totals<D, MR, N>,
    sums: &[[D::Sums; N]; MR],
) {
    // SAFETY: the caller vouches.
    unsafe {
        for (totals, sums) in totals.iter_mut().zip(sums) {
            for (total, sums) in totals.iter_mut().zip(sums) {
                *total = D::end(*total, *sums);
            }
        }
    }
}
