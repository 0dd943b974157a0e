//! Which models are served.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use server_api::{Model, ModelList};

use crate::openapi::Refusals;
use crate::served::{Kind, Served};
use crate::{ApiError, AppState, anthropic, ticket};

/// All models that are ready to answer; with `anthropic-version`, in Anthropic's shape.
#[utoipa::path(get, path = "/v1/models", tag = "Models",
    responses((status = 200, description = "The models, by id", body = ModelList), Refusals))]
pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let mut adapted = state.adapted_models().await;
    adapted.retain(|model| ticket::allows_model(&model.id));
    if anthropic::is_spoken(&headers) {
        // Its clients can only chat.
        let models = [state.ready_generators(), adapted].concat();
        let models = models.iter().filter(|model| ticket::allows_model(&model.id));
        let models = models.map(|model| anthropic::models::describe(model));
        return Json(anthropic::models::page(models.collect())).into_response();
    }
    let adapted = adapted.into_iter().map(Served::Generator);
    let ready = state.ready_models().into_iter().filter(|model| ticket::allows_model(model.id()));
    let data = ready.chain(adapted).map(|model| describe(&model)).collect();
    Json(ModelList { object: "list".to_owned(), data }).into_response()
}

/// One model, in the same shapes. The id may hold slashes.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "Models",
    params(("id" = String, Path, description = "The model's id")),
    responses((status = 200, description = "The model", body = Model), Refusals))]
pub(crate) async fn show(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(Some("id"), error.body_text()))?;
    if anthropic::is_spoken(&headers) {
        let model = state.model(&id)?;
        return Ok(Json(anthropic::models::describe(&model)).into_response());
    }
    Ok(Json(describe(&state.served(&id)?)).into_response())
}

fn describe(model: &Served) -> Model {
    let kind = match model.kind() {
        Kind::Generator => None,
        Kind::Embedder => Some("embedder".to_owned()),
        Kind::Classifier => Some("classifier".to_owned()),
        Kind::Transcriber => Some("transcriber".to_owned()),
    };
    Model {
        id: model.id().to_owned(),
        object: "model".to_owned(),
        created: model.created_unix(),
        owned_by: "agentbase".to_owned(),
        max_model_len: model.max_len(),
        parent: model.parent().map(str::to_owned),
        kind,
    }
}
