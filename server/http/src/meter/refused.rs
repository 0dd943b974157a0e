//! What a client is told that gets no permit.
//!
//! Invariant: statuses, types and codes are OpenAI's where it has such an error; what is told of
//! limits is the caller's own.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use server_metering::{RateKind, Refusal};

use super::seldom::Seldom;
use crate::ApiError;

const RATE: &str = "rate_limit_exceeded";
const QUOTA: &str = "insufficient_quota";

/// What all requests meet: a line for each would fill the log's disk too.
static NOT_READ: Seldom = Seldom::new();
static NOT_RECORDED: Seldom = Seldom::new();

/// The error of a refusal.
pub(super) fn error(refusal: &Refusal) -> ApiError {
    let too_many = |kind, code| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, sentence(refusal)).code(code)
    };
    let error = match refusal {
        Refusal::Rate { kind: RateKind::Requests, .. } | Refusal::Concurrency { .. } => {
            too_many("requests", RATE)
        }
        Refusal::Rate { .. } => too_many("tokens", RATE),
        Refusal::Quota { .. } | Refusal::Budget { .. } => too_many(QUOTA, QUOTA),
        Refusal::NotPriced { .. } => {
            ApiError::refused(StatusCode::FORBIDDEN, "model_not_priced", sentence(refusal))
        }
        Refusal::TooDear { .. } => ApiError::invalid(None, sentence(refusal)),
        Refusal::NotLent => ApiError::unavailable("limits_busy", sentence(refusal), 1),
        Refusal::Lender(error) => {
            if let Some(num_refused) = NOT_READ.count(Instant::now()) {
                tracing::error!(%error, num_refused, "limits cannot be read, so nothing is served");
            }
            let message = "Limits cannot be read now, so nothing is served. Retry later.";
            ApiError::unavailable("limits_not_read", message, 1)
        }
        Refusal::Journal(error) => {
            // It may name files, which are nobody's business.
            if let Some(num_refused) = NOT_RECORDED.count(Instant::now()) {
                let what = "usage cannot be recorded, so nothing is served";
                tracing::error!(%error, num_refused, "{what}");
            }
            let message = "Usage cannot be recorded now, so nothing is served. Retry later.";
            ApiError::unavailable("usage_not_recorded", message, 1)
        }
    };
    match refusal.retry_after() {
        Some(wait) => error.retry_after(seconds(wait)),
        None => error,
    }
}

/// A reason and a level, as metrics have them.
pub(super) fn labels(refusal: &Refusal) -> [&'static str; 2] {
    let reason = match refusal {
        Refusal::Rate { kind: RateKind::Requests, .. } => "request_rate",
        Refusal::Rate { kind: RateKind::InputTokens, .. } => "input_token_rate",
        Refusal::Rate { kind: RateKind::OutputTokens, .. } => "output_token_rate",
        Refusal::Concurrency { .. } => "concurrency",
        Refusal::Quota { .. } => "quota",
        Refusal::Budget { .. } => "budget",
        Refusal::NotPriced { .. } => "not_priced",
        Refusal::TooDear { .. } => "too_dear",
        Refusal::NotLent | Refusal::Lender(_) => "leases",
        Refusal::Journal(_) => "journal",
    };
    let level = match refusal.level() {
        Some(server_metering::Level::Organization) => "organization",
        Some(server_metering::Level::Project) => "project",
        Some(server_metering::Level::Key) => "key",
        None => "none",
    };
    [reason, level]
}

/// Whole seconds, so that who waits for them need not wait again.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// What a refusal says, as a sentence.
fn sentence(refusal: &Refusal) -> String {
    let said = refusal.to_string();
    // A model's name stays as it is.
    if matches!(refusal, Refusal::NotPriced { .. }) {
        return format!("{said}.");
    }
    let mut chars = said.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).chain(['.']).collect()
}
