//! How far rows of logits are from a reference's.
//!
//! Invariant: a constant added to a whole row changes nothing, as it changes no probability.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::golden::Distance;

/// The greatest distance; infinite if something is no number, which `max` passes over.
pub(crate) fn worst(got: impl Iterator<Item = f32>, want: &[f32]) -> f32 {
    let off = got.zip(want).map(|(got, want)| (got - want).abs());
    off.map(|off| if off.is_nan() { f32::INFINITY } else { off }).fold(0.0, f32::max)
}

/// Positions compared so far.
#[derive(Default)]
pub(crate) struct Compared {
    kl: Vec<f64>,
    relative_rms: Vec<f64>,
    num_same_top: usize,
}

impl Compared {
    /// Compares rows of `vocab_size` logits.
    pub(crate) fn add(&mut self, want: &[f32], got: &[f32], vocab_size: usize) {
        assert_eq!(want.len(), got.len());
        for (want, got) in want.chunks_exact(vocab_size).zip(got.chunks_exact(vocab_size)) {
            let (want_sum, got_sum) = (log_sum_exp(want), log_sum_exp(got));
            let kl = want.iter().zip(got).map(|(want, got)| {
                let (want, got) = (f64::from(*want) - want_sum, f64::from(*got) - got_sum);
                want.exp() * (want - got)
            });
            self.kl.push(kl.sum());
            let difference = want.iter().zip(got).map(|(want, got)| f64::from(got - want));
            let spread = want.iter().map(|want| f64::from(*want));
            self.relative_rms.push(deviation(difference) / deviation(spread));
            self.num_same_top += usize::from(argmax(want) == argmax(got));
        }
    }

    pub(crate) fn summary(&self) -> Distance {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let max = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
        Distance {
            mean_kl: mean(&self.kl),
            max_kl: max(&self.kl),
            same_top: self.num_same_top as f64 / self.kl.len() as f64,
            mean_relative_rms: mean(&self.relative_rms),
            max_relative_rms: max(&self.relative_rms),
        }
    }
}

/// Negative log-likelihood of `target` under a row of logits.
pub(crate) fn nll(row: &[f32], target: u32) -> f64 {
    log_sum_exp(row) - f64::from(row[target as usize])
}

/// The place of the largest logit.
pub(crate) fn argmax(row: &[f32]) -> u32 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.expect("a vocabulary").0 as u32
}

/// Logarithm of the sum of exponentials.
pub(crate) fn log_sum_exp(row: &[f32]) -> f64 {
    let max = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = row.iter().map(|x| (f64::from(*x) - max).exp()).sum();
    max + sum.ln()
}

/// Root mean square around the mean.
fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let (mut num_values, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        (num_values, sum, squares) = (num_values + 1.0, sum + value, squares + value * value);
    }
    (squares / num_values - (sum / num_values).powi(2)).max(0.0).sqrt()
}
