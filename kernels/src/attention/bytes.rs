//! Rows against a tile of keys and values in bytes: products of 16 bits, exact sums of 32.
//!
//! Written without closures: one that is not inlined is compiled without the instruction set.
//! Invariant: no sum overflows: a product is below 127 · 32767, and at most 512 are added up.

#![allow(clippy::needless_range_loop, reason = "register tiles are indexed in step")]

use super::{
    BLOCK_SIZE, TILE,
    flash::Sums,
    rows::{BAND, BLOCKS, Numbers, Rows},
    softmax::{ROUND, soften},
};
use crate::simd::{Dot, LANES, LINE, Simd, prefetch};

/// Signed bytes with a scale for each position.
pub(super) struct Bytes;

impl Numbers for Bytes {
    #[inline(always)]
    unsafe fn attend<D: Dot, const MR: usize>(rows: &Rows<'_>, sums: &mut Sums<'_>) -> usize {
        if rows.is_ahead(MR) {
            return MR;
        }
        let mut scores = [[0.0; TILE]; MR];
        let (mut weights, mut scales, mut factors) = ([[0; TILE]; MR], [0.0; MR], [0.0; MR]);
        // SAFETY: the caller vouches.
        unsafe {
            if D::WIDE {
                rows.byte_scores::<D, MR, BLOCKS>(&mut scores);
            } else {
                rows.byte_scores::<D, MR, 1>(&mut scores);
            }
            rows.adjust(&mut scores);
            let value_scales = rows.value_scales();
            for m in 0..MR {
                let state = &mut sums.states[rows.row + m];
                factors[m] = soften::<D>(&mut scores[m], rows.seen(m), state);
                scales[m] = weigh::<D>(&mut scores[m], &value_scales, &mut weights[m]);
            }
            let lines = rows.cache.layout().value_lines();
            let mut line = 0;
            while line < lines {
                let (weights, by) = (&weights, (&factors, &scales));
                line += if D::WIDE && line + 4 <= lines {
                    rows.byte_values::<D, MR, 4>(weights, by, line, sums.outputs)
                } else {
                    rows.byte_values::<D, MR, 1>(weights, by, line, sums.outputs)
                };
            }
        }
        MR
    }
}

/// The largest operand.
const MAX: f32 = 32767.0;

/// Puts a query into its place in a band, and returns its scale. What is not a number makes the
/// scale so.
#[inline(always)]
pub(super) fn load_query(q: &[f32], band: &mut [u32], row: usize) -> f32 {
    let mut max = 0.0_f32;
    for x in q {
        max = if x.abs() > max || x.is_nan() { x.abs() } else { max };
    }
    let inverse = if max == 0.0 { 0.0 } else { MAX / max };
    for (step, two) in q.chunks(2).enumerate() {
        let mut pair = [0; 2];
        for (to, x) in pair.iter_mut().zip(two) {
            *to = x.mul_add(inverse, ROUND).to_bits() & 0xffff;
        }
        band[step * BAND + row] = pair[0] | pair[1] << 16;
    }
    // A whole line has four.
    if q.len() % 4 == 2 {
        band[q.len() / 2 * BAND + row] = 0;
    }
    max / MAX
}

/// Weights times the scales of their values, in 16 bits; returns the scale of the result.
#[inline(always)]
fn quantize(weights: &mut [f32; TILE], scales: &[f32; TILE], to: &mut [i16; TILE]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (weights, scales) in
        weights.as_chunks_mut::<LANES>().0.iter_mut().zip(scales.as_chunks::<LANES>().0)
    {
        for ((weight, scale), lane) in weights.iter_mut().zip(scales).zip(&mut lanes) {
            *weight *= scale;
            *lane = if *weight > *lane { *weight } else { *lane };
        }
    }
    let mut max = 0.0;
    for lane in lanes {
        max = if lane > max { lane } else { max };
    }
    // So small that its inverse is no number: nothing is lost by nothing.
    let inverse = if max < 1e-30 { 0.0 } else { MAX / max };
    for (to, weight) in to.iter_mut().zip(&*weights) {
        *to = weight.mul_add(inverse, ROUND).to_bits() as i16;
    }
    max / MAX
}

/// [`quantize`] in the vectors of `D`.
///
/// # Safety
/// The machine has the instruction set of `D`.
#[inline(always)]
unsafe fn weigh<D: Dot>(
    weights: &mut [f32; TILE],
    scales: &[f32; TILE],
    to: &mut [i16; TILE],
) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if D::AVX2 {
        // SAFETY: the caller vouches.
        return unsafe { super::softmax_avx2::quantize(weights, scales, to, MAX) };
    }
    quantize(weights, scales, to)
}

