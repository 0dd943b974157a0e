//! What recordings say: OpenAI's transcriptions and translations.
//!
//! Where each step of a request happens: `form` (the upload, within limits) → `asked` (its fields)
//! → `engine/audio` (samples) → `run` (submit, what is said, guards) → `words` (where somebody asks
//! for them) → `written` (the form of the answer).
//!
//! Invariant: nothing of a recording, nor of what is said in it, goes into the log. Dropping the
//! handler, or the body of a stream, ends the work.

mod asked;
mod form;
mod languages;
mod run;
mod words;
mod written;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use engine_audio::{AudioError, Limits};
use engine_core::{SpeechInput, SpeechTask};
use server_api::{Transcription, TranscriptionRequest, TranslationRequest};

use self::asked::Asked;
use self::form::{Form, Upload};
use self::run::Recording;
use crate::blocking::run_sized;
use crate::openapi::Refusals;
use crate::served::ServedSpeech;
use crate::{ApiError, AppState, Caller, guard};

/// Both routes; the limit of a body is our own.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/audio/transcriptions", post(transcriptions))
        .route("/v1/audio/translations", post(translations))
        .layer(DefaultBodyLimit::disable())
}

/// The text of a recording.
#[utoipa::path(post, path = "/v1/audio/transcriptions", tag = "Audio",
    operation_id = "create_transcription",
    request_body(content = TranscriptionRequest, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What is said: `json` has this shape, `verbose_json` \
            VerboseTranscription, a stream events of TranscriptionEvent; the others are text",
            content((Transcription = "application/json"), (String = "text/plain"),
                (serde_json::Value = "text/event-stream"))), Refusals))]
pub(crate) async fn transcriptions(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, &caller, request, SpeechTask::Transcribe).await
}

/// The text of a recording in English.
#[utoipa::path(post, path = "/v1/audio/translations", tag = "Audio",
    operation_id = "create_translation",
    request_body(content = TranslationRequest, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What is said, in English: `json` has this shape, \
            `verbose_json` VerboseTranscription; the others are text",
            content((Transcription = "application/json"), (String = "text/plain"))), Refusals))]
pub(crate) async fn translations(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, &caller, request, SpeechTask::Translate).await
}

async fn answer(
    state: &AppState,
    caller: &Caller,
    request: Request,
    task: SpeechTask,
) -> Result<Response, ApiError> {
    let (recording, asked) = {
        // Held while the file is in memory.
        let _permit = state.audio_jobs().permit(&caller.tenant).await.map_err(|_| {
            let message = "Too many recordings of yours are being received. Retry later.";
            ApiError::refused(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", message)
                .retry_after(1)
        })?;
        let (asked, file) = Asked::of(Form::read(state, request).await?, task)?;
        let model = state.served(&asked.model)?.speech()?;
        let input = input(state, &model, &asked, task).await?;
        let samples = samples(state, file).await?;
        let input = SpeechInput { samples, ..input };
        (Recording::submit(state, caller, model, input).await?, asked)
    };
    match asked.stream {
        true => Ok(run::stream(recording, state.limits())),
        false => Ok(written::write(&asked, task, recording.collect().await?)),
    }
}

/// All but the samples, checked against what the model is.
async fn input(
    state: &AppState,
    model: &Arc<ServedSpeech>,
    asked: &Asked,
    task: SpeechTask,
) -> Result<SpeechInput, ApiError> {
    let info = model.info();
    if task == SpeechTask::Translate && !info.is_multilingual() {
        let message = format!("The model `{}` knows English alone; it cannot translate.", model.id);
        return Err(ApiError::invalid(Some("model"), message).code("unsupported_model"));
    }
    let language =
        asked.language.as_deref().map(|name| languages::known(info, name)).transpose()?;
    let mut prompt = Vec::new();
    if let Some(text) = &asked.prompt {
        let texts = guard::texts(state, &model.text, vec![text.clone()], "prompt").await?;
        // As it would stand in a transcript.
        let text = format!(" {}", texts.concat().trim());
        let (size, model) = (text.len(), Arc::clone(model));
        let tokens = run_sized(state, size, move || model.text.encode(&text, false)).await?;
        prompt = tokens.map_err(|error| ApiError::from_text(&error, "prompt"))?;
        // Marks that are written out are no text.
        prompt.retain(|token| *token < info.first_mark);
        let surplus = prompt.len().saturating_sub(info.max_prompt_len);
        prompt.drain(..surplus);
    }
    if asked.words && guard::OutputGuards::of(state).are_any() {
        // A guard may need words that come later to see what one is part of.
        let message = "Words have no times where this server checks what is said.";
        return Err(ApiError::unsupported(asked::GRANULARITIES, message));
    }
    let (temperature, token_times) = (asked.temperature, asked.words);
    Ok(SpeechInput { samples: Vec::new(), task, language, prompt, temperature, token_times })
}

/// The file's samples.
async fn samples(state: &AppState, file: Upload) -> Result<Vec<f32>, ApiError> {
    let limits = state.limits();
    let (max_bytes, max_seconds) = (limits.max_audio_bytes, limits.max_audio_seconds);
    let limits = Limits { max_bytes, max_seconds };
    let Upload { bytes, extension } = file;
    let size = bytes.len();
    let decode = move || engine_audio::decode(bytes.into(), extension.as_deref(), limits);
    run_sized(state, size, decode).await?.map_err(|error| match error {
        AudioError::TooLarge { .. } => form::too_large(max_bytes),
        error => {
            let message = format!("The file of 'file' cannot be read: {error}.");
            ApiError::invalid(Some("file"), message)
        }
    })
}
