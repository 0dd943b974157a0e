//! `POST /predict`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use server_api::{LabelScore, PredictInputs, PredictRequest, TeiError, TextOrPair};
use utoipa::ToSchema;

use crate::encoding::input::{Asked, Input, Places, check_count, empty, tei_cut};
use crate::encoding::run::{Encoded, encode};
use crate::encoding::scores::ranked;
use crate::encoding::{answer, classify};
use crate::json::ApiJson;
use crate::names::place;
use crate::served::Purpose;
use crate::{ApiError, AppState, Caller, guard};

const FIELD: &str = "inputs";
/// Bytes of one label in an answer, about.
const BYTES_PER_LABEL: usize = 64;

/// The labels of texts.
#[utoipa::path(post, path = "/predict", tag = "Text Embeddings Inference",
    operation_id = "predict", request_body = PredictRequest,
    responses(
        (status = 200, description = "The labels, the likeliest first", body = Answer),
        (status = "4XX", description = "The request is at fault", body = TeiError),
        (status = "5XX", description = "The server is", body = TeiError)))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<PredictRequest>,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Classify)?;
    let (pairs, is_batch) = match request.inputs {
        PredictInputs::One(one) => (vec![one], false),
        PredictInputs::Batch(batch) => (batch, true),
    };
    check_count(pairs.len(), FIELD, state.limits())?;
    let num_inputs = pairs.len();
    if let Some(idx) = pairs.iter().position(|(first, _)| first.is_empty()) {
        return Err(empty(&place(FIELD, idx, num_inputs)));
    }
    let (first, second): (Vec<String>, Vec<Option<String>>) = pairs.into_iter().unzip();
    let first = guard::texts(&state, &model.text, first, FIELD).await?;
    let second = guard_some(&state, &model.text, second).await?;
    let inputs = first.into_iter().zip(second).map(input);
    let asked = Asked {
        cut: tei_cut(&model, request.truncate, request.truncation_direction),
        ..Asked::new(inputs.collect(), Places::of(FIELD, num_inputs))
    };
    let Encoded { mut rows, .. } = encode(&state, &caller, &model, asked).await?;
    let (labels, activation) = classify::labels(&model)?;
    if !request.raw_scores.unwrap_or(false) {
        rows.iter_mut().for_each(|row| activation.apply(row));
    }
    let size = rows.len() * labels.len() * BYTES_PER_LABEL;
    let body = move || {
        let all = rows.iter().map(|row| predictions(row, &labels));
        if is_batch { Answer::Batch(all.collect()) } else { Answer::One(all.flatten().collect()) }
    };
    answer(&state, size, body).await
}

/// The second texts of pairs, as their guards let them through.
async fn guard_some(
    state: &AppState,
    text: &std::sync::Arc<engine_text::TextModel>,
    texts: Vec<Option<String>>,
) -> Result<Vec<Option<String>>, ApiError> {
    let there: Vec<bool> = texts.iter().map(Option::is_some).collect();
    let some = texts.into_iter().flatten().collect();
    let mut some = guard::texts(state, text, some, FIELD).await?.into_iter();
    Ok(there.into_iter().map(|is_there| if is_there { some.next() } else { None }).collect())
}

fn input((first, second): TextOrPair) -> Input {
    match second {
        Some(second) => Input::Pair(first.into(), second),
        None => Input::Text(first),
    }
}

/// Of one input, or of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = PredictAnswer)]
#[serde(untagged)]
pub(crate) enum Answer {
    One(Vec<LabelScore>),
    Batch(Vec<Vec<LabelScore>>),
}

fn predictions(row: &[f32], labels: &[String]) -> Vec<LabelScore> {
    let prediction = |idx: usize| LabelScore { score: row[idx], label: labels[idx].clone() };
    ranked(row).into_iter().map(prediction).collect()
}
