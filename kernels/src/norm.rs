//! Norms of vectors: root mean square, and mean and variance.
//!
//! Invariant: a vector's result depends on that vector only; sums are taken in sixteen lanes.

use crate::{
    elementwise::each_row,
    isa::Isa,
    pool::Pool,
    simd::{Dot, LANES, on_each_isa, sum_lanes},
};

/// A kind of norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x²) + eps)` (RMSNorm, Zhang & Sennrich 2019).
    Rms,
    /// `(x - mean(x)) / sqrt(variance(x) + eps)` (LayerNorm, Ba et al. 2016).
    Layer,
}

/// A norm, its weights and what is added to the result.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Which.
    pub kind: NormKind,
    /// Multiply the elements of a vector.
    pub weight: &'a [f32],
    /// As long as the weights.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance.
    pub eps: f32,
}

/// What is subtracted from elements, and what they are multiplied with then.
#[inline(always)]
pub(crate) fn center_and_scale(x: &[f32], norm: &Norm<'_>) -> (f32, f32) {
    let center = match norm.kind {
        NormKind::Rms => 0.0,
        NormKind::Layer => {
            let mut lanes = [0.0_f32; LANES];
            for chunk in x.chunks(LANES) {
                for (x, lane) in chunk.iter().zip(&mut lanes) {
                    *lane += x;
                }
            }
            sum_lanes(lanes) / x.len() as f32
        }
    };
    let mut lanes = [0.0_f32; LANES];
    for chunk in x.chunks(LANES) {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            let x = x - center;
            *lane += x * x;
        }
    }
    (center, 1.0 / (sum_lanes(lanes) / x.len() as f32 + norm.eps).sqrt())
}

/// Norms the vectors of rows in place: `vector` elements each, whose weights begin anew in each
/// row, and if there are fewer, again and again.
///
/// # Panics
/// If rows are not whole vectors, or weights are not whole vectors of which a row is made up.
pub fn norm_vectors(
    (isa, pool): (Isa, &mut Pool),
    rows: &mut [f32],
    (width, vector): (usize, usize),
    norm: &Norm<'_>,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let weights = norm.weight.len();
    assert!(width.is_multiple_of(weights) && weights.is_multiple_of(vector), "whole vectors");
    assert!(norm.bias.is_none_or(|bias| bias.len() == weights), "as many biases");
    each_row(pool, rows, width, &|_, row| {
        // SAFETY: checked above.
        unsafe { norm_row(isa, row, vector, norm) };
    });
}

on_each_isa! {
    /// # Safety
    /// `isa` is available.
    norm_row = norm_one(row: &mut [f32], vector: usize, norm: &Norm<'_>)
}

/// # Safety
/// See [`norm_row`].
#[inline(always)]
unsafe fn norm_one<D: Dot>(row: &mut [f32], vector: usize, norm: &Norm<'_>) {
    for row in row.chunks_exact_mut(norm.weight.len()) {
        let vectors = row.chunks_exact_mut(vector).zip(norm.weight.chunks_exact(vector));
        for (i, (x, weight)) in vectors.enumerate() {
            let (center, scale) = center_and_scale(x, norm);
            for (x, weight) in x.iter_mut().zip(weight) {
                *x = weight * ((*x - center) * scale);
            }
            if let Some(bias) = norm.bias {
                for (x, bias) in x.iter_mut().zip(&bias[i * vector..]) {
                    *x += bias;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_close_to_the_mathematics_on_every_instruction_set() {
        let mut pool = Pool::new(2).expect("threads");
        let (width, rows) = (72, 21);
        let x: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 0.37).sin() * 3.0 + 0.5).collect();
        let weight: Vec<f32> = (0..width).map(|i| 0.5 + (i as f32 * 0.11).cos()).collect();
        let bias: Vec<f32> = (0..width).map(|i| (i as f32 * 0.3).sin()).collect();
        for isa in Isa::available() {
            for (kind, vector, weights) in
                [(NormKind::Rms, 12, 12), (NormKind::Layer, 24, 72), (NormKind::Layer, 72, 72)]
            {
                let norm = Norm {
                    kind,
                    weight: &weight[..weights],
                    bias: (vector == 72).then_some(&bias[..]),
                    eps: 1e-5,
                };
                let mut got = x.clone();
                norm_vectors((isa, &mut pool), &mut got, (width, vector), &norm);
                for (i, vectors) in x.chunks(vector).enumerate() {
                    let len = vector as f64;
                    let mean = vectors.iter().map(|x| f64::from(*x)).sum::<f64>() / len;
                    let center = if kind == NormKind::Layer { mean } else { 0.0 };
                    let squares = vectors.iter().map(|x| (f64::from(*x) - center).powi(2));
                    let scale = 1.0 / (squares.sum::<f64>() / len + 1e-5).sqrt();
                    for (j, x) in vectors.iter().enumerate() {
                        let at = (i * vector + j) % weights;
                        let bias = norm.bias.map_or(0.0, |bias| f64::from(bias[at]));
                        let want = (f64::from(*x) - center) * scale * f64::from(weight[at]) + bias;
                        let off = (f64::from(got[i * vector + j]) - want).abs();
                        assert!(off < 3e-6, "{isa:?} {kind:?}: off by {off}");
                    }
                }
            }
        }
    }
}
