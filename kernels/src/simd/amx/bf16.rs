//! Products of bfloat16 on tiles: activations, each in one number or two, times two panels of
//! weights.
//!
//! Invariant: a sum takes the same products in the same order whatever is multiplied beside it: of
//! each block of 32 inputs those of the rounded activations, then those of what rounding left.

use std::arch::asm;

use super::{Config, ROW_BYTES};
use crate::simd::prefetch;

/// Rows of a tile, of activations as of weights (pairs of inputs).
pub(crate) const ROWS: usize = 16;
/// Bytes of a tile: a block of 32 inputs.
pub(crate) const TILE_BYTES: usize = ROWS * ROW_BYTES;
/// How far ahead of what is read weights are asked for.
const AHEAD: usize = 2 * TILE_BYTES;

impl Config {
    /// Of bfloat16: sums in tiles 0 to 3, weights in 4 and 5, so many rows of activations in 6
    /// and 7.
    pub(crate) const fn bf16(rows: usize) -> Self {
        let mut config = Self::whole(rows);
        (config.rows[4], config.rows[5]) = (ROWS as u8, ROWS as u8);
        config
    }
}

/// What is multiplied: `steps` blocks of each.
pub(crate) struct Operands {
    /// Tiles for each block, one after another: rounded activations, and, of two parts, what that
    /// left.
    pub(crate) x: *const u8,
    /// A tile for each block.
    pub(crate) panels: [*const u8; 2],
    pub(crate) steps: usize,
    /// Whether weights come from memory: they are asked for in time.
    pub(crate) from_memory: bool,
}

impl Operands {
    /// Asks for weights after those at `at`.
    #[inline(always)]
    fn ask(&self, at: usize) {
        if self.from_memory {
            for panel in self.panels {
                for row in 0..ROWS {
                    prefetch(panel.wrapping_add(at + AHEAD + row * ROW_BYTES));
                }
            }
        }
    }
}

/// `to` = a tile's rows, each input in `PARTS` numbers, times both panels; rows of `to` are two
/// times sixteen floats.
///
/// # Safety
/// Tiles are configured as [`Config::bf16`], with no more rows than `x` and `to` have, and all
/// operands are there.
#[inline(always)]
pub(crate) unsafe fn one<const PARTS: usize>(operands: &Operands, to: *mut f32) {
    // SAFETY: the caller vouches.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", options(nomem, nostack, preserves_flags));
        for step in 0..operands.steps {
            let at = step * TILE_BYTES;
            operands.ask(at);
            let x = operands.x.add(PARTS * at);
            asm!(
                "tileloadd tmm4, [{a} + {stride}*1]",
                "tileloadd tmm6, [{x} + {stride}*1]",
                "tdpbf16ps tmm0, tmm6, tmm4",
                "tileloadd tmm5, [{b} + {stride}*1]",
                "tdpbf16ps tmm1, tmm6, tmm5",
                x = in(reg) x,
                a = in(reg) operands.panels[0].add(at),
                b = in(reg) operands.panels[1].add(at),
                stride = in(reg) ROW_BYTES,
                options(nostack, preserves_flags, readonly)
            );
            if PARTS == 2 {
                asm!(
                    "tileloadd tmm7, [{x} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm7, tmm4",
                    "tdpbf16ps tmm1, tmm7, tmm5",
                    x = in(reg) x.add(TILE_BYTES),
                    stride = in(reg) ROW_BYTES,
                    options(nostack, preserves_flags, readonly)
                );
            }
        }
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + {row}], tmm1",
            to = in(reg) to,
            stride = in(reg) 2 * ROW_BYTES,
            row = const ROW_BYTES,
            options(nostack, preserves_flags)
        );
    }
}

/// As [`one`] of twice [`ROWS`] rows, whose tiles follow one another.
///
/// # Safety
/// As [`one`], with whole tiles.
#[inline(always)]
pub(crate) unsafe fn two<const PARTS: usize>(operands: &Operands, to: *mut f32) {
    let next = PARTS * operands.steps * TILE_BYTES;
    // SAFETY: the caller vouches.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nomem, nostack, preserves_flags)
        );
        for step in 0..operands.steps {
            let at = step * TILE_BYTES;
            operands.ask(at);
            let x = operands.x.add(PARTS * at);
            asm!(
                "tileloadd tmm4, [{a} + {stride}*1]",
                "tileloadd tmm6, [{x} + {stride}*1]",
                "tdpbf16ps tmm0, tmm6, tmm4",
                "tileloadd tmm5, [{b} + {stride}*1]",
                "tdpbf16ps tmm1, tmm6, tmm5",
                "tileloadd tmm7, [{y} + {stride}*1]",
                "tdpbf16ps tmm2, tmm7, tmm4",
                "tdpbf16ps tmm3, tmm7, tmm5",
                x = in(reg) x,
                y = in(reg) x.add(next),
                a = in(reg) operands.panels[0].add(at),
                b = in(reg) operands.panels[1].add(at),
                stride = in(reg) ROW_BYTES,
                options(nostack, preserves_flags, readonly)
            );
            if PARTS == 2 {
                asm!(
                    "tileloadd tmm6, [{x} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm6, tmm4",
                    "tdpbf16ps tmm1, tmm6, tmm5",
                    "tileloadd tmm7, [{y} + {stride}*1]",
                    "tdpbf16ps tmm2, tmm7, tmm4",
                    "tdpbf16ps tmm3, tmm7, tmm5",
                    x = in(reg) x.add(TILE_BYTES),
                    y = in(reg) x.add(next + TILE_BYTES),
                    stride = in(reg) ROW_BYTES,
                    options(nostack, preserves_flags, readonly)
                );
            }
        }
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + {row}], tmm1",
            "tilestored [{to} + {stride}*1 + {rows}], tmm2",
            "tilestored [{to} + {stride}*1 + {rows} + {row}], tmm3",
            to = in(reg) to,
            stride = in(reg) 2 * ROW_BYTES,
            row = const ROW_BYTES,
            rows = const 2 * TILE_BYTES,
            options(nostack, preserves_flags)
        );
    }
}
