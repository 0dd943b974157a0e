//! Six rows times a panel of 16-bit weights by AVX2, written out.
//!
//! Bound by what begins in a cycle: a multiplication and an addition for every 16 products.
//! Invariant: adds the same numbers in the same order as [`super::tile`] does there.

use std::arch::asm;

use super::{
    Format, GROUP,
    activations::{BAND, View, slot},
    tile::Outputs,
};
use crate::simd::LANES;

/// Rows of a tile.
const ROWS: usize = 6;
/// Bytes of a row's inputs in a group.
const ROW: usize = GROUP * 2;

/// A line times all rows.
macro_rules! pair {
    ($at:literal $($begins:ident)?) => {
        times_line!($at 128 "vpmaddwd" "vpaddd" $($begins)?)
    };
}

/// Sums times the weights' scales in ymm12 and ymm13 and the inputs', to what there is.
#[rustfmt::skip]
macro_rules! scale {
    ($m:literal $lo:literal $hi:literal $block:literal) => {
        concat!(
            "vcvtdq2ps ymm", $lo, ", ymm", $lo, "\n",
            "vcvtdq2ps ymm", $hi, ", ymm", $hi, "\n",
            "vbroadcastss ymm14, dword ptr [{scales} + 8*", $m, " + 4*", $block, "]\n",
            "vmulps ymm", $lo, ", ymm", $lo, ", ymm12\n",
            "vmulps ymm", $hi, ", ymm", $hi, ", ymm13\n",
            "vfmadd213ps ymm", $lo, ", ymm14, [{to} + 128*", $m, "]\n",
            "vfmadd213ps ymm", $hi, ", ymm14, [{to} + 128*", $m, " + 32]\n",
            "vmovups [{to} + 128*", $m, "], ymm", $lo, "\n",
            "vmovups [{to} + 128*", $m, " + 32], ymm", $hi, "\n",
        )
    };
}

/// A block of 32 inputs.
#[rustfmt::skip]
macro_rules! block {
    ($block:literal $first:literal $($pair:literal)+) => {
        concat!(
            pair!($first begins), $(pair!($pair),)+
            "vmovups ymm12, [{w} + 2048]\n",
            "vmovups ymm13, [{w} + 2048 + 32]\n",
            each_row!(scale $block),
        )
    };
}

/// `to[m][column..column + 16]` = row `row + m` times the panel, all six of one band.
///
/// # Safety
/// Panel and rows are within bounds, the rows are of one band, there is a group at least,
/// `column` is 0 or 16, and the machine has AVX2 and FMA.
// So that upper halves are cleared at the end: what of SSE comes after would else be slow.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn six_rows(
    panel: *const u8,
    x: &View,
    row: usize,
    (to, column): (&mut [Outputs; ROWS], usize),
) {
    const { assert!(size_of::<Outputs>() == 128 && ROW == 128) }
    for outputs in to.iter_mut() {
        outputs[column..column + LANES].fill(0.0);
    }
    let first = slot(row, x.groups);
    // SAFETY: the caller vouches for memory and instruction set; `column` is within a row.
    unsafe {
        asm!(
            "2:",
            block!(0 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
            block!(1 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
            "add {w}, {group_bytes}",
            "add {x}, {band_bytes}",
            "add {scales}, {band_scales}",
            "dec {groups}",
            "jnz 2b",
            w = inout(reg) panel => _,
            x = inout(reg) x.int16.add(first * GROUP) => _,
            scales = inout(reg) x.int16_scales.add(first * 2) => _,
            groups = inout(reg) x.groups => _,
            to = in(reg) to.as_mut_ptr().cast::<f32>().add(column),
            group_bytes = const Format::Int16.group_bytes(),
            band_bytes = const BAND * ROW,
            band_scales = const BAND * 8,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _,
            out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _,
            out("ymm10") _, out("ymm11") _, out("ymm12") _, out("ymm13") _, out("ymm14") _,
            out("ymm15") _,
            options(nostack)
        );
    }
}
