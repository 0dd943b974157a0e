//! The description of the API, gathered from the handlers and the wire types.

use server_api::{ChatChunk, ChatRequest, CompletionRequest, GenerationOptions};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::routes;

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

#[derive(OpenApi)]
#[openapi(
    info(title = "Agentbase", description = "An OpenAI-compatible API over your own models."),
    paths(
        routes::models::list,
        routes::models::show,
        routes::chat::create,
        routes::completions::create,
        routes::tokens::tokenize,
        routes::tokens::detokenize,
        routes::status::health,
        routes::status::ready,
        routes::status::metrics,
        routes::status::openapi_json,
        routes::status::docs,
    ),
    components(schemas(ChatChunk)),
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

/// The whole description.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
