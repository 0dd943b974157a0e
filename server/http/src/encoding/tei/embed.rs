//! `POST /embed` and `/similarity`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use server_api::{EmbedRequest, SimilarityRequest, TeiError};

use crate::encoding::input::{Asked, Input, Places, check_count, empty, tei_cut};
use crate::encoding::run::{Encoded, encode};
use crate::encoding::vectors::{Shape, cosine};
use crate::encoding::{BYTES_PER_NUMBER, answer};
use crate::json::ApiJson;
use crate::served::{Purpose, ServedEncoder};
use crate::{ApiError, AppState, Caller, guard};

const FIELD: &str = "inputs";
const SOURCE: &str = "inputs.source_sentence";

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
    let before = prompt(&model, request.prompt_name.as_deref())?;
    let inputs = guard::prompt(&state, &model.text, request.inputs, FIELD).await?;
    let asked = Asked { cut, prompt: before, ..Asked::of(inputs, FIELD, state.limits())? };
    let Encoded { mut rows, .. } = encode(&state, &caller, &model, asked).await?;
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
        return Err(empty(SOURCE));
    }
    let source = vec![request.inputs.source_sentence];
    let source = guard::texts(&state, &model.text, source, SOURCE).await?;
    let sentences = guard::texts(&state, &model.text, request.inputs.sentences, field).await?;
    let places = Places { first: (SOURCE, source.len()), rest: (field, sentences.len()) };
    let inputs: Vec<Input> = source.into_iter().chain(sentences).map(Input::Text).collect();
    if let Some(idx) = inputs.iter().position(|input| input.size() == 0) {
        return Err(empty(&places.name(idx)));
    }
    let prompt = prompt(&model, parameters.prompt_name.as_deref())?;
    let asked = Asked { cut, prompt, ..Asked::new(inputs, places) };
    let Encoded { rows, .. } = encode(&state, &caller, &model, asked).await?;
    let (source, sentences) = rows.split_first().ok_or_else(ApiError::internal)?;
    let near: Vec<f32> = sentences.iter().map(|row| cosine(source, row)).collect();
    answer(&state, near.len() * BYTES_PER_NUMBER, move || near).await
}

/// What the prompt of that name puts before each text.
fn prompt(model: &ServedEncoder, name: Option<&str>) -> Result<String, ApiError> {
    let before = model.prompts.get(name).map_err(|names| {
        let message = format!(
            "'prompt_name' is none of this model's prompts, which are: {}.",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        ApiError::invalid(Some("prompt_name"), message)
    })?;
    Ok(before.to_owned())
}
