//! The description of the API, gathered from the handlers and the wire types.

use server_api::{ChatChunk, ChatRequest, CompletionRequest, ErrorBody, GenerationOptions};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::mounted::Mounted;
use crate::{anthropic, audio, bedrock, conversations, encoding, openai, responses, routes};

/// A chat's fields beside the options of generation.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used; the body is parsed in two parts")]
pub(crate) struct ChatBody {
    #[serde(flatten)]
    request: ChatRequest,
    #[serde(flatten)]
    options: GenerationOptions,
}

/// A completion's fields beside the options of generation.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used; the body is parsed in two parts")]
pub(crate) struct CompletionBody {
    #[serde(flatten)]
    request: CompletionRequest,
    #[serde(flatten)]
    options: GenerationOptions,
}

/// What any route for models may answer instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its description is used; `ApiError` writes the answers")]
pub(crate) enum Refusals {
    /// The request is at fault; `param` names the field.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// The key is missing or not known.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// A server without keys serves only programs and pages of its own machine; or the tenant
    /// keeps as much as it may.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// There is no such model.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The body did not arrive in time, or the time is over that the request itself allows.
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON.
    #[response(status = 415)]
    MediaType(ErrorBody),
    /// The `Idempotency-Key` was used for another request.
    #[response(status = 422)]
    KeyReused(ErrorBody),
    /// The request was cancelled by its id.
    #[response(status = 499)]
    Cancelled(ErrorBody),
    /// As much runs in the background, or waits for its grammar, as may.
    #[response(status = 429)]
    TooMany(ErrorBody),
    /// The server had an error.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// The time is over that this server allows.
    #[response(status = 504)]
    Deadline(ErrorBody),
    /// The queue is full or the model is loading; `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Agentbase", description = "An OpenAI-compatible API over your own models."),
    paths(
        routes::models::list,
        routes::models::show,
        openai::chat::create,
        openai::completions::create,
        anthropic::messages::create,
        anthropic::messages::count_tokens,
        bedrock::converse,
        bedrock::converse_stream,
        bedrock::invoke,
        bedrock::invoke_with_response_stream,
        bedrock::count::count_tokens,
        bedrock::models::list,
        bedrock::models::show,
        responses::create::create,
        responses::create::count,
        responses::retrieve::retrieve,
        responses::retrieve::delete,
        responses::retrieve::input_items,
        responses::retrieve::cancel,
        conversations::whole::create,
        conversations::whole::retrieve,
        conversations::whole::update,
        conversations::whole::delete,
        conversations::items::create,
        conversations::items::list,
        conversations::items::retrieve,
        conversations::items::delete,
        openai::stored_chats::routes::list,
        openai::stored_chats::routes::retrieve,
        openai::stored_chats::routes::update,
        openai::stored_chats::routes::delete,
        openai::stored_chats::routes::messages,
        audio::transcriptions,
        audio::translations,
        encoding::embeddings::create,
        encoding::rerank::either,
        encoding::rerank::v1,
        encoding::rerank::v2,
        encoding::score::create,
        encoding::score::v1,
        encoding::classify::create,
        encoding::classify::v1,
        encoding::moderations::create,
        encoding::tei::embed::create,
        encoding::tei::embed::similarity,
        encoding::tei::predict::create,
        encoding::tei::info::show,
        routes::requests::cancel,
        routes::requests::delete,
        routes::tokens::tokenize,
        routes::tokens::detokenize,
        routes::tokens::info,
        routes::status::health,
        routes::status::ready,
        routes::status::metrics,
        routes::status::openapi_json,
        routes::status::docs,
    ),
    components(schemas(
        ChatChunk,
        ErrorBody,
        server_api::ErrorObject,
        server_api::TranscriptionEvent,
        server_api::VerboseTranscription,
    )),
    modifiers(&BearerKey),
    security(("key" = []))
)]
struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", scheme);
    }
}

/// The whole description, that of what was mounted with it.
pub(crate) fn document(mounted: &[Mounted]) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for part in mounted {
        document.merge(part.document().clone());
    }
    document
}
