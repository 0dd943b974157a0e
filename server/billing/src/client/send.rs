//! One request, as often as it takes.
//!
//! Invariant: a request that changes something carries the same idempotency key in each try; an
//! answer is read up to [`MAX_ANSWER_BYTES`]; no secret and no field is in an error or a log.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{innermost, told};
use super::form::Form;
use super::{API_VERSION, IdempotencyKey, Stripe, StripeError};

/// The largest answer: a page of a hundred invoices with their lines has less than half of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// The largest request.
const MAX_REQUEST_BYTES: usize = 64 << 10;
const MAX_DELAY: Duration = Duration::from_secs(30);

/// What is asked.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    fields: Form,
    key: Option<&'a IdempotencyKey>,
}

/// A try failed: for good, or in a way that may pass, perhaps after some time.
enum Failure {
    Final(StripeError),
    MayPass { reason: String, after: Option<Duration> },
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str], fields: Form) -> Self {
        Self { method: Method::GET, path, fields, key: None }
    }

    /// Stripe knows no idempotency keys for these: what is deleted twice is deleted.
    pub(super) fn delete(path: &'a [&'a str], fields: Form) -> Self {
        Self { method: Method::DELETE, path, fields, key: None }
    }

    pub(super) fn post(path: &'a [&'a str], fields: Form, key: &'a IdempotencyKey) -> Self {
        Self { method: Method::POST, path, fields, key: Some(key) }
    }
}

impl Stripe {
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, StripeError> {
        let what = format!("{} /v1/{}", call.method, call.path.join("/"));
        let (method, key, fields) = (call.method, call.key, call.fields.encode());
        if fields.len() > MAX_REQUEST_BYTES {
            let reason = format!("it has more than {MAX_REQUEST_BYTES} bytes");
            return Err(StripeError::Options(format!("{what} is not sent: {reason}")));
        }
        let mut url = self.url(call.path);
        if method != Method::POST && !fields.is_empty() {
            url.set_query(Some(&fields));
        }
        let mut last = String::new();
        for attempt in 1..=self.max_attempts {
            let tried = self.attempt(&what, (&method, &url), &fields, key).await;
            match tried {
                Ok(body) => {
                    return serde_json::from_slice(&body)
                        .map_err(|e| StripeError::Answer { what, reason: e.to_string() });
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::MayPass { reason, after }) => {
                    tracing::debug!(what, attempt, reason, "Stripe is asked again");
                    last = reason;
                    if attempt < self.max_attempts {
                        tokio::time::sleep(self.delay(attempt, after)).await;
                    }
                }
            }
        }
        Err(StripeError::Unavailable { what, attempts: self.max_attempts, reason: last })
    }

    async fn attempt(
        &self,
        what: &str,
        (method, url): (&Method, &Url),
        fields: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Vec<u8>, Failure> {
        let mut request = self
            .http
            .request(method.clone(), url.clone())
            .timeout(self.timeout)
            .header(AUTHORIZATION, self.authorization.clone())
            .header("stripe-version", API_VERSION);
        if *method == Method::POST {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(fields.to_owned());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key.as_str());
        }
        let response = request.send().await.map_err(|e| may_pass(&e))?;
        let (status, after) = (response.status(), retry_after(response.headers()));
        let should_retry = should_retry(status.as_u16(), response.headers());
        let body = read(what, response).await?;
        match status.is_success() {
            true => Ok(body),
            false if should_retry => {
                let reason = format!("got status {}", status.as_u16());
                Err(Failure::MayPass { reason, after })
            }
            false => Err(Failure::Final(refused(what, status.as_u16(), &body))),
        }
    }

    /// Longer with each try, and not the same for all who were turned away at once.
    fn delay(&self, failed: u32, asked_for: Option<Duration>) -> Duration {
        let longest = self.retry_delay.saturating_mul(1 << (failed - 1).min(16));
        let jittered = longest.mul_f64(rand::random_range(0.5..1.0));
        jittered.max(asked_for.unwrap_or_default()).min(MAX_DELAY)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api.clone();
        // Only an address without a path has no segments, and `new` refused those.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }
}

/// Stripe says whether to try again; where it does not, the status does.
fn should_retry(status: u16, headers: &HeaderMap) -> bool {
    match headers.get("stripe-should-retry").map(|value| value.as_bytes()) {
        Some(b"true") => true,
        Some(b"false") => false,
        _ => matches!(status, 409 | 429 | 500..=599),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(what: &str, mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|e| may_pass(&e))? {
        if body.len() + bytes.len() > MAX_ANSWER_BYTES {
            return Err(Failure::Final(StripeError::Answer {
                what: what.to_owned(),
                reason: format!("it is longer than {MAX_ANSWER_BYTES} bytes"),
            }));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

fn may_pass(error: &reqwest::Error) -> Failure {
    let reason = match error.is_timeout() {
        true => "took too long".to_owned(),
        false => format!("failed: {}", innermost(error)),
    };
    Failure::MayPass { reason, after: None }
}

fn refused(what: &str, status: u16, body: &[u8]) -> StripeError {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        error: Reason,
    }
    #[derive(Default, Deserialize)]
    struct Reason {
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    let Body { error } = serde_json::from_slice(body).unwrap_or_default();
    StripeError::Refused {
        what: what.to_owned(),
        status,
        code: error.code.map(|code| told(&code)),
        message: told(error.message.as_deref().unwrap_or("it gives no reason")),
    }
}
