//! What is encoded, and what sentence-transformers makes of it.
//!
//! Invariant: the texts of a work are those of the reference, in its order.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A batch of texts that are equally long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Work {
    pub(super) texts: usize,
    /// Of each text.
    pub(super) tokens: usize,
}

pub(super) const WORKS: [Work; 3] = [
    Work { texts: 1, tokens: 64 },
    Work { texts: 32, tokens: 64 },
    Work { texts: 16, tokens: 256 },
];
/// What ours must reach of the best peer's rate.
pub(super) const REACH: f64 = 1.4;
/// Embeddings that are less parallel to the reference are another model's.
pub(super) const LEAST_COSINE: f64 = 0.9999;

impl Work {
    /// How often it is done in one measurement, which tells the median.
    pub(super) fn repeat(self, quick: bool) -> usize {
        let passes = match self.texts * self.tokens {
            ..=64 => 200,
            65..=2048 => 20,
            _ => 10,
        };
        if quick { passes / 10 } else { passes }
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {}", self.texts, self.tokens)
    }
}

/// What `benches/make_minilm_reference.py` wrote.
#[derive(Deserialize)]
pub(super) struct Reference {
    /// Of the weights.
    pub(super) sha256: String,
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    tokens: Vec<u32>,
    row: Vec<f32>,
}

impl Reference {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is broken", path.display()))
    }

    fn inputs(&self, work: Work) -> Result<Vec<&Input>> {
        let fits = self.inputs.iter().filter(|input| input.tokens.len() == work.tokens);
        let inputs: Vec<&Input> = fits.take(work.texts).collect();
        ensure!(inputs.len() == work.texts, "the reference has too few texts for {work}");
        Ok(inputs)
    }

    /// The tokens of a work's texts.
    pub(super) fn tokens(&self, work: Work) -> Result<Vec<&[u32]>> {
        Ok(self.inputs(work)?.into_iter().map(|input| &input.tokens[..]).collect())
    }

    /// The least cosine between what was made of a work's texts and what should have been.
    pub(super) fn cosine(&self, work: Work, made: &[Vec<f32>]) -> Result<f64> {
        let wanted: Vec<&[f32]> =
            self.inputs(work)?.into_iter().map(|input| &input.row[..]).collect();
        least_cosine(&wanted, made)
    }
}

/// The least cosine between two lists of embeddings, one by one.
pub(super) fn least_cosine(wanted: &[&[f32]], made: &[Vec<f32>]) -> Result<f64> {
    ensure!(made.len() == wanted.len(), "{} embeddings of {} texts", made.len(), wanted.len());
    let mut least = 1.0;
    for (wanted, made) in wanted.iter().zip(made) {
        ensure!(made.len() == wanted.len(), "{} numbers, not {}", made.len(), wanted.len());
        let cosine = cosine(wanted, made);
        ensure!(cosine.is_finite(), "an embedding is of no numbers");
        least = cosine.min(least);
    }
    Ok(least)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{Reference, WORKS, least_cosine};
    use crate::repo;

    #[test]
    fn the_reference_has_the_texts_of_all_works() {
        let reference = Reference::read(&repo::root().join("benches/minilm_reference.json"));
        let reference = reference.unwrap();
        for work in WORKS {
            let tokens = reference.tokens(work).unwrap();
            assert!(tokens.iter().all(|tokens| tokens.len() == work.tokens));
            let rows: Vec<Vec<f32>> =
                reference.inputs(work).unwrap().iter().map(|input| input.row.clone()).collect();
            assert!(reference.cosine(work, &rows).unwrap() > 0.999_999);
            let mut wrong = rows.clone();
            wrong[0].reverse();
            assert!(reference.cosine(work, &wrong).unwrap() < 0.9, "{work}");
            assert!(reference.cosine(work, &rows[1..]).is_err());
        }
    }

    #[test]
    fn what_is_no_number_is_no_embedding() {
        assert!(least_cosine(&[&[1.0, 0.0]], &[vec![f32::NAN, 0.0]]).is_err());
        assert!(least_cosine(&[&[1.0, 0.0]], &[vec![0.0, 0.0]]).is_err());
        assert!(least_cosine(&[&[1.0, 0.0]], &[vec![1.0]]).is_err());
    }
}
