//! `POST /v1/embeddings`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use server_api::{Embedding, Embeddings, EmbeddingsRequest, EncodingFormat, Vector};

use super::input::{Asked, cut};
use super::run::{Encoded, encode};
use super::vectors::Shape;
use super::{BYTES_PER_NUMBER, answer};
use crate::json::ApiJson;
use crate::openapi::Refusals;
use crate::served::{Purpose, ServedEncoder};
use crate::{ApiError, AppState, Caller, guard, refused};

/// The embeddings of texts.
#[utoipa::path(post, path = "/v1/embeddings", tag = "Embeddings",
    operation_id = "create_embeddings", request_body = EmbeddingsRequest,
    responses((status = 200, description = "The embeddings", body = Embeddings), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<EmbeddingsRequest>,
) -> Result<Response, ApiError> {
    let EmbeddingsRequest { messages, embed_dtype, endianness, .. } = &request;
    let unsupported =
        [("messages", messages), ("embed_dtype", embed_dtype), ("endianness", endianness)];
    refused::refuse_any(&unsupported)?;
    let id = request.model.as_deref().ok_or_else(|| ApiError::missing("model"))?;
    let model = state.encoder_or_only(Some(id), Purpose::Embed)?;
    let normalize = ("use_activation", request.use_activation);
    let shape = Shape::asked(model.info(), request.dimensions, normalize)?;
    let cut = cut(&model, request.truncate_prompt_tokens, request.truncation_side)?;
    let input = guard::prompt(&state, &model.text, request.input, "input").await?;
    let asked = Asked {
        cut,
        add_special_tokens: request.add_special_tokens.unwrap_or(true),
        prompt: default_prompt(&model),
        ..Asked::of(input, "input", state.limits())?
    };
    let Encoded { rows, usage } = encode(&state, &caller, &model, asked).await?;
    let format = request.encoding_format.unwrap_or_default();
    let num_numbers: usize = rows.iter().map(Vec::len).sum();
    let body = move || {
        let data = rows.into_iter().enumerate().map(|(index, mut row)| {
            shape.apply(&mut row);
            Embedding { object: "embedding".to_owned(), index, embedding: written(row, format) }
        });
        let (object, model) = ("list".to_owned(), model.id.clone());
        Embeddings { object, data: data.collect(), model, usage }
    };
    answer(&state, num_numbers * BYTES_PER_NUMBER, body).await
}

/// What the model's files want said before every text.
pub(super) fn default_prompt(model: &ServedEncoder) -> String {
    model.prompts.get(None).unwrap_or_default().to_owned()
}

fn written(row: Vec<f32>, format: EncodingFormat) -> Vector {
    match format {
        EncodingFormat::Float => Vector::Float(row),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
            Vector::Base64(BASE64_STANDARD.encode(bytes))
        }
    }
}
