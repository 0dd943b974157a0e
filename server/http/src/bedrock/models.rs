//! `ListFoundationModels` and `GetFoundationModel` of Bedrock's control plane.

use axum::Json;
use axum::extract::State;
use server_api::{
    BedrockError, FoundationModel, FoundationModelDetails, FoundationModels, ModelLifecycle,
};

use super::{Id, model};
use crate::storage::Query;
use crate::{ApiError, AppState, ServedModel, ticket};

const PROVIDER: &str = "Agentbase";
/// What models may be asked for by, and AWS's values: those that ours have come first.
const FILTERS: [(&str, usize, &[&str]); 3] = [
    ("byCustomizationType", 0, &["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"]),
    ("byOutputModality", 1, &["TEXT", "IMAGE", "EMBEDDING"]),
    ("byInferenceType", 1, &["ON_DEMAND", "PROVISIONED"]),
];

/// The models that answer.
#[utoipa::path(get, path = "/foundation-models", tag = "Bedrock",
    operation_id = "list_foundation_models",
    params(("byProvider" = Option<String>, Query, description = "`Agentbase`"),
        ("byCustomizationType" = Option<String>, Query, description = "Nothing has any"),
        ("byOutputModality" = Option<String>, Query, description = "`TEXT`"),
        ("byInferenceType" = Option<String>, Query, description = "`ON_DEMAND`")),
    responses((status = 200, description = "The models, by id", body = FoundationModels),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    query: Query,
) -> Result<Json<FoundationModels>, ApiError> {
    let mut is_any = query.get("byProvider").is_none_or(|by| by.eq_ignore_ascii_case(PROVIDER));
    for (name, num_ours, values) in FILTERS {
        let Some(value) = query.get(name) else { continue };
        let Some(which) = values.iter().position(|known| *known == value) else {
            let message =
                format!("Invalid value for '{name}': it is one of {}.", values.join(", "));
            return Err(ApiError::invalid(Some(name), message));
        };
        is_any &= which < num_ours;
    }
    let models = [state.ready_generators(), state.adapted_models().await].concat();
    let models = models
        .iter()
        .filter(|model| is_any && ticket::allows_model(&model.id))
        .map(|model| describe(model));
    Ok(Json(FoundationModels { model_summaries: models.collect() }))
}

/// One of them, by its id or ARN.
#[utoipa::path(get, path = "/foundation-models/{id}", tag = "Bedrock",
    operation_id = "get_foundation_model",
    params(("id" = String, Path, description = "The model's id")),
    responses((status = 200, description = "The model", body = FoundationModelDetails),
        (status = "4XX", description = "The request is at fault", body = BedrockError),
        (status = "5XX", description = "The server is", body = BedrockError)))]
pub(crate) async fn show(
    State(state): State<AppState>,
    id: Id,
) -> Result<Json<FoundationModelDetails>, ApiError> {
    let found = state.model(&model(&state, id)?)?;
    Ok(Json(FoundationModelDetails { model_details: describe(&found) }))
}

fn describe(model: &ServedModel) -> FoundationModel {
    let text = || vec!["TEXT".to_owned()];
    let sees = model.vision.is_some();
    FoundationModel {
        model_arn: format!("arn:aws:bedrock:local::foundation-model/{}", model.id),
        model_id: model.id.clone(),
        model_name: model.id.clone(),
        provider_name: PROVIDER.to_owned(),
        input_modalities: text().into_iter().chain(sees.then(|| "IMAGE".to_owned())).collect(),
        output_modalities: text(),
        response_streaming_supported: true,
        customizations_supported: Vec::new(),
        inference_types_supported: vec!["ON_DEMAND".to_owned()],
        model_lifecycle: ModelLifecycle { status: "ACTIVE".to_owned() },
    }
}
