//! Some rows of one head against some partitions of keys, on one thread.
//!
//! Written without closures in what runs for each key: one that is not inlined is compiled
//! without the instruction set.

use super::{
    BLOCK_SIZE, Cache, PARTITION, Params, Run, TILE,
    softmax::{State, update},
};
use crate::{
    packed::{round_to_bf16, to_bf16},
    simd::{Dot, LANES, LINE, Simd, on_each_isa},
};

/// Rows whose operands lie side by side, so that a tile's are at fixed distances.
const BAND: usize = 6;
/// Blocks of a tile of keys.
const BLOCKS: usize = TILE / BLOCK_SIZE;

/// Rows: the query heads of one key head at some consecutive positions.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) run: Run<'a>,
    /// The first position, counted from the run's.
    pub(super) first: usize,
    pub(super) positions: usize,
    pub(super) kv_head: usize,
    pub(super) params: Params,
}

impl Piece<'_> {
    fn group(&self, cache: &Cache<'_>) -> usize {
        self.params.num_heads / cache.layout().num_kv_heads
    }

    pub(super) fn num_rows(&self, cache: &Cache<'_>) -> usize {
        self.positions * self.group(cache)
    }

    /// The position of a row.
    #[inline(always)]
    fn position(&self, row: usize, group: usize) -> usize {
        self.run.position + self.first + row / group
    }

    /// The first key that any row sees, and the end of the last ones.
    pub(super) fn keys(&self) -> (usize, usize) {
        let first = self.run.position + self.first;
        let window = self.params.window.unwrap_or(usize::MAX);
        ((first + 1).saturating_sub(window), first + self.positions)
    }

    /// Where the vector of a row is in `q` and `out`, whose rows are all heads.
    pub(super) fn vector(&self, row: usize, cache: &Cache<'_>) -> usize {
        let group = self.group(cache);
        let token = self.run.first_row + self.first + row / group;
        let head = self.kv_head * group + row % group;
        (token * self.params.num_heads + head) * cache.layout().head_dim
    }
}

/// What rows have accumulated: outputs of whole vectors, and softmaxes.
pub(super) struct Sums<'a> {
    pub(super) outputs: &'a mut [f32],
    pub(super) states: &'a mut [State],
}

impl Sums<'_> {
    fn clear(&mut self) {
        self.outputs.fill(0.0);
        self.states.fill(State::EMPTY);
    }

    /// Adds what later keys gave.
    pub(super) fn merge(&mut self, outputs: &[f32], states: &[State]) {
        let width = outputs.len() / states.len().max(1);
        let rows = self.outputs.chunks_exact_mut(width).zip(outputs.chunks_exact(width));
        for ((to, from), (state, other)) in rows.zip(self.states.iter_mut().zip(states)) {
            let (a, b, merged) = state.merge(*other);
            *state = merged;
            for (to, from) in to.iter_mut().zip(from) {
                *to = *to * a + from * b;
            }
        }
    }
}

on_each_isa! {
    /// Fills `operands` with the piece's queries, scaled to powers of two.
    ///
    /// # Safety
    /// `isa` is available.
    load_queries = load(q: &[f32], piece: &Piece<'_>, cache: &Cache<'_>, operands: &mut [u32])
}

on_each_isa! {
    /// Computes one partition of the piece's keys into `sums`.
    ///
    /// # Safety
    /// `isa` is available, the run's blocks reach its last position and exist.
    partition = attend(
        piece: &Piece<'_>,
        cache: &Cache<'_>,
        index: usize,
        operands: &[u32],
        sums: &mut Sums<'_>
    )
}

/// # Safety
/// See [`load_queries`].
#[inline(always)]
unsafe fn load<D: Dot>(q: &[f32], piece: &Piece<'_>, cache: &Cache<'_>, operands: &mut [u32]) {
    let layout = cache.layout();
    let steps = layout.key_lines();
    let scale = piece.params.scale * std::f32::consts::LOG2_E;
    for row in 0..piece.num_rows(cache) {
        let at = piece.vector(row, cache);
        let q = &q[at..at + layout.head_dim];
        let to = &mut operands[row / BAND * steps * BAND..];
        for step in 0..steps {
            let operand = if layout.dtype.per_lane() == 2 {
                let [a, b] = [to_bf16(q[2 * step] * scale), to_bf16(q[2 * step + 1] * scale)];
                u32::from(a) | u32::from(b) << 16
            } else {
                (q[step] * scale).to_bits()
            };
            to[step * BAND + row % BAND] = operand;
        }
    }
}

