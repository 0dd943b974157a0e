//! `POST /score` and `/v1/score`: how well texts go together, in vLLM's form.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use server_api::{Score, ScoreRequest, Scores};

use super::input::{check_count, cut};
use super::scores::{Pairs, scores};
use super::{answer, new_id};
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::served::Purpose;
use crate::storage::unix_time;
use crate::{ApiError, AppState, Caller};

/// Bytes of one score in an answer, about.
const BYTES_PER_SCORE: usize = 64;

/// How well texts go together.
#[utoipa::path(post, path = "/score", tag = "Ranking", operation_id = "score",
    request_body = ScoreRequest,
    responses((status = 200, description = "The scores", body = Scores), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ScoreRequest>,
) -> Result<Response, ApiError> {
    score(&state, &caller, request).await
}

/// The same.
#[utoipa::path(post, path = "/v1/score", tag = "Ranking", operation_id = "score_v1",
    request_body = ScoreRequest,
    responses((status = 200, description = "The scores", body = Scores), Refusals))]
pub(crate) async fn v1(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ScoreRequest>,
) -> Result<Response, ApiError> {
    score(&state, &caller, request).await
}

async fn score(
    state: &AppState,
    caller: &Caller,
    request: ScoreRequest,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Score)?;
    let (first, second) = (request.text_1.0, request.text_2.0);
    check_count(first.len(), "text_1", state.limits())?;
    check_count(second.len(), "text_2", state.limits())?;
    if first.len() != 1 && first.len() != second.len() {
        let message = format!(
            "'text_1' has {} texts: it must be one, or as many as 'text_2' has, which are {}.",
            first.len(),
            second.len()
        );
        return Err(ApiError::invalid(Some("text_1"), message));
    }
    let cut = cut(&model, request.truncate_prompt_tokens, request.truncation_side)?;
    let activate = request.use_activation.unwrap_or(true);
    let fields = ["text_1", "text_2"];
    let pairs = Pairs { first, second, fields, cut, fit_second: false, activate };
    let (scores, usage) = scores(state, caller, &model, pairs).await?;
    let (id, created, model) = (new_id("score"), unix_time(), model.id.clone());
    let size = scores.len() * BYTES_PER_SCORE;
    let body = move || {
        let object = || "score".to_owned();
        let data = scores.into_iter().enumerate();
        let data = data.map(|(index, score)| Score { index, object: object(), score }).collect();
        Scores { id, object: "list".to_owned(), created, model, data, usage }
    };
    answer(state, size, body).await
}
