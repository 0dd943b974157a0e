//! A few rows against one tile of keys: scores, softmax, weighted values.
//!
//! Written without closures: one that is not inlined is compiled without the instruction set.

#![allow(clippy::needless_range_loop, reason = "register tiles are indexed in step")]

use super::{
    BLOCK_SIZE, Cache, TILE,
    flash::{Piece, Queries, Sums},
    softmax::{State, soften},
};
use crate::{
    packed::round_to_bf16,
    simd::{Dot, LANES, LINE, Simd, prefetch},
};

/// Rows whose operands lie side by side, so that a tile's are at fixed distances.
pub(super) const BAND: usize = 6;
/// Blocks of a tile of keys.
pub(super) const BLOCKS: usize = TILE / BLOCK_SIZE;

/// Some rows of one band, and one tile of keys.
pub(super) struct Rows<'a> {
    pub(super) piece: &'a Piece<'a>,
    pub(super) cache: &'a Cache<'a>,
    pub(super) row: usize,
    pub(super) group: usize,
    pub(super) queries: &'a Queries,
    pub(super) tiles: &'a Tiles,
    pub(super) num_blocks: usize,
    /// Position of the first key.
    pub(super) key: usize,
    /// Tiles to bring near meanwhile: of keys and values that nobody has read lately.
    pub(super) next: Option<&'a Tiles>,
}

/// Keys and values of each block.
pub(super) type Tiles = [(*mut u8, *mut u8); BLOCKS];

/// How rows attend to keys and values of one kind.
pub(super) trait Numbers {
    /// Scores, softmax, weighted values of `MR` rows of a band; returns `MR`.
    ///
    /// # Safety
    /// See [`partition`](super::flash::partition).
    unsafe fn attend<D: Dot, const MR: usize>(rows: &Rows<'_>, sums: &mut Sums<'_>) -> usize;
}

/// Floats, or bfloat16.
pub(super) struct Floats<const BF16: bool>;

impl<const BF16: bool> Numbers for Floats<BF16> {
    #[inline(always)]
    unsafe fn attend<D: Dot, const MR: usize>(rows: &Rows<'_>, sums: &mut Sums<'_>) -> usize {
        // SAFETY: the caller vouches.
        unsafe { rows.attend::<D, BF16, MR>(sums) }
    }
}

