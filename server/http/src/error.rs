//! The one error of the HTTP edge, in OpenAI's shape.
//!
//! Invariant: a message names the field at fault and never repeats a prompt or a key.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::{EngineError, InvalidRequest, RequestError};
use engine_text::TextError;
use scheduler_batching::SubmitError;
use server_api::{ErrorBody, ErrorObject};

use crate::tools::Unpaired;

/// Clients that retry by themselves heed it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Messages are cut here: a parser's may repeat the text that it could not read.
const MAX_MESSAGE_CHARS: usize = 400;

/// An answer that is not a success.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {}", body.message)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorObject,
    retry_after_s: Option<u32>,
    unpaired: Option<Box<Unpaired>>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        let body = ErrorObject { message, kind: kind.to_owned(), param: None, code: None };
        Self { status, body, retry_after_s: None, unpaired: None }
    }

    fn param(mut self, param: &str) -> Self {
        self.body.param = Some(param.to_owned());
        self
    }

    pub(crate) fn code(mut self, code: &str) -> Self {
        self.body.code = Some(code.to_owned());
        self
    }

    /// It is of calls and results that do not go together.
    pub(crate) fn of(mut self, unpaired: Unpaired) -> Self {
        self.unpaired = Some(Box::new(unpaired));
        self
    }

    /// The calls and results that do not go together, which each API tells in its own words.
    pub(crate) fn unpaired(&self) -> Option<&Unpaired> {
        self.unpaired.as_deref()
    }

    /// Says more, which is as short.
    pub(crate) fn adding(mut self, sentence: &str) -> Self {
        self.body.message = format!("{} {sentence}", self.body.message);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// 400: the request cannot be understood or done; `param` names the field if there is one.
    pub fn invalid(param: Option<&str>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        match param {
            Some(param) => error.param(param),
            None => error,
        }
    }

    /// 400: a field that must be there is not.
    pub fn missing(param: &str) -> Self {
        Self::invalid(Some(param), format!("Missing required parameter: '{param}'."))
    }

    /// 400: the API has the option, this server does not.
    pub(crate) fn unsupported(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(Some(param), message).code("unsupported_parameter")
    }

    /// Another status than 400 for a request that is at fault.
    pub fn refused(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message).code(code)
    }

    /// 401: the key is missing or not known.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    pub(crate) fn model_not_found(model: &str) -> Self {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        Self::refused(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(code: &str, message: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable_error", message)
            .code(code)
            .retry_after(retry_after_s)
    }

    /// 500; the cause belongs into the log, not into the answer.
    pub fn internal() -> Self {
        let message = "The server had an error while processing your request.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).code("internal_error")
    }

    /// The same in the words of another API, where fields have other names.
    pub(crate) fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        for (ours, theirs) in names {
            self.body.message = self.body.message.replace(ours, theirs);
            self.body.param = self.body.param.map(|param| param.replace(ours, theirs));
        }
        self
    }

    /// The same in the words of another API: `name` says what a field is called there.
    pub(crate) fn in_words(mut self, name: impl Fn(&str) -> Option<String>) -> Self {
        let said = |part: &str| name(part).unwrap_or_else(|| part.to_owned());
        // Messages quote the names of fields. What is quoted otherwise is no name of any.
        let parts: Vec<String> = self.body.message.split('\'').map(said).collect();
        self.body.message = parts.join("'");
        self.body.param = self.body.param.as_deref().map(said);
        self
    }

    /// The time is over: 408 where the client set it, 504 where the operator did.
    pub(crate) fn deadline_exceeded(timeout: Duration, by_client: bool) -> Self {
        let (status, whose) = match by_client {
            true => (StatusCode::REQUEST_TIMEOUT, "its own time"),
            false => (StatusCode::GATEWAY_TIMEOUT, "the time this server allows"),
        };
        let seconds = timeout.as_secs_f64();
        let message = format!("The request was not done within {whose} of {seconds} s.");
        Self::new(status, "timeout_error", message).code("deadline_exceeded")
    }

    /// The tenant wants no answer any more. The status is nginx' for a client that went away.
    pub(crate) fn cancelled() -> Self {
        let status = StatusCode::from_u16(499).unwrap_or(StatusCode::CONFLICT);
        Self::refused(status, "request_cancelled", "The request was cancelled.")
    }

    /// Whether clients are told not to try again, as they do by themselves after some statuses.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self.body.code.as_deref(),
            Some("deadline_exceeded" | "request_cancelled" | "insufficient_quota")
        )
    }

    /// Whether the tenant ended it.
    pub(crate) fn is_cancel(&self) -> bool {
        self.body.code.as_deref() == Some("request_cancelled")
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, as an answer or as an event of a stream.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { error: self.body.clone() }
    }

    /// 400 for a prompt, or a prompt with its `max_tokens`, that the context cannot hold.
    pub(crate) fn context_length(param: &str, prompt: u64, max_tokens: u64, limit: u32) -> Self {
        let asked = match max_tokens {
            0 => format!("your {param} resulted in {prompt} tokens"),
            _ => format!(
                "you requested {} tokens ({prompt} in the {param}, {max_tokens} in the completion)",
                prompt.saturating_add(max_tokens)
            ),
        };
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, {asked}. Please \
             reduce the length of the {param} or completion."
        );
        Self::invalid(Some(param), message).code("context_length_exceeded")
    }

    /// 400 for a text that is too long to tokenize, and for the context by its bytes alone.
    pub(crate) fn context_length_bytes(
        param: &str,
        num_bytes: &str,
        min_tokens: usize,
        limit: u32,
    ) -> Self {
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, your {param} resulted \
             in {num_bytes} of text, which are at least {min_tokens} tokens. Please reduce the \
             length of the {param}."
        );
        Self::invalid(Some(param), message).code("context_length_exceeded")
    }

    /// `param` is where the prompt came from.
    pub(crate) fn from_invalid(error: &InvalidRequest, param: &str) -> Self {
        match *error {
            InvalidRequest::PromptTooLong { prompt_tokens, max_model_len } => {
                Self::context_length(param, prompt_tokens.into(), 0, max_model_len)
            }
            InvalidRequest::ContextExceeded { prompt_tokens, max_tokens, max_model_len } => {
                let (prompt, max_tokens) = (prompt_tokens.into(), max_tokens.into());
                Self::context_length(param, prompt, max_tokens, max_model_len)
            }
            InvalidRequest::EmptyPrompt
            | InvalidRequest::UnknownToken { .. }
            | InvalidRequest::Parameter(_) => Self::invalid(Some(param), error.to_string()),
        }
    }

    pub(crate) fn from_submit(error: SubmitError, param: &str) -> Self {
        match error {
            SubmitError::QueueFull { waiting, retry_after_s } => Self::unavailable(
                "queue_full",
                format!("The queue is full: {waiting} requests are waiting. Retry later."),
                retry_after_s,
            ),
            SubmitError::Invalid(invalid) => Self::from_invalid(&invalid, param),
            SubmitError::ShuttingDown => Self::shutting_down(),
        }
    }

    fn shutting_down() -> Self {
        Self::unavailable("shutting_down", "The server is shutting down.", 5)
    }

    pub(crate) fn from_request(error: &RequestError, param: &str) -> Self {
        match error {
            RequestError::Invalid(invalid) => Self::from_invalid(invalid, param),
            RequestError::ShuttingDown => Self::shutting_down(),
            RequestError::Engine(EngineError::Grammar(error)) => {
                let message = format!("The answer could not follow its grammar: {error}.");
                Self::invalid(None, message).code("grammar_failed")
            }
            // The driver has logged the cause.
            RequestError::Engine(_) => Self::internal(),
        }
    }

    pub(crate) fn from_text(error: &TextError, param: &str) -> Self {
        let invalid = Self::invalid(Some(param), error.to_string());
        match error {
            TextError::TextTooLong { .. } | TextError::RenderedTooLong { .. } => {
                invalid.code("string_above_max_length")
            }
            _ => invalid,
        }
    }
}

/// An error that came from below, written in another API's shape; what headers say beside it stays.
pub(crate) fn reshaped(
    mut response: Response,
    shape: impl FnOnce(&ApiError) -> Response,
) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let mut shaped = shape(&error);
    let kept = response.headers().iter().filter(|(name, _)| {
        !matches!(name.as_str(), "content-type" | "content-length" | "www-authenticate")
    });
    shaped.headers_mut().extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    shaped
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        // For APIs that shape it differently.
        response.extensions_mut().insert(self.clone());
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.is_final() {
            let no = HeaderValue::from_static("false");
            response.headers_mut().insert(SHOULD_RETRY, no);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
