//! How well texts go together: by a model that reads both (a cross-encoder), or by how near their
//! embeddings are.
//!
//! Invariant: higher is better, whatever makes the score.

use std::sync::Arc;

use engine_core::{Activation, EncoderOutput};
use engine_text::Cut;
use server_api::InputUsage;

use super::embeddings::default_prompt;
use super::input::{Asked, Input, Places};
use super::run::{Encoded, encode};
use super::vectors::cosine;
use crate::served::ServedEncoder;
use crate::{ApiError, AppState, Caller, guard};

/// Pairs of texts, by two lists; of the first there may be one for all.
pub(super) struct Pairs {
    pub(super) first: Vec<String>,
    pub(super) second: Vec<String>,
    /// What errors call them.
    pub(super) fields: [&'static str; 2],
    pub(super) cut: Cut,
    /// Whether the second are cut to what the model reads beside the first.
    pub(super) fit_second: bool,
    /// Whether scores are more than the model's logits.
    pub(super) activate: bool,
}

/// One score for each pair, and what that took.
pub(super) async fn scores(
    state: &AppState,
    caller: &Caller,
    model: &Arc<ServedEncoder>,
    mut pairs: Pairs,
) -> Result<(Vec<f32>, InputUsage), ApiError> {
    let [first, second] = pairs.fields;
    pairs.first = guard::texts(state, &model.text, pairs.first, first).await?;
    pairs.second = guard::texts(state, &model.text, pairs.second, second).await?;
    match &model.info().output {
        EncoderOutput::Embedding { .. } | EncoderOutput::Rows { .. } => {
            by_angle(state, caller, model, pairs).await
        }
        EncoderOutput::Logits { labels, .. } if labels.len() != 1 => {
            let message = format!(
                "The model `{}` has {} labels; texts are scored by a model with one, or by one \
                 that makes embeddings.",
                model.id,
                labels.len()
            );
            Err(ApiError::invalid(Some("model"), message).code("unsupported_model"))
        }
        EncoderOutput::Logits { activation, .. } => {
            let activation = if pairs.activate { *activation } else { Activation::Identity };
            by_reading(state, caller, model, pairs, activation).await
        }
    }
}

async fn by_reading(
    state: &AppState,
    caller: &Caller,
    model: &Arc<ServedEncoder>,
    pairs: Pairs,
    activation: Activation,
) -> Result<(Vec<f32>, InputUsage), ApiError> {
    let Pairs { first, second, fields, cut, fit_second: fit_documents, .. } = pairs;
    let places = Places { first: (fields[0], 0), rest: (fields[1], second.len()) };
    let first: Vec<Arc<str>> = first.into_iter().map(Into::into).collect();
    // The last of the first goes with all that are left.
    let inputs = second.into_iter().enumerate().filter_map(|(idx, second)| {
        let first = first.get(idx).or(first.last())?;
        Some(Input::Pair(Arc::clone(first), second))
    });
    let asked = Asked { cut, fit_documents, ..Asked::new(inputs.collect(), places) };
    let Encoded { mut rows, usage } = encode(state, caller, model, asked).await?;
    // Of one label, softmax would say 1 whatever the model says.
    let activation = match activation {
        Activation::Softmax => Activation::Sigmoid,
        other => other,
    };
    rows.iter_mut().for_each(|row| activation.apply(row));
    Ok((rows.into_iter().flatten().collect(), usage))
}

async fn by_angle(
    state: &AppState,
    caller: &Caller,
    model: &Arc<ServedEncoder>,
    pairs: Pairs,
) -> Result<(Vec<f32>, InputUsage), ApiError> {
    let Pairs { first, second, fields, cut, fit_second: fit_documents, .. } = pairs;
    let num_first = first.len();
    let places = Places { first: (fields[0], num_first), rest: (fields[1], second.len()) };
    let inputs = first.into_iter().map(Input::Text).chain(second.into_iter().map(Input::Document));
    let prompt = default_prompt(model);
    let asked = Asked { cut, fit_documents, prompt, ..Asked::new(inputs.collect(), places) };
    let Encoded { rows, usage } = encode(state, caller, model, asked).await?;
    let (first, second) = rows.split_at(num_first.min(rows.len()));
    let scores = second
        .iter()
        .enumerate()
        .filter_map(|(idx, second)| Some(cosine(first.get(idx).or(first.last())?, second)));
    Ok((scores.collect(), usage))
}

/// The places of scores, the best first, and of equals the earlier.
pub(super) fn ranked(scores: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    places
}