/// # Safety
/// See [`partition`].
#[inline(always)]
unsafe fn attend<D: Dot>(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    index: usize,
    operands: &[u32],
    sums: &mut Sums<'_>,
) {
    sums.clear();
    // SAFETY: the caller vouches.
    unsafe {
        match cache.layout().dtype.per_lane() {
            2 => tiles::<D, true>(piece, cache, index, operands, sums),
            _ => tiles::<D, false>(piece, cache, index, operands, sums),
        }
    }
}

/// # Safety
/// See [`partition`].
#[inline(always)]
unsafe fn tiles<D: Dot, const BF16: bool>(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    index: usize,
    operands: &[u32],
    sums: &mut Sums<'_>,
) {
    let group = piece.group(cache);
    let rows = piece.num_rows(cache);
    let (first, end) = piece.keys();
    let from = first.max(index * PARTITION) / TILE;
    let to = end.min((index + 1) * PARTITION).div_ceil(TILE);
    for tile in from..to {
        let key = tile * TILE;
        // Blocks past the end repeat the last one; their keys are hidden.
        let num_blocks = (end - key).div_ceil(BLOCK_SIZE).min(BLOCKS);
        let mut tiles = [(std::ptr::null_mut(), std::ptr::null_mut()); BLOCKS];
        for (i, tiles) in tiles.iter_mut().enumerate() {
            let block = piece.run.blocks[key / BLOCK_SIZE + i.min(num_blocks - 1)];
            *tiles = cache.tiles(block, piece.kv_head);
        }
        let mut row = 0;
        while row < rows {
            let band = (BAND - row % BAND).min(rows - row);
            let work = Rows { piece, cache, row, group, operands, tiles, num_blocks, key };
            // SAFETY: the caller vouches; rows stay within a band.
            row += unsafe {
                if band >= 6 && D::WIDE {
                    work.attend::<D, BF16, 6>(sums)
                } else if band >= 3 {
                    work.attend::<D, BF16, 3>(sums)
                } else {
                    work.attend::<D, BF16, 1>(sums)
                }
            };
        }
    }
}

/// Some rows of one band, and one tile of keys.
struct Rows<'a> {
    piece: &'a Piece<'a>,
    cache: &'a Cache<'a>,
    row: usize,
    group: usize,
    operands: &'a [u32],
    /// Keys and values of each block.
    tiles: [(*mut u8, *mut u8); BLOCKS],
    num_blocks: usize,
    /// Position of the first key.
    key: usize,
}

impl Rows<'_> {
    /// Scores, softmax, weighted values; returns `MR`.
    ///
    /// # Safety
    /// See [`partition`].
    #[inline(always)]
    unsafe fn attend<D: Dot, const BF16: bool, const MR: usize>(
        &self,
        sums: &mut Sums<'_>,
    ) -> usize {
        let last = self.piece.position(self.row + MR - 1, self.group);
        if last < self.key {
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
        let mut weights = [[0; TILE]; MR];
        let mut factors = [0.0; MR];
        let window = self.piece.params.window.unwrap_or(usize::MAX);
        for m in 0..MR {
            let position = self.piece.position(self.row + m, self.group);
            let end = (position + 1).saturating_sub(self.key).min(TILE);
            let first = (position + 1).saturating_sub(window).saturating_sub(self.key).min(TILE);
            let state = &mut sums.states[self.row + m];
            factors[m] = update(&mut scores[m], (first, end), state);
            if BF16 {
                weights[m] = round_to_bf16(&scores[m]);
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
        let operands = &self.operands[self.row / BAND * steps * BAND..][..steps * BAND];
        // SAFETY: operands of the band are checked above, tiles have a line for each step.
        unsafe {
            let q = operands.as_ptr().add(self.row % BAND);
            let mut block = 0;
            while block < BLOCKS {
                let mut acc = [[D::S::zero(); NB]; MR];
                for step in 0..steps {
                    let mut lines = [D::line(self.tiles[block].0.add(step * LINE)); NB];
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
