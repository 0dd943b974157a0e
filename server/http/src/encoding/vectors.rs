//! What becomes of a row that is an embedding.
//!
//! Invariant: a row that is cut has length 1 again if it had or was to have.

use engine_core::{EncoderInfo, EncoderOutput};

use crate::ApiError;

/// How embeddings are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Only so many numbers.
    dimensions: Option<usize>,
    normalize: bool,
}

impl Shape {
    /// Checks what is asked of embeddings; `normalize` by the name that it has in the request.
    pub(super) fn asked(
        info: &EncoderInfo,
        dimensions: Option<i64>,
        (name, normalize): (&str, Option<bool>),
    ) -> Result<Self, ApiError> {
        let (dim, normalized, truncatable) = match info.output {
            EncoderOutput::Embedding { dim, normalized, truncatable } => {
                (dim, normalized, truncatable)
            }
            EncoderOutput::Rows { width } => (width, false, None),
            EncoderOutput::Logits { ref labels, .. } => (labels.len(), false, None),
        };
        if normalized && normalize == Some(false) {
            let message = format!(
                "'{name}' cannot be false: this model's embeddings have length 1 as it makes them."
            );
            return Err(ApiError::unsupported(name, message));
        }
        let dimensions = match dimensions {
            None => None,
            Some(asked) => cut_to(asked, dim, truncatable == Some(true))?,
        };
        Ok(Self { dimensions, normalize: normalize.unwrap_or(true) })
    }

    pub(super) fn apply(self, row: &mut Vec<f32>) {
        if let Some(dimensions) = self.dimensions {
            row.truncate(dimensions);
        }
        if self.normalize {
            normalize(row);
        }
    }
}

/// As vLLM has it: what a model was not trained for is refused, not answered badly.
fn cut_to(asked: i64, dim: usize, is_truncatable: bool) -> Result<Option<usize>, ApiError> {
    let name = "dimensions";
    match usize::try_from(asked) {
        Ok(asked) if asked == dim => Ok(None),
        Ok(asked) if is_truncatable && (1..dim).contains(&asked) => Ok(Some(asked)),
        _ if is_truncatable => {
            let message = format!("'{name}' must be from 1 to {dim}.");
            Err(ApiError::invalid(Some(name), message))
        }
        _ => {
            let message = format!(
                "'{name}' must be {dim}: this model was not trained for embeddings of other \
                 lengths (Matryoshka), as far as its files say."
            );
            Err(ApiError::invalid(Some(name), message))
        }
    }
}

/// Makes a row's length 1; of nothing but zeros it stays 0.
fn normalize(row: &mut [f32]) {
    let norm = norm(row);
    if norm > 0.0 {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}

/// The cosine of the angle between two rows; 0 if one has no length.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let norms = norm(a) * norm(b);
    let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    if norms > 0.0 { (dot / norms) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(normalized: bool, truncatable: Option<bool>) -> EncoderInfo {
        let output = EncoderOutput::Embedding { dim: 4, normalized, truncatable };
        EncoderInfo { max_input_len: 8, max_batch_tokens: 8, vocab_size: 8, output }
    }

    #[test]
    fn rows_are_cut_and_have_length_1_again() {
        let shape = Shape::asked(&info(true, Some(true)), Some(2), ("n", None)).unwrap();
        let mut row = vec![0.3, 0.4, 0.5, 0.7];
        shape.apply(&mut row);
        assert_eq!(row, [0.6, 0.8]);
        let raw = Shape::asked(&info(false, None), None, ("n", Some(false))).unwrap();
        let mut row = vec![3.0, 4.0, 0.0, 0.0];
        raw.apply(&mut row);
        assert_eq!(row, [3.0, 4.0, 0.0, 0.0]);
        let mut zero = vec![0.0; 4];
        Shape::asked(&info(false, None), Some(4), ("n", None)).unwrap().apply(&mut zero);
        assert_eq!(zero, [0.0; 4]);
    }

    #[test]
    fn what_the_model_cannot_do_is_refused() {
        let cases = [
            (true, Some(true), Some(5), None, "dimensions"),
            (true, Some(true), Some(0), None, "dimensions"),
            (true, Some(true), Some(i64::MIN), None, "dimensions"),
            (true, None, Some(2), None, "dimensions"),
            (true, Some(false), Some(2), None, "dimensions"),
            (true, None, None, Some(false), "n"),
        ];
        for (normalized, truncatable, dimensions, normalize, param) in cases {
            let info = info(normalized, truncatable);
            let error = Shape::asked(&info, dimensions, ("n", normalize)).unwrap_err();
            assert_eq!(error.body().error.param.as_deref(), Some(param));
        }
    }

    #[test]
    fn cosines_are_of_angles_alone() {
        assert_eq!(cosine(&[1.0, 0.0], &[3.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert_eq!(cosine(&[1.0, 1.0], &[-2.0, -2.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }
}
