//! Attention's products on tiles: queries times keys, and weights times values, all bfloat16.
//!
//! Invariant: a score takes products in blocks of 32 elements, a weighted value in blocks of
//! sixteen positions, in order; what else is in a tile changes nothing.

use std::arch::asm;

use super::{Config, ROW_BYTES};
use crate::simd::prefetch;

/// Rows of queries that are multiplied at once.
pub(crate) const ROWS: usize = 16;
/// Blocks of sixteen positions that a row's scores are of.
pub(crate) const BLOCKS: usize = 4;
/// Bytes of a whole tile: queries, or keys, of 32 elements.
pub(crate) const TILE_BYTES: usize = ROWS * ROW_BYTES;
/// Lines of values of a block: pairs of positions.
const PAIRS: usize = 8;
/// Bytes from a row of scores, or of weights, to the next.
const SCORES_BYTES: usize = BLOCKS * ROW_BYTES;
const WEIGHTS_BYTES: usize = SCORES_BYTES / 2;
/// Bytes from a row of weighted values to the next: of two lines.
const VALUES_BYTES: usize = 2 * ROW_BYTES;

impl Config {
    /// Of attention: sums in tiles 0 to 3, so many rows of queries in 4, keys in 5, weights in 6,
    /// values in 7.
    pub(crate) const fn attention(rows: usize) -> Self {
        let mut config = Self::whole(rows);
        config.rows[5] = ROWS as u8;
        config.row_bytes[6] = ROW_BYTES as u16 / 2;
        config.rows[7] = PAIRS as u8;
        config
    }

    /// Of attention without a cache: all tiles whole.
    pub(crate) const fn whole_attention() -> Self {
        Self::whole(ROWS)
    }
}

/// `to` = queries times the keys of all blocks; `next` are asked for meanwhile.
///
/// # Safety
/// Tiles are configured as [`Config::attention`], `q` is `steps` tiles of as many rows, keys as
/// many whole ones, and `to` that many rows of 64 floats.
#[inline(always)]
pub(crate) unsafe fn scores(
    q: *const u8,
    keys: [*const u8; BLOCKS],
    next: Option<[*const u8; BLOCKS]>,
    steps: usize,
    to: *mut f32,
) {
    // SAFETY: the caller vouches.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nomem, nostack, preserves_flags)
        );
        for step in 0..steps {
            let at = step * TILE_BYTES;
            if let Some(next) = next {
                for keys in next {
                    for row in 0..ROWS {
                        prefetch(keys.wrapping_add(at + row * ROW_BYTES));
                    }
                }
            }
            asm!(
                "tileloadd tmm4, [{q} + {stride}*1]",
                "tileloadd tmm5, [{a} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
                "tileloadd tmm5, [{b} + {stride}*1]",
                "tdpbf16ps tmm1, tmm4, tmm5",
                "tileloadd tmm5, [{c} + {stride}*1]",
                "tdpbf16ps tmm2, tmm4, tmm5",
                "tileloadd tmm5, [{d} + {stride}*1]",
                "tdpbf16ps tmm3, tmm4, tmm5",
                q = in(reg) q.add(at),
                a = in(reg) keys[0].add(at),
                b = in(reg) keys[1].add(at),
                c = in(reg) keys[2].add(at),
                d = in(reg) keys[3].add(at),
                stride = in(reg) ROW_BYTES,
                options(nostack, preserves_flags, readonly)
            );
        }
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + {row}], tmm1",
            "tilestored [{to} + {stride}*1 + 2*{row}], tmm2",
            "tilestored [{to} + {stride}*1 + 3*{row}], tmm3",
            to = in(reg) to,
            stride = in(reg) SCORES_BYTES,
            row = const ROW_BYTES,
            options(nostack, preserves_flags)
        );
    }
}

/// `to` = weights times two lines of the values of some blocks, whose lines for one pair of
/// positions are `stride` bytes after those of the pair before; `next` are asked for meanwhile.
///
/// # Safety
/// Tiles are configured as [`Config::attention`], there are as many rows of 64 weights, and of 32
/// floats at `to`, and values are readable.
#[inline(always)]
pub(crate) unsafe fn values(
    weights: *const u16,
    blocks: &[*const u8],
    next: Option<[*const u8; BLOCKS]>,
    stride: usize,
    to: *mut f32,
) {
    // SAFETY: the caller vouches.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", options(nomem, nostack, preserves_flags));
        for (i, values) in blocks.iter().enumerate() {
            if let Some(next) = next {
                for pair in 0..PAIRS {
                    prefetch(next[i].wrapping_add(pair * stride));
                    prefetch(next[i].wrapping_add(pair * stride + ROW_BYTES));
                }
            }
            asm!(
                "tileloadd tmm6, [{weights} + {row}*1]",
                "tileloadd tmm7, [{values} + {stride}*1]",
                "tdpbf16ps tmm0, tmm6, tmm7",
                "tileloadd tmm7, [{values} + {stride}*1 + {line}]",
                "tdpbf16ps tmm1, tmm6, tmm7",
                weights = in(reg) weights.add(i * ROWS),
                values = in(reg) *values,
                row = in(reg) WEIGHTS_BYTES,
                stride = in(reg) stride,
                line = const ROW_BYTES,
                options(nostack, preserves_flags, readonly)
            );
        }
        store_values(to);
    }
}

/// `to` = weights times 32 elements of the values of all keys: `steps` times 32 of those. Weights
/// are rows of 64, as [`scores`] writes; values two tiles of each step, `lines` tiles after those
/// of the step before.
///
/// # Safety
/// Tiles are configured as [`Config::whole_attention`]; weights and values are there, and at `to`
/// sixteen rows of 32 floats.
#[inline(always)]
pub(crate) unsafe fn all_values(
    (weights, values): (*const u8, *const u8),
    steps: usize,
    lines: usize,
    to: *mut f32,
) {
    // SAFETY: the caller vouches.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", options(nomem, nostack, preserves_flags));
        for step in 0..steps {
            // Two steps have a row of 64 weights.
            let at = step / 2 * ROWS * WEIGHTS_BYTES + step % 2 * ROW_BYTES;
            asm!(
                "tileloadd tmm6, [{weights} + {row}*1]",
                "tileloadd tmm7, [{values} + {line}*1]",
                "tdpbf16ps tmm0, tmm6, tmm7",
                "tileloadd tmm5, [{values} + {line}*1 + {tile}]",
                "tdpbf16ps tmm1, tmm6, tmm5",
                weights = in(reg) weights.add(at),
                values = in(reg) values.add(step * lines * TILE_BYTES),
                row = in(reg) WEIGHTS_BYTES,
                line = in(reg) ROW_BYTES,
                tile = const TILE_BYTES,
                options(nostack, preserves_flags, readonly)
            );
        }
        store_values(to);
    }
}

/// Writes two lines of weighted values.
///
/// # Safety
/// Tiles are configured for attention, and `to` is writable.
#[inline(always)]
unsafe fn store_values(to: *mut f32) {
    // SAFETY: the caller vouches.
    unsafe {
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + {line}], tmm1",
            to = in(reg) to,
            stride = in(reg) VALUES_BYTES,
            line = const ROW_BYTES,
            options(nostack, preserves_flags)
        );
    }
}
