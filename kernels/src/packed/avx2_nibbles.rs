//! Six rows times a panel of unpacked four-bit weights, by AVX2 without VNNI, written out.
//!
//! Sixteen registers are just enough for it (twelve sums of 16 bits, two of weights, two for what
//! comes and goes), and only if none is wasted: what compilers make of the same loop in
//! [`super::part`] reaches four fifths of its speed. Invariant: adds the same numbers in the same
//! order as [`super::part`] does there.

use std::arch::asm;

use super::{
    activations::{BAND, View, slot},
    group::{Group, Packed, Unpacked},
    tile::Outputs,
};
use crate::simd::{LANES, LINE};

/// Rows of a tile.
const ROWS: usize = 6;
/// What a zero point of four bits takes from a minimum.
static ZERO: f32 = 8.0;

/// A line times all rows.
macro_rules! quad {
    ($at:literal $($begins:ident)?) => {
        times_line!($at 64 "vpmaddubsw" "vpaddw" $($begins)?)
    };
}

/// Sums of 16 bits to floats, by ones in ymm15.
#[rustfmt::skip]
macro_rules! widen {
    ($m:literal $lo:literal $hi:literal $block:literal) => {
        concat!(
            "vpmaddwd ymm", $lo, ", ymm", $lo, ", ymm15\n",
            "vpmaddwd ymm", $hi, ", ymm", $hi, ", ymm15\n",
            "vcvtdq2ps ymm", $lo, ", ymm", $lo, "\n",
            "vcvtdq2ps ymm", $hi, ", ymm", $hi, "\n",
            "vbroadcastss ymm14, dword ptr [{scales} + 8*", $m, " + 4*", $block, "]\n",
            "vmulps ymm", $lo, ", ymm", $lo, ", ymm14\n",
            "vmulps ymm", $hi, ", ymm", $hi, ", ymm14\n",
        )
    };
}

/// Times the weights' scales in ymm12 and ymm13, and what has been added up before.
#[rustfmt::skip]
macro_rules! scale {
    ($m:literal $lo:literal $hi:literal $block:literal) => {
        concat!(
            "vfmadd213ps ymm", $lo, ", ymm12, [{to} + 128*", $m, "]\n",
            "vfmadd213ps ymm", $hi, ", ymm13, [{to} + 128*", $m, " + 32]\n",
        )
    };
}

/// The minima in ymm14 and ymm12.
#[rustfmt::skip]
macro_rules! offset {
    ($m:literal $lo:literal $hi:literal $block:literal) => {
        concat!(
            "vbroadcastss ymm15, dword ptr [{sums} + 8*", $m, " + 4*", $block, "]\n",
            "vfmadd231ps ymm", $lo, ", ymm14, ymm15\n",
            "vfmadd231ps ymm", $hi, ", ymm12, ymm15\n",
            "vmovups [{to} + 128*", $m, "], ymm", $lo, "\n",
            "vmovups [{to} + 128*", $m, " + 32], ymm", $hi, "\n",
        )
    };
}

/// A block of 32 inputs; `$minima` makes ymm14 and ymm12 of the scales in ymm12 and ymm13.
macro_rules! block {
    ($block:literal [$a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal
        $h:literal] $minima:expr) => {
        concat!(
            quad!($a begins), quad!($b), quad!($c), quad!($d),
            quad!($e), quad!($f), quad!($g), quad!($h),
            "vpcmpeqw ymm15, ymm15, ymm15\n",
            "vpsrlw ymm15, ymm15, 15\n",
            each_row!(widen $block),
            "vmovups ymm12, [{w} + 1024 + 64*", $block, "]\n",
            "vmovups ymm13, [{w} + 1024 + 64*", $block, " + 32]\n",
            each_row!(scale $block),
            "vbroadcastss ymm15, dword ptr [{zero}]\n",
            $minima,
            each_row!(offset $block),
        )
    };
}

/// A minimum of bfloat16, shifted to its place by `$shift`, less the zero point.
macro_rules! minima {
    ($($shift:literal)*) => {
        concat!(
            "vmovdqu ymm14, [{w} + 1152]\n",
            $($shift, " ymm14, ymm14, 16\n",)*
            "vfnmadd231ps ymm14, ymm12, ymm15\n",
            "vmovdqu ymm12, [{w} + 1184]\n",
            $($shift, " ymm12, ymm12, 16\n",)*
            "vfnmadd231ps ymm12, ymm13, ymm15\n",
        )
    };
}

/// The zero point alone.
macro_rules! no_minima {
    () => {
        concat!(
            "vpxor ymm14, ymm14, ymm14\n",
            "vfnmadd231ps ymm14, ymm12, ymm15\n",
            "vpxor ymm12, ymm12, ymm12\n",
            "vfnmadd231ps ymm12, ymm13, ymm15\n",
        )
    };
}

/// Runs through all groups of a panel.
macro_rules! tile {
    ($bytes:expr, $first:expr, $second:expr, $panel:ident, $x:ident, $slot:ident, $to:ident) => {
        asm!(
            "2:",
            block!(0 [0 1 2 3 4 5 6 7] $first),
            block!(1 [8 9 10 11 12 13 14 15] $second),
            "add {w}, {group_bytes}",
            "add {x}, {band_bytes}",
            "add {scales}, {band_scales}",
            "add {sums}, {band_scales}",
            "dec {groups}",
            "jnz 2b",
            w = inout(reg) $panel => _,
            x = inout(reg) $x.int8.add($slot * LINE) => _,
            scales = inout(reg) $x.scales.add($slot * 2) => _,
            sums = inout(reg) $x.scaled_sums.add($slot * 2) => _,
            groups = inout(reg) $x.groups => _,
            to = in(reg) $to,
            zero = in(reg) &raw const ZERO,
            group_bytes = const $bytes,
            band_bytes = const BAND * LINE,
            band_scales = const BAND * 8,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _,
            out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _,
            out("ymm10") _, out("ymm11") _, out("ymm12") _, out("ymm13") _, out("ymm14") _,
            out("ymm15") _,
            options(nostack)
        )
    };
}

/// `to[m][column..column + 16]` = row `row + m` times the panel, all six of one band.
///
/// # Safety
/// `panel` is unpacked from `Packed<4, MIN>`, rows are within bounds and one band, there is a
/// group at least, and the machine has AVX2 and FMA.
// So that upper halves are cleared at the end: what of SSE comes after would else be slow.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn six_rows<const MIN: bool>(
    panel: *const u8,
    x: &View,
    row: usize,
    (to, column): (&mut [Outputs; ROWS], usize),
) {
    const { assert!(size_of::<Outputs>() == 128 && LINE == 64) }
    for outputs in to.iter_mut() {
        outputs[column..column + LANES].fill(0.0);
    }
    let (first_slot, to) = (slot(row, x.groups), to.as_mut_ptr().cast::<f32>());
    // SAFETY: the caller vouches for memory and instruction set; `column` is within a row.
    unsafe {
        let to = to.add(column);
        if MIN {
            tile!(
                Unpacked::<Packed<4, true>>::BYTES,
                minima!("vpslld"),
                minima!("vpsrld" "vpslld"),
                panel,
                x,
                first_slot,
                to
            );
        } else {
            tile!(
                Unpacked::<Packed<4, false>>::BYTES,
                no_minima!(),
                no_minima!(),
                panel,
                x,
                first_slot,
                to
            );
        }
    }
}
