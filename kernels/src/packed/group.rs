//! How to take a group to pieces: 64 inputs of one panel.
//!
//! Invariant: a packed group and the same group unpacked give the same lines and scales, so it
//! does not matter to a result which of them a product reads.

use super::PANEL;
use crate::simd::{Dot, LINE, Simd};

/// Lines of a group as bytes: four inputs each.
pub(super) const QUADS: usize = 16;

/// One layout of a group of quantised weights.
pub(super) trait Group {
    /// From one group of a panel to the next.
    const BYTES: usize;
    /// Whether blocks have a minimum.
    const MIN: bool;
    /// Blocks of 32 have two scales instead of one.
    const HALVES: bool;
    /// The zero point is this power of two.
    const ZERO_BITS: u32;

    /// Lines `2j` and `2j + 1`.
    ///
    /// # Safety
    /// `group` is readable and the machine has the instruction set of `D` (so in all methods).
    unsafe fn pair<D: Dot>(group: *const u8, j: usize) -> [D::Line; 2];
    /// The `i`-th scales of the sixteen outputs.
    unsafe fn scale<D: Dot>(group: *const u8, i: usize) -> <D::S as Simd>::V;
    /// The minima: for each output those of both blocks.
    unsafe fn minimum<D: Dot>(group: *const u8) -> D::Line;
}

/// `BITS` bits as packed, with minima or without.
pub(super) struct Packed<const BITS: usize, const MIN: bool>;

impl<const BITS: usize, const MIN: bool> Packed<BITS, MIN> {
    /// Lines of quantised weights.
    const LINES: usize = BITS * 2;
    /// Numbers of scales of an output.
    const SCALES: usize = if BITS == 6 { 4 } else { 2 };
}

impl<const BITS: usize, const MIN: bool> Group for Packed<BITS, MIN> {
    const BYTES: usize = (Self::LINES + Self::SCALES / 2 + MIN as usize) * LINE;
    const MIN: bool = MIN;
    const HALVES: bool = BITS == 6;
    const ZERO_BITS: u32 = BITS as u32 - 1;

    #[inline(always)]
    unsafe fn pair<D: Dot>(group: *const u8, j: usize) -> [D::Line; 2] {
        // SAFETY: the caller vouches for the group and the instruction set.
        unsafe {
            if BITS == 8 {
                return [D::line(group.add(2 * j * LINE)), D::line(group.add((2 * j + 1) * LINE))];
            }
            let nibbles = D::line(group.add(j * LINE));
            let low = [D::and(nibbles, 15), D::and(D::shr::<4>(nibbles), 15)];
            match BITS {
                5 => {
                    let plane = D::line(group.add((8 + j / 4) * LINE));
                    // Bit `2j % 8`, then the next, to bit 4.
                    let high = match j % 4 {
                        0 => [D::shl::<4>(plane), D::shl::<3>(plane)],
                        1 => [D::shl::<2>(plane), D::shl::<1>(plane)],
                        2 => [plane, D::shr::<1>(plane)],
                        _ => [D::shr::<2>(plane), D::shr::<3>(plane)],
                    };
                    [D::or(low[0], D::and(high[0], 16)), D::or(low[1], D::and(high[1], 16))]
                }
                6 => {
                    let plane = D::line(group.add((8 + j / 2) * LINE));
                    let high = match j % 2 {
                        0 => [D::shl::<4>(plane), D::shl::<2>(plane)],
                        _ => [plane, D::shr::<2>(plane)],
                    };
                    [D::or(low[0], D::and(high[0], 48)), D::or(low[1], D::and(high[1], 48))]
                }
                _ => low,
            }
        }
    }

    #[inline(always)]
    unsafe fn scale<D: Dot>(group: *const u8, i: usize) -> <D::S as Simd>::V {
        // SAFETY: as above.
        unsafe { D::halves(group.add(Self::LINES * LINE + i * PANEL * 2)) }
    }

    #[inline(always)]
    unsafe fn minimum<D: Dot>(group: *const u8) -> D::Line {
        // SAFETY: as above; read only where there are minima.
        unsafe { D::line(group.add((Self::LINES + Self::SCALES / 2) * LINE)) }
    }
}

/// The group of `G` unpacked to bytes and floats.
pub(super) struct Unpacked<G>(G);

impl<G: Group> Unpacked<G> {
    const SCALES: usize = if G::HALVES { 4 } else { 2 };

    /// Unpacks one group.
    ///
    /// # Safety
    /// `from` is a group of `G`, `to` has room for [`Group::BYTES`], and the machine has the
    /// instruction set of `D`.
    #[inline(always)]
    pub(super) unsafe fn unpack<D: Dot>(from: *const u8, to: *mut u8) {
        // SAFETY: the caller vouches for memory and instruction set.
        unsafe {
            for j in 0..QUADS / 2 {
                let [a, b] = G::pair::<D>(from, j);
                D::put_line(to.add(2 * j * LINE), a);
                D::put_line(to.add((2 * j + 1) * LINE), b);
            }
            for i in 0..Self::SCALES {
                let scales = to.add((QUADS + i) * LINE).cast();
                <D::S as Simd>::store(scales, G::scale::<D>(from, i));
            }
            if G::MIN {
                D::put_line(to.add((QUADS + Self::SCALES) * LINE), G::minimum::<D>(from));
            }
        }
    }
}

/// Bytes of the largest unpacked group.
pub(super) const UNPACKED_BYTES: usize = (QUADS + 4) * LINE;

impl<G: Group> Group for Unpacked<G> {
    const BYTES: usize = (QUADS + Self::SCALES + G::MIN as usize) * LINE;
    const MIN: bool = G::MIN;
    const HALVES: bool = G::HALVES;
    const ZERO_BITS: u32 = G::ZERO_BITS;

    #[inline(always)]
    unsafe fn pair<D: Dot>(group: *const u8, j: usize) -> [D::Line; 2] {
        // SAFETY: the caller vouches for the group and the instruction set (so in all methods).
        unsafe { [D::line(group.add(2 * j * LINE)), D::line(group.add((2 * j + 1) * LINE))] }
    }

    #[inline(always)]
    unsafe fn scale<D: Dot>(group: *const u8, i: usize) -> <D::S as Simd>::V {
        // SAFETY: as above.
        unsafe { <D::S as Simd>::load(group.add((QUADS + i) * LINE).cast()) }
    }

    #[inline(always)]
    unsafe fn minimum<D: Dot>(group: *const u8) -> D::Line {
        // SAFETY: as above.
        unsafe { D::line(group.add((QUADS + Self::SCALES) * LINE)) }
    }
}
