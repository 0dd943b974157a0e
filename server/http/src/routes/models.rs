//! Which models are served.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use server_api::{Model, ModelList};

use crate::openapi::Refusals;
use crate::{ApiError, AppState, ServedModel};

/// All models that are ready to answer.
#[utoipa::path(get, path = "/v1/models", tag = "Models",
    responses((status = 200, description = "The models, by id", body = ModelList), Refusals))]
pub(crate) async fn list(State(state): State<AppState>) -> Json<ModelList> {
    let data = state.ready_models().iter().map(|model| describe(model)).collect();
    Json(ModelList { object: "list".to_owned(), data })
}

/// One model. The id may hold slashes.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "Models",
    params(("id" = String, Path, description = "The model's id")),
    responses((status = 200, description = "The model", body = Model), Refusals))]
pub(crate) async fn show(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(Some("id"), error.body_text()))?;
    Ok(Json(describe(&*state.model(&id)?)))
}

fn describe(model: &ServedModel) -> Model {
    Model {
        id: model.id.clone(),
        object: "model".to_owned(),
        created: model.created_unix,
        owned_by: "agentbase".to_owned(),
        max_model_len: model.handle.limits().max_sequence_len(),
    }
}
