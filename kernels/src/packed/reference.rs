//! Packed products in the plainest words, for tests.

use crate::quant::{DType, dequantize};

/// `out[m][n] = Σ_k x[m][k] · w[n][k]` of the stored matrix, summed in `f64`, activations as they
/// are; `out` is `m × rows`, `x` is `m × cols`.
pub fn product(dtype: DType, data: &[u8], cols: usize, x: &[f32]) -> Vec<f32> {
    let row_bytes = dtype.row_bytes(cols).unwrap_or(1);
    let rows: Vec<Vec<f32>> = data
        .chunks_exact(row_bytes)
        .map(|row| {
            let mut values = vec![0.0; cols];
            dequantize(dtype, row, &mut values);
            values
        })
        .collect();
    let dot = |x: &[f32], w: &[f32]| -> f64 {
        x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
    };
    x.chunks_exact(cols).flat_map(|x| rows.iter().map(|w| dot(x, w) as f32)).collect()
}