impl Rows<'_> {
    /// Where the scales of a block's keys begin; those of its values follow.
    #[inline(always)]
    fn scales(&self, block: usize) -> *const f32 {
        self.tiles[block].1.wrapping_add(self.cache.layout().value_bytes()).cast()
    }

    /// The scales of the tile's values; 0 where there are none.
    ///
    /// # Safety
    /// See [`partition`](super::flash::partition).
    #[inline(always)]
    unsafe fn value_scales(&self) -> [f32; TILE] {
        let mut all = [0.0; TILE];
        for (block, to) in all.as_chunks_mut::<BLOCK_SIZE>().0.iter_mut().enumerate() {
            if block < self.num_blocks {
                // SAFETY: the caller vouches; a block has both lines of scales.
                *to = unsafe { self.scales(block).add(BLOCK_SIZE).cast::<[f32; 16]>().read() };
            }
        }
        all
    }

    /// `MR` rows times the keys of all blocks, `NB` blocks at a time.
    ///
    /// # Safety
    /// See [`partition`](super::flash::partition).
    #[inline(always)]
    unsafe fn byte_scores<D: Dot, const MR: usize, const NB: usize>(
        &self,
        scores: &mut [[f32; TILE]; MR],
    ) {
        let lines = self.cache.layout().key_lines();
        let q = self.operands().as_ptr();
        // SAFETY: the band has operands, and tiles a line, for each step.
        unsafe {
            let mut block = 0;
            while block < BLOCKS {
                let mut acc = [[D::zero(); NB]; MR];
                for line in 0..lines {
                    if let Some(next) = self.next {
                        for n in 0..NB {
                            prefetch(next[block + n].0.wrapping_add(line * LINE));
                        }
                    }
                    self.add_keys::<D, MR, NB, 0>(&mut acc, (block, line), q);
                    self.add_keys::<D, MR, NB, 1>(&mut acc, (block, line), q);
                }
                for m in 0..MR {
                    let scale = D::S::splat(self.queries.scales[self.row + m]);
                    for n in 0..NB {
                        let scale = D::S::mul(D::S::load(self.scales(block + n)), scale);
                        let to = scores[m].as_mut_ptr().add((block + n) * LANES);
                        D::S::store(to, D::S::mul(D::to_f32(acc[m][n]), scale));
                    }
                }
                block += NB;
            }
        }
    }

    /// Adds half of a line of each block.
    ///
    /// # Safety
    /// See [`partition`](super::flash::partition).
    #[inline(always)]
    unsafe fn add_keys<D: Dot, const MR: usize, const NB: usize, const HALF: usize>(
        &self,
        acc: &mut [[D::I; NB]; MR],
        (block, line): (usize, usize),
        q: *const u32,
    ) {
        // SAFETY: the caller vouches.
        unsafe {
            let q = q.add((line * 2 + HALF) * BAND);
            let key = D::line(self.tiles[block].0.add(line * LINE));
            let mut keys = [D::widen::<HALF>(key); NB];
            for n in 1..NB {
                keys[n] = D::widen::<HALF>(D::line(self.tiles[block + n].0.add(line * LINE)));
            }
            for m in 0..MR {
                let a = *q.add(m);
                for n in 0..NB {
                    acc[m][n] = D::dot16(acc[m][n], keys[n], a);
                }
            }
        }
    }

    /// Multiplies outputs by their factors and adds the weighted values of `NL` lines; returns
    /// `NL`.
    ///
    /// # Safety
    /// See [`partition`](super::flash::partition).
    #[inline(always)]
    unsafe fn byte_values<D: Dot, const MR: usize, const NL: usize>(
        &self,
        weights: &[[i16; TILE]; MR],
        (factors, scales): (&[f32; MR], &[f32; MR]),
        line: usize,
        outputs: &mut [f32],
    ) -> usize {
        let value_lines = self.cache.layout().value_lines();
        let width = value_lines * LANES;
        let outputs = &mut outputs[self.row * width..(self.row + MR) * width];
        // SAFETY: outputs are checked above, tiles have lines for each four positions, weights
        // are rows of a tile.
        unsafe {
            let mut acc = [[D::zero(); NL]; MR];
            for block in 0..self.num_blocks {
                for four in 0..BLOCK_SIZE / 4 {
                    let at = (four * value_lines + line) * LINE;
                    if let Some(next) = self.next {
                        for n in 0..NL {
                            prefetch(next[block].1.wrapping_add(at + n * LINE));
                        }
                    }
                    let from = self.tiles[block].1.add(at).cast_const();
                    let weights = weights.as_ptr().cast::<u32>();
                    let weights = weights.add((block * BLOCK_SIZE + four * 4) / 2);
                    add_values::<D, MR, NL, 0>(&mut acc, from, weights);
                    add_values::<D, MR, NL, 1>(&mut acc, from, weights);
                }
            }
            for m in 0..MR {
                let to = outputs.as_mut_ptr().add(m * width + line * LANES);
                let (factor, scale) = (D::S::splat(factors[m]), D::S::splat(scales[m]));
                for n in 0..NL {
                    let to = to.add(n * LANES);
                    let before = D::S::mul(D::S::load(to), factor);
                    D::S::store(to, D::S::fma(D::to_f32(acc[m][n]), scale, before));
                }
            }
        }
        NL
    }
}

/// Adds half of `NL` lines of values.
///
/// # Safety
/// Lines and weights are in bounds, and the machine has the instruction set of `D`.
#[inline(always)]
unsafe fn add_values<D: Dot, const MR: usize, const NL: usize, const HALF: usize>(
    acc: &mut [[D::I; NL]; MR],
    from: *const u8,
    weights: *const u32,
) {
    // SAFETY: the caller vouches.
    unsafe {
        let mut values = [D::widen::<HALF>(D::line(from)); NL];
        for n in 1..NL {
            values[n] = D::widen::<HALF>(D::line(from.add(n * LINE)));
        }
        for m in 0..MR {
            let a = *weights.add(m * TILE / 2 + HALF);
            for n in 0..NL {
                acc[m][n] = D::dot16(acc[m][n], values[n], a);
            }
        }
    }
}