impl Rows<'_> {
    /// The keys of the tile that row `m` sees: the first, and the end.
    #[inline(always)]
    pub(super) fn seen(&self, m: usize) -> (usize, usize) {
        let window = self.piece.params.window.unwrap_or(usize::MAX);
        let position = self.piece.position(self.row + m, self.group);
        let end = self.piece.end(position).saturating_sub(self.key).min(TILE);
        let first = (position + 1).saturating_sub(window).saturating_sub(self.key).min(TILE);
        (first, end)
    }

    /// Whether all keys come after those that the last of `num` rows sees.
    #[inline(always)]
    pub(super) fn is_ahead(&self, num: usize) -> bool {
        self.piece.end(self.piece.position(self.row + num - 1, self.group)) <= self.key
    }

    /// The operands of the rows' band, from the first row on.
    #[inline(always)]
    pub(super) fn operands(&self) -> &[u32] {
        let band = self.cache.layout().query_steps() * BAND;
        &self.queries.operands[self.row / BAND * band..][..band][self.row % BAND..]
    }

    /// Scores, softmax, weighted values; returns `MR`.
    ///
    /// # Safety
    /// See [`partition`].
    #[inline(always)]
    unsafe fn attend<D: Dot, const BF16: bool, const MR: usize>(
        &self,
        sums: &mut Sums<'_>,
    ) -> usize {
        if self.is_ahead(MR) {
            return MR;
        }
        let mut scores = [[0.0; TILE]; MR];
        // SAFETY: the caller vouches.
        unsafe {
            if D::WIDE {
                self.scores::<D, BF16, MR, BLOCKS>(&mut scores);
            } else {
                self.scores::<D, BF16, MR, 1>(&mut scores);
            }
        }
        // SAFETY: the caller vouches.
        unsafe { self.adjust(&mut scores) };
        let mut weights = [[0; TILE]; MR];
        let mut factors = [0.0; MR];
        for m in 0..MR {
            let (first, end) = self.seen(m);
            let state = &mut sums.states[self.row + m];
            if BF16 {
                // SAFETY: the caller vouches.
                factors[m] =
                    unsafe { weigh::<D>(&mut scores[m], (first, end), state, &mut weights[m]) };
            } else {
                // SAFETY: the caller vouches.
                factors[m] = unsafe { soften::<D>(&mut scores[m], (first, end), state) };
            }
        }
        let lines = self.cache.layout().value_lines();
        let mut line = 0;
        // SAFETY: the caller vouches; lines stay within the tiles.
        unsafe {
            let operand =
                if BF16 { weights.as_ptr().cast() } else { scores.as_ptr().cast::<u32>() };
            while line < lines {
                line += if D::WIDE && line + 4 <= lines {
                    self.values::<D, BF16, MR, 4>(operand, line, &factors, sums.outputs)
                } else {
                    self.values::<D, BF16, MR, 1>(operand, line, &factors, sums.outputs)
                };
            }
        }
        MR
    }

    /// `MR` rows times the keys of all blocks, `NB` blocks at a time.
    ///
    /// # Safety
    /// See [`partition`].
    #[inline(always)]
    unsafe fn scores<D: Dot, const BF16: bool, const MR: usize, const NB: usize>(
        &self,
        scores: &mut [[f32; TILE]; MR],
    ) {
        let steps = self.cache.layout().key_lines();
        // SAFETY: the band has operands, and tiles a line, for each step.
        unsafe {
            let q = self.operands().as_ptr();
            let mut block = 0;
            while block < BLOCKS {
                let mut acc = [[D::S::zero(); NB]; MR];
                for step in 0..steps {
                    let mut lines = [D::line(self.tiles[block].0.add(step * LINE)); NB];
                    if let Some(next) = self.next {
                        let mut n = 0;
                        while n < NB {
                            prefetch(next[block + n].0.wrapping_add(step * LINE));
                            n += 1;
                        }
                    }
                    let mut n = 1;
                    while n < NB {
                        lines[n] = D::line(self.tiles[block + n].0.add(step * LINE));
                        n += 1;
                    }
                    for m in 0..MR {
                        let a = *q.add(step * BAND + m);
                        for n in 0..NB {
                            acc[m][n] = dot::<D, BF16>(acc[m][n], lines[n], a);
                        }
                    }
                }
                for m in 0..MR {
                    for n in 0..NB {
                        let to = scores[m].as_mut_ptr().add((block + n) * LANES);
                        D::S::store(to, acc[m][n]);
                    }
                }
                block += NB;
            }
        }
    }

    /// Multiplies outputs by their factors and adds the weighted values of `NL` lines; returns
    /// `NL`.
    ///
    /// # Safety
    /// See [`partition`].
    #[inline(always)]
    unsafe fn values<D: Dot, const BF16: bool, const MR: usize, const NL: usize>(
        &self,
        weights: *const u32,
        line: usize,
        factors: &[f32; MR],
        outputs: &mut [f32],
    ) -> usize {
        let per_lane = if BF16 { 2 } else { 1 };
        let (steps, per_row) = (BLOCK_SIZE / per_lane, TILE / per_lane);
        let value_lines = self.cache.layout().value_lines();
        let width = value_lines * LANES;
        let outputs = &mut outputs[self.row * width..(self.row + MR) * width];
        // SAFETY: outputs are checked above, tiles have lines for each step, weights are `MR`
        // rows of a tile.
        unsafe {
            let to = outputs.as_mut_ptr().add(line * LANES);
            let mut acc = [[D::S::zero(); NL]; MR];
            for m in 0..MR {
                let factor = D::S::splat(factors[m]);
                for n in 0..NL {
                    acc[m][n] = D::S::mul(D::S::load(to.add(m * width + n * LANES)), factor);
                }
            }
            for block in 0..self.num_blocks {
                let mut from = self.tiles[block].1.add(line * LINE).cast_const();
                for step in 0..steps {
                    let mut lines = [D::line(from); NL];
                    if let Some(next) = self.next {
                        let at = (step * value_lines + line) * LINE;
                        let mut n = 0;
                        while n < NL {
                            prefetch(next[block].1.wrapping_add(at + n * LINE));
                            n += 1;
                        }
                    }
                    let mut n = 1;
                    while n < NL {
                        lines[n] = D::line(from.add(n * LINE));
                        n += 1;
                    }
                    for m in 0..MR {
                        let a = *weights.add(m * per_row + block * steps + step);
                        for n in 0..NL {
                            acc[m][n] = dot::<D, BF16>(acc[m][n], lines[n], a);
                        }
                    }
                    from = from.wrapping_add(value_lines * LINE);
                }
            }
            for m in 0..MR {
                for n in 0..NL {
                    D::S::store(to.add(m * width + n * LANES), acc[m][n]);
                }
            }
        }
        NL
    }
}

/// # Safety
/// The machine has the instruction set of `D`.
#[inline(always)]
unsafe fn dot<D: Dot, const BF16: bool>(
    acc: <D::S as Simd>::V,
    line: D::Line,
    a: u32,
) -> <D::S as Simd>::V {
    // SAFETY: the caller vouches.
    unsafe { if BF16 { D::dot_bf16(acc, line, a) } else { D::dot_f32(acc, line, a) } }
}

/// [`update`], with the weights as bfloat16.
///
/// # Safety
/// The machine has the instruction set of `D`.
#[inline(always)]
unsafe fn weigh<D: Dot>(
    scores: &mut [f32; TILE],
    seen: (usize, usize),
    state: &mut State,
    weights: &mut [u16; TILE],
) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if D::WIDE {
        use super::softmax_avx512;
        // SAFETY: the caller vouches.
        return unsafe {
            if D::ROUNDS_TO_BF16 {
                softmax_avx512::update::<true>(scores, seen, state, weights)
            } else {
                softmax_avx512::update::<false>(scores, seen, state, weights)
            }
        };
    }
    // SAFETY: the caller vouches.
    let factor = unsafe { soften::<D>(scores, seen, state) };
    *weights = round_to_bf16(scores);
    factor
}
