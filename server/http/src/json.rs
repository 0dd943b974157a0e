//! A request's JSON body: read within limits, checked for depth, parsed with the path of errors.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server_api::{GenerationOptions, UnsupportedOptions};

use crate::blocking::run_sized;
use crate::{ApiError, AppState, HttpLimits, params};

/// Objects and arrays inside each other. serde_json has the same limit, but not for fields that
/// are ignored.
const MAX_DEPTH: usize = 128;
/// A body over the limit is read on to this many times the limit and dropped, so that a client
/// that writes all before it reads gets its 413 and not a reset connection.
const DRAIN_FACTOR: usize = 16;

/// A parsed body, and how many bytes it had: the measure of all further work on it.
pub(crate) struct ApiJson<T>(pub(crate) T, pub(crate) usize);

/// Something a body can be parsed into.
pub(crate) trait FromJson: Sized + Send + 'static {
    fn from_json(json: &[u8]) -> Result<Self, ApiError>;
}

/// A request to generate: its own fields, and beside them those that all such requests share.
pub(crate) struct Generate<T> {
    pub(crate) request: T,
    // Large, and moved often.
    pub(crate) options: Box<GenerationOptions>,
    pub(crate) unsupported: Box<UnsupportedOptions>,
}

impl<T: DeserializeOwned + Send + 'static> FromJson for Generate<T> {
    // Three parses instead of `serde(flatten)`, which loses the path of an error.
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        let options: Box<GenerationOptions> = parse(json)?;
        params::check_openai(&options)?;
        let unsupported = parse(json)?;
        Ok(Self { request: parse(json)?, options, unsupported })
    }
}

impl FromJson for server_api::TokenizeRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

impl FromJson for server_api::MessagesRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

impl FromJson for server_api::ConverseRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse_tagged(json)
    }
}

impl FromJson for server_api::DetokenizeRequest {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        parse(json)
    }
}

impl<T: FromJson> FromRequest<AppState> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        check_content_type(request.headers())?;
        let body = read(request, state.limits()).await?;
        let num_bytes = body.len();
        let parse = move || check_shape(&body).and_then(|()| T::from_json(&body));
        Ok(Self(run_sized(state, num_bytes, parse).await??, num_bytes))
    }
}

/// JSON, or nothing said: `curl -d` claims a form, and OpenAI reads that as JSON too.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let mime = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let mime = mime.trim().to_ascii_lowercase();
    let read_as_json = ["application/json", "application/x-www-form-urlencoded", "text/plain"];
    if read_as_json.contains(&mime.as_str()) || mime.ends_with("+json") {
        return Ok(());
    }
    let message = "The Content-Type must be application/json.";
    Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// A request's JSON object, for routes of other crates: of at most so many bytes, few enough to be
/// parsed at once, that arrive in the usual time.
///
/// # Errors
/// If it is larger, late, or not what is wanted: in OpenAI's shape, with the field at fault.
pub async fn read_json<T: DeserializeOwned>(
    request: Request,
    max_bytes: usize,
) -> Result<T, ApiError> {
    check_content_type(request.headers())?;
    let body = read_up_to(max_bytes, request, &HttpLimits::default()).await?;
    check_shape(&body)?;
    parse(&body)
}

/// The body, within the limits of size and time.
pub(crate) async fn read(request: Request, limits: &HttpLimits) -> Result<Vec<u8>, ApiError> {
    read_up_to(limits.max_body_bytes, request, limits).await
}

/// The same within another limit of size.
pub(crate) async fn read_up_to(
    max_bytes: usize,
    request: Request,
    limits: &HttpLimits,
) -> Result<Vec<u8>, ApiError> {
    let timeout = limits.body_timeout;
    let read = read_body(request, max_bytes);
    tokio::time::timeout(timeout, read).await.map_err(|_| {
        let message = format!("The body did not arrive within {} s.", timeout.as_secs_f32());
        ApiError::refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    })?
}

async fn read_body(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("The body is larger than the limit of {limit} bytes.");
        ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    let headers = request.headers();
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: usize| bytes > limit) && headers.contains_key(header::EXPECT) {
        return Err(too_large()); // The client waits for leave to send the body.
    }
    let mut body = Vec::with_capacity(declared.unwrap_or(0).min(limit));
    let mut num_read = 0_usize;
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::invalid(None, "The body could not be read."))?;
        num_read += chunk.len();
        if num_read > limit.saturating_mul(DRAIN_FACTOR) {
            break;
        } else if num_read > limit {
            body = Vec::new();
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    if num_read > limit { Err(too_large()) } else { Ok(body) }
}

/// Refuses what the parser would read differently or not at all: other encodings, other values
/// than objects, and nesting beyond [`MAX_DEPTH`].
pub(crate) fn check_shape(json: &[u8]) -> Result<(), ApiError> {
    if let Err(error) = std::str::from_utf8(json) {
        let message = format!("The body is not valid UTF-8 at byte {}.", error.valid_up_to());
        return Err(ApiError::invalid(None, message));
    }
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid(None, "The body must be a JSON object."));
    }
    if depth(json) > MAX_DEPTH {
        let message = format!("The body is nested deeper than {MAX_DEPTH} levels.");
        return Err(ApiError::invalid(None, message));
    }
    Ok(())
}

/// How deep objects and arrays are nested, at most.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    // To know where an error is costs as much as to parse: only what has one is read again.
    if let Ok(value) = serde_json::from_slice(json) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(parse_error)?;
    let end = deserializer.end();
    end.map_err(|cause| ApiError::invalid(None, format!("The body is not valid JSON: {cause}.")))?;
    Ok(value)
}

/// The same of what has objects with one field that names what they are: in two steps, as of one
/// field too many serde_json says that it is no JSON.
pub(crate) fn parse_tagged<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(parse::<Value>(json)?).map_err(parse_error)
}

fn parse_error(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let cause = error.into_inner();
    if cause.is_data() {
        return data_error(&path, &cause.to_string());
    }
    ApiError::invalid(None, format!("The body is not valid JSON: {cause}."))
}

/// Valid JSON of the wrong type; a field that is missing or there twice is named by the message
/// alone.
fn data_error(path: &str, cause: &str) -> ApiError {
    let cause = cause.rsplit_once(" at line ").map_or(cause, |(cause, _)| cause);
    let missing = field(cause, "missing field `");
    let param = match (missing.or_else(|| field(cause, "duplicate field `")), path) {
        (Some(field), ".") => field.to_owned(),
        (Some(field), path) => format!("{path}.{field}"),
        (None, ".") => return ApiError::invalid(None, format!("Invalid body: {cause}.")),
        (None, path) => path.to_owned(),
    };
    match missing {
        Some(_) => ApiError::missing(&param),
        None => ApiError::invalid(Some(&param), format!("Invalid value for '{param}': {cause}.")),
    }
}

/// The field that serde's message names after `problem`.
fn field<'a>(cause: &'a str, problem: &str) -> Option<&'a str> {
    cause.strip_prefix(problem)?.strip_suffix('`')
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        let cases = [("", 0), ("{}", 1), (r#"{"a":[[1],[2]]}"#, 3), (r#"{"[[[":"\"[[["}"#, 1)];
        for (json, expected) in cases {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
        assert_eq!(depth(&b"[".repeat(100_000)), 100_000);
    }
}
