//! The product in the plainest words, for tests.

use super::Matrix;
use crate::quant::dequantize;

/// `out[m][n] = Σ_k x[m][k] · w[n][k] + bias[n]`, summed in `f64` in order of `k`.
///
/// # Panics
/// If shapes do not fit.
pub fn matmul(x: &[f32], m: usize, weight: &Matrix<'_>, out: &mut [f32]) {
    let (rows, k) = (weight.rows, weight.cols);
    let mut w = vec![0.0; rows * k];
    dequantize(weight.dtype, weight.data, &mut w);
    for i in 0..m {
        for n in 0..rows {
            let dot: f64 = (0..k).map(|j| f64::from(x[i * k + j]) * f64::from(w[n * k + j])).sum();
            let bias = weight.bias.map_or(0.0, |bias| f64::from(bias[n]));
            out[i * rows + n] = (dot + bias) as f32;
        }
    }
}
