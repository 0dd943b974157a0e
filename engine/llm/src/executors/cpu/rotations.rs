//! The rotation of each row's position, for each of the spec's rotary embeddings.

use crate::spec::{RopeSpec, RopeStyle};

/// Cosines and sines of a step's rows.
pub(super) struct Rotations {
    pub(super) style: RopeStyle,
    inv_freq: Vec<f32>,
    magnitude: f32,
    /// `rows × dim / 2`.
    pub(super) cos: Vec<f32>,
    /// Likewise.
    pub(super) sin: Vec<f32>,
}

impl Rotations {
    /// For at most `max_rows` rows.
    pub(super) fn new(spec: &RopeSpec, max_rows: usize) -> Self {
        let inv_freq = spec.inv_freq();
        let zeros = vec![0.0; max_rows * inv_freq.len()];
        let magnitude = spec.magnitude;
        Self { style: spec.style, inv_freq, magnitude, cos: zeros.clone(), sin: zeros }
    }

    /// Pairs of a head.
    pub(super) fn width(&self) -> usize {
        self.inv_freq.len()
    }

    /// Computes the rotation of each row's position, in `f32` as the reference does.
    pub(super) fn set(&mut self, positions: &[u32]) {
        let width = self.width();
        for (row, position) in positions.iter().enumerate() {
            for (i, freq) in self.inv_freq.iter().enumerate() {
                let (sin, cos) = (*position as f32 * freq).sin_cos();
                self.cos[row * width + i] = cos * self.magnitude;
                self.sin[row * width + i] = sin * self.magnitude;
            }
        }
    }
}
