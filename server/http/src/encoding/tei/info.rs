//! `GET /info`.

use axum::Json;
use axum::extract::State;
use engine_core::EncoderOutput;
use server_api::{TeiError, TeiInfo, TeiLabels, TeiModelType};

use crate::served::{Purpose, ServedEncoder};
use crate::{ApiError, AppState};

/// What is served, where that is one encoder.
#[utoipa::path(get, path = "/info", tag = "Text Embeddings Inference", operation_id = "tei_info",
    responses((status = 200, description = "The model", body = TeiInfo),
        (status = "4XX", description = "There are several", body = TeiError),
        (status = "5XX", description = "The server is at fault", body = TeiError)))]
pub(crate) async fn show(State(state): State<AppState>) -> Result<Json<TeiInfo>, ApiError> {
    let model = state.encoder_or_only(None, Purpose::Tell);
    let model =
        model.map_err(|error| error.adding("'/info' tells of the one encoder there is."))?;
    let info = model.info();
    Ok(Json(TeiInfo {
        model_id: model.id.clone(),
        model_sha: Some(model.version.to_string()),
        model_type: model_type(&model),
        max_input_length: info.max_input_len,
        max_batch_tokens: info.max_batch_tokens,
        max_client_batch_size: state.limits().max_inputs,
        auto_truncate: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

fn model_type(model: &ServedEncoder) -> TeiModelType {
    let EncoderOutput::Logits { labels, .. } = &model.info().output else {
        return TeiModelType::Embedding(Default::default());
    };
    let numbered = || labels.iter().enumerate();
    let labels = TeiLabels {
        id2label: numbered().map(|(id, label)| (id.to_string(), label.clone())).collect(),
        label2id: numbered().map(|(id, label)| (label.clone(), id)).collect(),
    };
    match labels.id2label.len() {
        1 => TeiModelType::Reranker(labels),
        _ => TeiModelType::Classifier(labels),
    }
}
