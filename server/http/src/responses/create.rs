//! `POST /v1/responses` and `POST /v1/responses/input_tokens`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::Value;
use server_api::{InputTokenCount, ResponsesRequest};

use super::context::{Context, read_context};
use super::fit::fit;
use super::keep::Keeper;
use super::names::told;
use super::request;
use super::wire::ResponsesWire;
use super::{background, messages};
use crate::chat::{self, Started};
use crate::generation::Generation;
use crate::json::{ApiJson, FromJson, parse};
use crate::openapi::Refusals;
use crate::wire::{SSE, Wire, event_stream, stream};
use crate::{ApiError, AppState, Caller};

impl FromJson for ResponsesRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

/// A response, kept unless `store` is false or the project stores nothing.
#[utoipa::path(post, path = "/v1/responses", tag = "Responses", operation_id = "create_response",
    request_body = ResponsesRequest,
    responses(
        (status = 200, description = "With `stream`, OpenAI's events",
            content((server_api::Response = "application/json"),
                (serde_json::Value = "text/event-stream"))),
        Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(asked, num_bytes): ApiJson<ResponsesRequest>,
) -> Result<Response, ApiError> {
    request::check_stored(&asked, &caller)?;
    let prepared = prepare(&state, &caller, asked, num_bytes).await?;
    if prepared.is_kept {
        state.kept()?.check_room(&caller.tenant.0, "response", num_bytes).await?;
    }
    let is_background = prepared.asked.background.unwrap_or(false);
    if is_background {
        return in_background(&state, caller, prepared).await;
    }
    let Prepared { asked, context, items, is_kept, num_bytes } = prepared;
    let response = request::response(&asked, is_kept);
    let keeper = is_kept.then(|| keeper(&state, &caller, &context, false)).transpose()?;
    let own = (items.as_slice(), context.num_new);
    let started = start(&state, &caller, &asked, own, num_bytes).await?;
    let (generation, wire) = wire(started, response, keeper);
    if asked.stream.unwrap_or(false) {
        return Ok(stream(generation, wire, state.limits()));
    }
    Ok(Json(whole(generation, wire).await?).into_response())
}

/// How many tokens the input of a response would have.
#[utoipa::path(post, path = "/v1/responses/input_tokens", tag = "Responses",
    operation_id = "count_response_input_tokens", request_body = ResponsesRequest,
    responses((status = 200, description = "The number", body = InputTokenCount), Refusals))]
pub(crate) async fn count(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(asked, num_bytes): ApiJson<ResponsesRequest>,
) -> Result<Json<InputTokenCount>, ApiError> {
    let asked = ResponsesRequest { store: None, background: None, ..asked };
    let Prepared { asked, context, items, num_bytes, .. } =
        prepare(&state, &caller, asked, num_bytes).await?;
    let messages = messages::of_items(asked.instructions.as_deref(), &items);
    let chat = request::to_chat(&asked, messages)?;
    let counted = chat::count(&state, chat, num_bytes).await;
    let counted = counted.map_err(|error| told(error, &asked, (&items, context.num_new)));
    let input_tokens = counted? as u64;
    let object = "response.input_tokens".to_owned();
    Ok(Json(InputTokenCount { object, input_tokens }))
}

/// A request that was checked, with all that comes before its input.
struct Prepared {
    asked: ResponsesRequest,
    context: Context,
    items: Vec<Value>,
    is_kept: bool,
    num_bytes: usize,
}

