//! From the rows of an input's tokens to its one row: pooling, then dense layers, norms, length 1.
//!
//! Invariant: all in `f32`; an input's row depends on its own tokens' rows only.

use std::sync::Arc;

use engine_core::EncodeInput;
use engine_weights::{
    Weights, WeightsError,
    linear::{Linear, project},
};
use kernels::{
    Isa,
    activation::activate,
    norm::norm_vectors,
    packed::{Activations, Kind, Scratch, convert_rows},
    pool::Pool,
};

use super::{groups::Span, weights::LayerNorm};
use crate::spec::{Function, OutputSpec, Pooling, Stage};

/// Inputs whose rows are computed at a time.
const INPUTS: usize = 32;
/// What a length is at least, as PyTorch has it.
const MIN_LENGTH: f32 = 1e-12;

/// A step, with its weights.
#[expect(clippy::large_enum_variant, reason = "there are few, and most are dense")]
enum Loaded {
    Dense { linear: Linear, input: Activations, function: Function, shape: [usize; 2] },
    Norm(LayerNorm),
    Normalize,
}

/// What is done after the encoder.
pub(super) struct Output {
    poolings: Vec<Pooling>,
    stages: Vec<Loaded>,
    hidden: usize,
    /// The widest row, at any step.
    widest: usize,
    rows: Vec<f32>,
    next: Vec<f32>,
}

impl Output {
    pub(super) fn load(
        hidden: usize,
        output: &OutputSpec,
        weights: &Weights,
    ) -> Result<Self, WeightsError> {
        let stage = |stage: &Stage| {
            Ok(match stage {
                Stage::Dense(dense) => {
                    let shape = [dense.rows, dense.cols];
                    Loaded::Dense {
                        linear: Linear::load(weights, &dense.name, shape, dense.bias)?,
                        input: Activations::new(INPUTS, dense.cols, &[Kind::F32]),
                        function: dense.function,
                        shape,
                    }
                }
                Stage::Norm { name, width, norm } => {
                    Loaded::Norm(LayerNorm::load(weights, name, *width, norm)?)
                }
                Stage::Normalize => Loaded::Normalize,
            })
        };
        let widest = output.widths(hidden).max().unwrap_or(hidden);
        Ok(Self {
            poolings: output.poolings.clone(),
            stages: output.stages.iter().map(stage).collect::<Result<_, WeightsError>>()?,
            hidden,
            widest,
            rows: vec![0.0; INPUTS * widest],
            next: vec![0.0; INPUTS * widest],
        })
    }

    pub(super) fn widest(&self) -> usize {
        self.widest
    }

    /// Adds a row for each of the `inputs`, out of their tokens' rows in `x`.
    pub(super) fn rows(
        &mut self,
        (x, inputs): (&[f32], &[Arc<EncodeInput>]),
        spans: &[Span],
        (isa, threads, scratch): (Isa, &mut Pool, &mut Scratch),
        to: &mut Vec<Vec<f32>>,
    ) {
        let hidden = self.hidden;
        for (inputs, spans) in inputs.chunks(INPUTS).zip(spans.chunks(INPUTS)) {
            let mut width = hidden * self.poolings.len();
            for (i, (input, span)) in inputs.iter().zip(spans).enumerate() {
                let tokens = &x[span.first_row * hidden..][..span.num_rows * hidden];
                let row = &mut self.rows[i * width..(i + 1) * width];
                for (pooling, to) in self.poolings.iter().zip(row.chunks_exact_mut(hidden)) {
                    let skipped = input.not_pooled.min(span.num_rows - 1);
                    pool(*pooling, tokens, skipped, to);
                }
            }
            for stage in 0..self.stages.len() {
                width = self.apply(stage, (inputs.len(), width), (isa, threads, scratch));
            }
            to.extend(self.rows.chunks_exact(width).take(inputs.len()).map(<[f32]>::to_vec));
        }
    }

    /// Applies a stage to some rows, and says how wide they are then.
    fn apply(
        &mut self,
        stage: usize,
        (num, width): (usize, usize),
        (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
    ) -> usize {
        let rows = &mut self.rows[..num * width];
        match &mut self.stages[stage] {
            Loaded::Dense { linear, input, function, shape: [outputs, _] } => {
                convert_rows((isa, pool), rows, width, num, input);
                let out = &mut self.next[..num * *outputs];
                let product = [(&*linear, &mut *out, false)];
                project((isa, pool, scratch), input, num, product);
                match function {
                    Function::Identity => {}
                    Function::Tanh => out.iter_mut().for_each(|x| *x = x.tanh()),
                    Function::Activation(f) => activate((isa, pool), *f, (out, *outputs)),
                }
                std::mem::swap(&mut self.rows, &mut self.next);
                return *outputs;
            }
            Loaded::Norm(norm) => {
                norm_vectors((isa, pool), rows, (width, width), &norm.rule());
            }
            Loaded::Normalize => rows.chunks_exact_mut(width).for_each(normalize),
        }
        width
    }
}

/// Divides by the length.
fn normalize(row: &mut [f32]) {
    let squares: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let scale = 1.0 / (squares.sqrt() as f32).max(MIN_LENGTH);
    row.iter_mut().for_each(|x| *x *= scale);
}

/// Pools an input's rows but for the first `skipped`, of which there are fewer than all.
fn pool(pooling: Pooling, tokens: &[f32], skipped: usize, to: &mut [f32]) {
    let width = to.len();
    let rows = tokens.chunks_exact(width).skip(skipped);
    let num = tokens.len() / width - skipped;
    let mut sum = |weights: &dyn Fn(usize) -> f32, by: f32| {
        to.fill(0.0);
        for (i, row) in rows.clone().enumerate() {
            let weight = weights(i);
            for (to, x) in to.iter_mut().zip(row) {
                *to += weight * x;
            }
        }
        to.iter_mut().for_each(|x| *x /= by);
    };
    match pooling {
        Pooling::Cls => to.copy_from_slice(&tokens[skipped * width..][..width]),
        Pooling::Last => to.copy_from_slice(&tokens[tokens.len() - width..]),
        Pooling::Mean => sum(&|_| 1.0, num as f32),
        Pooling::MeanSqrtLen => sum(&|_| 1.0, (num as f32).sqrt()),
        Pooling::WeightedMean => {
            // Tokens that are skipped count as positions.
            let weight = |i: usize| (skipped + i + 1) as f32;
            sum(&weight, (0..num).map(weight).sum());
        }
        Pooling::Max => {
            to.fill(f32::NEG_INFINITY);
            for row in rows {
                for (to, x) in to.iter_mut().zip(row) {
                    *to = if *x > *to || x.is_nan() { *x } else { *to };
                }
            }
        }
    }
}
