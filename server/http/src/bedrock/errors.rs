//! Errors in AWS's shape: the kind in a header, the message in the body.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use server_api::BedrockError;

use super::event_stream;
use crate::ApiError;
use crate::error::reshaped;
use crate::observe::RequestId;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// 403 by one of AWS's own names, which is the error's code.
pub(super) fn forbidden(name: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::refused(StatusCode::FORBIDDEN, name, message)
}

pub(super) fn unknown_operation() -> ApiError {
    let message = "This operation is not supported. Those that are: Converse, ConverseStream, \
                   InvokeModel, InvokeModelWithResponseStream, CountTokens, ListFoundationModels, \
                   GetFoundationModel.";
    ApiError::refused(StatusCode::NOT_FOUND, "UnknownOperationException", message)
}

/// The answer to one of AWS's clients that asks for what is no path here.
pub(crate) fn unknown_path(request: &Request) -> Response {
    shaped(unknown_operation().into_response(), request.extensions().get())
}

/// AWS's name for an error, and its status.
fn kind(error: &ApiError) -> (String, StatusCode) {
    let code = error.body().error.code.unwrap_or_default();
    let (name, status) = match (error.status(), code.as_str()) {
        (status, name) if name.ends_with("Exception") => return (code, status),
        (_, "idempotency_key_reused") => ("ConflictException", StatusCode::BAD_REQUEST),
        (_, "insufficient_quota") => ("ServiceQuotaExceededException", StatusCode::BAD_REQUEST),
        (_, "model_loading") => ("ModelNotReadyException", StatusCode::TOO_MANY_REQUESTS),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            ("AccessDeniedException", StatusCode::FORBIDDEN)
        }
        (StatusCode::NOT_FOUND, _) => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
        (StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT, _) => {
            ("ModelTimeoutException", StatusCode::REQUEST_TIMEOUT)
        }
        (status @ StatusCode::TOO_MANY_REQUESTS, _) => ("ThrottlingException", status),
        (status @ StatusCode::SERVICE_UNAVAILABLE, _) => ("ServiceUnavailableException", status),
        (status, _) if status.is_client_error() => ("ValidationException", status),
        (status, _) => ("InternalServerException", status),
    };
    (name.to_owned(), status)
}

/// Around all of Bedrock's routes.
pub(super) async fn shape(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    shaped(next.run(request).await, id.as_ref())
}

/// Writes an error that came from below anew, and tells the request's id by AWS's name.
fn shaped(response: Response, id: Option<&RequestId>) -> Response {
    let mut response = reshaped(response, |error| {
        let (name, status) = kind(error);
        let body = BedrockError { message: error.body().error.message };
        (status, [(ERROR_TYPE, name)], Json(body)).into_response()
    });
    if let Some(id) = id.and_then(|RequestId(id)| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Appends the event that ends a stream with an error.
pub(super) fn write(out: &mut Vec<u8>, error: &ApiError) {
    let mut name = kind(error).0;
    // What it is called as a field of the stream.
    name[..1].make_ascii_lowercase();
    let body = BedrockError { message: error.body().error.message };
    event_stream::exception(out, &name, &body);
}
