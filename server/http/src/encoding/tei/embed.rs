//! `POST /embed` and `/similarity`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use engine_text::Cut;
use server_api::{EmbedRequest, Prompt, SimilarityRequest, TeiError};

use crate::encoding::input::{Asked, check_count, empty, tei_cut};
use crate::encoding::run::{Encoded, encode};
use crate::encoding::vectors::{Shape, cosine};
use crate::encoding::{BYTES_PER_NUMBER, answer};
use crate::json::ApiJson;
use crate::served::{Purpose, ServedEncoder};
use crate::{ApiError, AppState, Caller, guard};

/// The embeddings of texts.
#[utoipa::path(post, path = "/embed", tag = "Text Embeddings Inference", operation_id = "embed",
    request_body = EmbedRequest,
    responses((status = 200, description = "One for each input", body = Vec<Vec<f32>>),
        (status = "4XX", description = "The request is at fault", body = TeiError),
        (status = "5XX", description = "The server is", body = TeiError)))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<EmbedRequest>,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Embed)?;
    let normalize = ("normalize", request.normalize);
    let shape = Shape::asked(model.info(), request.dimensions, normalize)?;
    let cut = tei_cut(&model, request.truncate, request.truncation_direction);
    let asked = Texts { prompt: request.inputs, field: "inputs", cut, name: request.prompt_name };
    let mut rows = rows(&state, &caller, &model, asked).await?;
    let num_numbers: usize = rows.iter().map(Vec::len).sum();
    let body = move || {
        rows.iter_mut().for_each(|row| shape.apply(row));
        rows
    };
    answer(&state, num_numbers * BYTES_PER_NUMBER, body).await
}

/// How near sentences are to one: the cosines of their embeddings.
#[utoipa::path(post, path = "/similarity", tag = "Text Embeddings Inference",
    operation_id = "similarity", request_body = SimilarityRequest,
    responses((status = 200, description = "One number for each sentence", body = Vec<f32>),
        (status = "4XX", description = "The request is at fault", body = TeiError),
        (status = "5XX", description = "The server is", body = TeiError)))]
pub(crate) async fn similarity(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<SimilarityRequest>,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Embed)?;
    let parameters = request.parameters.unwrap_or_default();
    let cut = tei_cut(&model, parameters.truncate, parameters.truncation_direction);
    let field = "inputs.sentences";
    check_count(request.inputs.sentences.len(), field, state.limits())?;
    if request.inputs.source_sentence.is_empty() {
        return Err(empty("inputs.source_sentence"));
    }
    let of = |texts: Vec<String>, field: &'static str| {
        let name = parameters.prompt_name.clone();
        Texts { prompt: Prompt::Texts(texts), field, cut, name }
    };
    let source = of(vec![request.inputs.source_sentence], "inputs.source_sentence");
    let source = rows(&state, &caller, &model, source).await?;
    let sentences = rows(&state, &caller, &model, of(request.inputs.sentences, field)).await?;
    let near = |row: &Vec<f32>| source.first().map(|source| cosine(source, row));
    let near: Vec<f32> = sentences.iter().filter_map(near).collect();
    answer(&state, near.len() * BYTES_PER_NUMBER, move || near).await
}

struct Texts {
    prompt: Prompt,
    field: &'static str,
    cut: Cut,
    /// Of the prompt.
    name: Option<String>,
}

async fn rows(
    state: &AppState,
    caller: &Caller,
    model: &Arc<ServedEncoder>,
    texts: Texts,
) -> Result<Vec<Vec<f32>>, ApiError> {
    let Texts { prompt, field, cut, name } = texts;
    let before = model.prompts.get(name.as_deref()).map_err(|names| {
        let message = format!(
            "'prompt_name' is none of this model's prompts, which are: {}.",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        ApiError::invalid(Some("prompt_name"), message)
    })?;
    let before = before.to_owned();
    let prompt = guard::prompt(state, &model.text, prompt, field).await?;
    let asked = Asked { cut, prompt: before, ..Asked::of(prompt, field, state.limits())? };
    let Encoded { rows, .. } = encode(state, caller, model, asked).await?;
    Ok(rows)
}