async fn prepare(
    state: &AppState,
    caller: &Caller,
    asked: ResponsesRequest,
    num_bytes: usize,
) -> Result<Prepared, ApiError> {
    request::check(&asked)?;
    let is_stored = caller.stores();
    if is_stored && (asked.store == Some(true) || asked.background == Some(true)) {
        state.kept()?;
    }
    let is_kept = is_stored && asked.store.unwrap_or(true) && state.store().is_some();
    let context = read_context(state, caller, &asked, num_bytes).await?;
    if context.items.is_empty() {
        return Err(ApiError::missing("input"));
    }
    let num_bytes = context.num_bytes;
    let mut items = context.resolved(state, caller).await?;
    // Before anything is dropped, so that what is wrong is named by its place.
    messages::check_results(&items, context.num_new)?;
    if asked.truncation.as_deref() == Some("auto") {
        let fitted = fit(state, &asked, &mut items, num_bytes).await;
        fitted.map_err(|error| told(error, &asked, (&items, context.num_new)))?;
    }
    Ok(Prepared { asked, context, items, is_kept, num_bytes })
}

async fn start(
    state: &AppState,
    caller: &Caller,
    asked: &ResponsesRequest,
    (items, num_new): (&[Value], usize),
    num_bytes: usize,
) -> Result<Started, ApiError> {
    let messages = messages::of_items(asked.instructions.as_deref(), items);
    let chat = request::to_chat(asked, messages)?;
    let started = chat::start(state, caller.clone(), chat, num_bytes).await;
    started.map_err(|error| told(error, asked, (items, num_new)))
}

fn keeper(
    state: &AppState,
    caller: &Caller,
    context: &Context,
    is_queued: bool,
) -> Result<Keeper, ApiError> {
    let (store, whose) = (caller.store(state)?.into_owned(), caller.whose());
    Ok(Keeper { store, whose, input: context.input(), is_queued })
}

fn wire(
    started: Started,
    response: server_api::Response,
    keeper: Option<Keeper>,
) -> (Generation, ResponsesWire) {
    let Started { source, tools, opens_thought, generation, .. } = started;
    let parser = tools.parser(&source, opens_thought);
    let with_logprobs = source.params.sampling.logprobs.is_some();
    let text = source.model.text.clone();
    (generation, ResponsesWire::new(response, parser, text, with_logprobs, keeper))
}

/// Waits for the whole response, and for its being kept.
async fn whole(
    mut generation: Generation,
    mut wire: ResponsesWire,
) -> Result<server_api::Response, ApiError> {
    while let Some(output) = generation.next().await {
        match output {
            Ok(output) => drop(wire.chunks(output)),
            Err(error) => return Err(failed(wire, error).await),
        }
    }
    if let Some(sealing) = wire.seal() {
        sealing.await?;
    }
    generation.settle().await;
    Ok(wire.into_response())
}

/// Keeps a response that has failed, if it was to be kept; nothing else tells its client the id.
async fn failed(mut wire: ResponsesWire, error: ApiError) -> ApiError {
    wire.fail(&error);
    let Some(sealing) = wire.seal_failed() else { return error };
    match sealing.await {
        Ok(()) => error.adding(&format!("What was made of it is kept as {}.", wire.response().id)),
        Err(not_kept) => {
            tracing::warn!(error = %not_kept, "a response that failed was not kept");
            error
        }
    }
}

/// Answers at once, and works on.
async fn in_background(
    state: &AppState,
    caller: Caller,
    prepared: Prepared,
) -> Result<Response, ApiError> {
    let Prepared { asked, context, items, num_bytes, .. } = prepared;
    let mut response = request::response(&asked, true);
    response.status = "queued".to_owned();
    let place = state.background().reserve(caller.whose(), &response.id)?;
    let keeper = keeper(state, &caller, &context, true)?;
    let own = (items.as_slice(), context.num_new);
    let started = start(state, &caller, &asked, own, num_bytes).await?;
    keeper.queue(&response).await?;
    let events: std::sync::Arc<background::Events> = place.events.clone();
    let (generation, mut wire) = wire(started, response.clone(), None);
    events.push(&wire.queued());
    place.run(generation, wire, keeper);
    if asked.stream.unwrap_or(false) {
        return Ok(event_stream(SSE, events.follow(0, state.limits().keep_alive)));
    }
    Ok(Json(response).into_response())
}
