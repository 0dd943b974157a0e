//! Packed products, and panels of pairs, in the plainest words, for tests.

use super::{Format, GROUP, Matrix, PANEL};
use crate::{
    quant::{DType, dequantize},
    simd::LINE,
};

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

/// The panels of a stored matrix as [`Format::Int16`], one weight after another.
pub fn int16_panels(dtype: DType, stored: &[u8], [rows, cols]: [usize; 2]) -> Vec<u8> {
    let matrix = Matrix { data: &[], format: Format::Int16, rows, cols, bias: None };
    let mut packed = vec![0; matrix.byte_len()];
    let group_bytes = Format::Int16.group_bytes();
    let row_bytes = dtype.row_bytes(cols).unwrap_or(1);
    for (row, stored) in stored.chunks_exact(row_bytes).enumerate() {
        let mut values = vec![0.0_f32; cols];
        dequantize(dtype, stored, &mut values);
        let (panel, lane) = (row / PANEL * matrix.panel_bytes(), row % PANEL);
        for (i, values) in values.chunks(GROUP).enumerate() {
            let group = &mut packed[panel + i * group_bytes..][..group_bytes];
            let largest = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let scale = match values.iter().all(|x| x.is_finite()) {
                // Thirteen bits from the largest one's down, as far as there are normal numbers.
                true => 2.0_f32.powi((exponent(largest) - 12).max(-126)),
                false => f32::NAN,
            };
            for (k, value) in values.iter().enumerate() {
                let whole = (value / scale).round_ties_even().clamp(-8191.0, 8191.0) as i16;
                group[k / 2 * LINE + lane * 4 + k % 2 * 2..][..2]
                    .copy_from_slice(&whole.to_le_bytes());
            }
            group[GROUP / 2 * LINE + lane * 4..][..4].copy_from_slice(&scale.to_le_bytes());
        }
    }
    packed
}

/// The panels of a stored matrix of bfloat16 as [`Format::Bf16`], one weight after another.
pub fn bf16_panels(stored: &[u8], [rows, cols]: [usize; 2]) -> Vec<u8> {
    let matrix = Matrix { data: &[], format: Format::Bf16, rows, cols, bias: None };
    let mut packed = vec![0; matrix.byte_len()];
    for (i, weight) in stored.chunks_exact(2).enumerate() {
        let (row, k) = (i / cols, i % cols);
        let at = row / PANEL * matrix.panel_bytes() + k / 2 * LINE + row % PANEL * 4 + k % 2 * 2;
        packed[at..at + 2].copy_from_slice(weight);
    }
    packed
}

/// Of a number that is not infinite; what is too small to be normal counts as the smallest.
fn exponent(x: f32) -> i32 {
    (x.to_bits() >> 23) as i32 - 127
}
