//! `POST /classify` and `/v1/classify`: labels of texts, in vLLM's form.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use engine_core::{Activation, EncoderOutput};
use server_api::{Classification, Classifications, ClassifyRequest};

use super::input::{Asked, cut};
use super::run::{Encoded, encode};
use super::{BYTES_PER_NUMBER, answer, new_id};
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::served::{Purpose, ServedEncoder};
use crate::storage::unix_time;
use crate::{ApiError, AppState, Caller, guard};

/// The labels of texts.
#[utoipa::path(post, path = "/classify", tag = "Classification", operation_id = "classify",
    request_body = ClassifyRequest,
    responses((status = 200, description = "The labels", body = Classifications), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ClassifyRequest>,
) -> Result<Response, ApiError> {
    classify(&state, &caller, request).await
}

/// The same.
#[utoipa::path(post, path = "/v1/classify", tag = "Classification", operation_id = "classify_v1",
    request_body = ClassifyRequest,
    responses((status = 200, description = "The labels", body = Classifications), Refusals))]
pub(crate) async fn v1(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ClassifyRequest>,
) -> Result<Response, ApiError> {
    classify(&state, &caller, request).await
}

async fn classify(
    state: &AppState,
    caller: &Caller,
    request: ClassifyRequest,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Classify)?;
    let cut = cut(&model, request.truncate_prompt_tokens, request.truncation_side)?;
    let input = guard::prompt(state, &model.text, request.input, "input").await?;
    let asked = Asked {
        cut,
        add_special_tokens: request.add_special_tokens.unwrap_or(true),
        ..Asked::of(input, "input", state.limits())?
    };
    let Encoded { mut rows, usage } = encode(state, caller, &model, asked).await?;
    let (labels, activation) = labels(&model)?;
    if request.use_activation.unwrap_or(true) {
        rows.iter_mut().for_each(|row| activation.apply(row));
    }
    let (id, created) = (new_id("classify"), unix_time());
    let size = rows.len() * (64 + labels.len() * BYTES_PER_NUMBER);
    let body = move || {
        let data = rows.into_iter().enumerate();
        let data = data.map(|(index, probs)| classification(index, probs, &labels)).collect();
        let (object, model) = ("list".to_owned(), model.id.clone());
        Classifications { id, object, created, model, data, usage }
    };
    answer(state, size, body).await
}

/// A classifier's labels, and what makes scores of its logits.
pub(super) fn labels(model: &ServedEncoder) -> Result<(Vec<String>, Activation), ApiError> {
    match &model.info().output {
        EncoderOutput::Logits { labels, activation } => Ok((labels.clone(), *activation)),
        // The model was chosen by its kind.
        EncoderOutput::Embedding { .. } | EncoderOutput::Rows { .. } => Err(ApiError::internal()),
    }
}

fn classification(index: usize, probs: Vec<f32>, labels: &[String]) -> Classification {
    let best = (0..probs.len()).reduce(|a, b| if probs[b] > probs[a] { b } else { a });
    let label = best.and_then(|best| labels.get(best)).cloned().unwrap_or_default();
    Classification { index, label, num_classes: probs.len(), probs }
}
