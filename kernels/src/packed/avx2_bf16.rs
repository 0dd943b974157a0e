//! Six rows times a panel of bfloat16 weights by AVX2, written out.
//!
//! Bound by its multiplications: two in a cycle, and what widens the weights and the inputs fits
//! beside them. Invariant: adds the same numbers in the same order as [`super::tile`] does there.

use std::arch::asm;

use super::{
    GROUP,
    activations::{BAND, View, slot},
    tile::Outputs,
};

/// Rows of a tile.
const ROWS: usize = 6;
/// Bytes of a row's inputs in a group.
const ROW: usize = GROUP * 2;
/// Turns of the inner loop, of two pairs of inputs each.
const TURNS: usize = GROUP / 4;

/// One input of a row, widened by `$widen`, times the weights in ymm12 and ymm13.
#[rustfmt::skip]
macro_rules! row {
    ($m:literal $lo:literal $hi:literal $pair:literal $widen:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [{x} + 128*", $m, " + 4*", $pair, "]\n",
            $widen, "\n",
            "vfmadd231ps ymm", $lo, ", ymm12, ymm14\n",
            "vfmadd231ps ymm", $hi, ", ymm13, ymm14\n",
        )
    };
}

/// The same input of all rows.
macro_rules! rows {
    ($pair:literal $widen:literal) => {
        concat!(
            row!(0 0 1 $pair $widen), row!(1 2 3 $pair $widen), row!(2 4 5 $pair $widen),
            row!(3 6 7 $pair $widen), row!(4 8 9 $pair $widen), row!(5 10 11 $pair $widen),
        )
    };
}

/// A pair of inputs: the first of each 32 bits is the lower half.
#[rustfmt::skip]
macro_rules! pair {
    ($pair:literal) => {
        concat!(
            "vmovdqu ymm12, [{w} + 64*", $pair, "]\n",
            "vmovdqu ymm13, [{w} + 64*", $pair, " + 32]\n",
            "vpslld ymm12, ymm12, 16\n",
            "vpslld ymm13, ymm13, 16\n",
            rows!($pair "vpslld ymm14, ymm14, 16"),
            "vandps ymm12, ymm15, [{w} + 64*", $pair, "]\n",
            "vandps ymm13, ymm15, [{w} + 64*", $pair, " + 32]\n",
            rows!($pair "vandps ymm14, ymm14, ymm15"),
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
    // SAFETY: the caller vouches for memory and instruction set.
    unsafe {
        asm!(
            "vxorps ymm0, ymm0, ymm0", "vxorps ymm1, ymm1, ymm1", "vxorps ymm2, ymm2, ymm2",
            "vxorps ymm3, ymm3, ymm3", "vxorps ymm4, ymm4, ymm4", "vxorps ymm5, ymm5, ymm5",
            "vxorps ymm6, ymm6, ymm6", "vxorps ymm7, ymm7, ymm7", "vxorps ymm8, ymm8, ymm8",
            "vxorps ymm9, ymm9, ymm9", "vxorps ymm10, ymm10, ymm10",
            "vxorps ymm11, ymm11, ymm11",
            // The upper half of every 32 bits.
            "vpcmpeqd ymm15, ymm15, ymm15",
            "vpslld ymm15, ymm15, 16",
            "2:",
            "mov {turns:e}, {num_turns}",
            "3:",
            pair!(0),
            pair!(1),
            "add {w}, 128",
            "add {x}, 8",
            "dec {turns:e}",
            "jnz 3b",
            "add {x}, {to_next_group}",
            "dec {groups}",
            "jnz 2b",
            "vmovups [{to}], ymm0", "vmovups [{to} + 32], ymm1",
            "vmovups [{to} + 128], ymm2", "vmovups [{to} + 160], ymm3",
            "vmovups [{to} + 256], ymm4", "vmovups [{to} + 288], ymm5",
            "vmovups [{to} + 384], ymm6", "vmovups [{to} + 416], ymm7",
            "vmovups [{to} + 512], ymm8", "vmovups [{to} + 544], ymm9",
            "vmovups [{to} + 640], ymm10", "vmovups [{to} + 672], ymm11",
            w = inout(reg) panel => _,
            x = inout(reg) x.bf16.add(slot(row, x.groups) * GROUP) => _,
            groups = inout(reg) x.groups => _,
            turns = out(reg) _,
            to = in(reg) to.as_mut_ptr().cast::<f32>().add(column),
            num_turns = const TURNS,
            to_next_group = const (BAND - 1) * ROW,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _,
            out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _,
            out("ymm10") _, out("ymm11") _, out("ymm12") _, out("ymm13") _, out("ymm14") _,
            out("ymm15") _,
            options(nostack)
        );
    }
}
