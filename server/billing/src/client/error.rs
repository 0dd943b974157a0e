//! Why Stripe did not do what was asked.

/// The longest text of Stripe's that an error repeats.
const MAX_TOLD_CHARS: usize = 300;

/// An error of Stripe's API, or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// It cannot be used as it is configured.
    #[error("Stripe cannot be used: {0}")]
    Options(String),
    /// Stripe refuses the request; sent again, it is refused again.
    #[error("Stripe refused {what} with status {status}: {message}")]
    Refused {
        /// The method and path.
        what: String,
        /// The answer's status.
        status: u16,
        /// Stripe's short name of the reason, where it has one: `resource_missing`.
        code: Option<String>,
        /// Stripe's words.
        message: String,
    },
    /// Stripe was not reached, or failed, as often as it was tried. It may have done what was
    /// asked: ask again with the same idempotency key.
    #[error("Stripe did not answer {what} in {attempts} tries, the last of which {reason}")]
    Unavailable {
        /// The method and path.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// What came of the last try.
        reason: String,
    },
    /// The answer is not what Stripe's API is described to give.
    #[error("Stripe's answer to {what} cannot be used: {reason}")]
    Answer {
        /// The method and path.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StripeError {
    /// Whether Stripe says that there is no such object.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// As much of Stripe's words as an error repeats.
pub(super) fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TOLD_CHARS).collect()
}

/// The deepest cause says it best: "connection refused" rather than "error sending request".
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
