//! From features to the encoder's first rows: two convolutions, as matrix products over three rows
//! that lie one after another, each with GELU, and positions.
//!
//! Invariant: a row of zeros stands before the first and after the last.

use engine_weights::linear::{Linear, project};
use kernels::{
    Isa,
    activation::{Activation, activate},
    elementwise::add_scaled,
    packed::{Activations, Scratch, convert_rows},
    pool::Pool,
};

use super::weights;
use crate::spec::{FRAMES_PER_POSITION, KERNEL, WhisperSpec};

/// Rows that are computed at a time.
const ROWS: usize = 256;

/// Convolutions, with their buffers.
pub(super) struct Front {
    weights: weights::Front,
    num_mels: usize,
    hidden: usize,
    /// Features and what the first convolution makes of them, between rows of zeros.
    features: Vec<f32>,
    middle: Vec<f32>,
    unfolded: Vec<f32>,
    inputs: [Activations; 2],
}

/// A convolution: from rows of `cols`, every `stride`-th.
struct Convolution<'a> {
    by: &'a Linear,
    cols: usize,
    stride: usize,
    /// Outputs of a row.
    width: usize,
}

impl Front {
    pub(super) fn new(spec: &WhisperSpec, weights: weights::Front) -> Self {
        let (hidden, num_mels) = (spec.hidden_size(), spec.num_mels);
        let padded = spec.window_frames() + 2;
        let input = |cols: usize, by: &Linear| Activations::new(ROWS, KERNEL * cols, &[by.kind()]);
        Self {
            inputs: [input(num_mels, &weights.conv1), input(hidden, &weights.conv2)],
            features: vec![0.0; padded * num_mels],
            middle: vec![0.0; padded * hidden],
            unfolded: vec![0.0; ROWS * KERNEL * hidden.max(num_mels)],
            weights,
            num_mels,
            hidden,
        }
    }

    /// Writes the rows of a window into `out`.
    pub(super) fn run(
        &mut self,
        features: &[f32],
        (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
        out: &mut [f32],
    ) {
        let Self { weights, num_mels, hidden, inputs: [first, second], .. } = self;
        let (num_mels, hidden) = (*num_mels, *hidden);
        let inner = |padded: usize, width: usize| width..padded - width;
        let features_len = self.features.len();
        self.features[inner(features_len, num_mels)].copy_from_slice(features);
        let middle_len = self.middle.len();
        let (from, to) = (&self.features, &mut self.middle[inner(middle_len, hidden)]);
        let conv = Convolution { by: &weights.conv1, cols: num_mels, stride: 1, width: hidden };
        let unfolded = &mut self.unfolded;
        conv.run(from, (isa, &mut *pool, &mut *scratch), (first, &mut *unfolded), to);
        let stride = FRAMES_PER_POSITION;
        let conv = Convolution { by: &weights.conv2, cols: hidden, stride, width: hidden };
        conv.run(&self.middle, (isa, &mut *pool, scratch), (second, unfolded), &mut *out);
        add_scaled((isa, pool), (out, hidden), Some(&weights.positions), 1.0);
    }
}

impl Convolution<'_> {
    fn run(
        &self,
        padded: &[f32],
        (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
        (input, unfolded): (&mut Activations, &mut [f32]),
        out: &mut [f32],
    ) {
        let Self { by, cols, stride, width } = *self;
        let row = KERNEL * cols;
        for (chunk, out) in out.chunks_mut(ROWS * width).enumerate() {
            let rows = out.len() / width;
            for (i, to) in unfolded.chunks_exact_mut(row).take(rows).enumerate() {
                let first = (chunk * ROWS + i) * stride * cols;
                to.copy_from_slice(&padded[first..first + row]);
            }
            convert_rows((isa, pool), &unfolded[..rows * row], row, rows, input);
            project((isa, pool, scratch), input, rows, [(by, &mut *out, false)]);
            activate((isa, pool), Activation::Gelu, (out, width));
        }
    }
}
