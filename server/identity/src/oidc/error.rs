//! Why a login with a provider failed.

const MAX_REASON_CHARS: usize = 200;

/// What went wrong and what to do about it. Nothing of tokens or codes is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The operator's settings.
    #[error("the login with this provider is set up wrongly: {0}")]
    Config(String),
    /// The browser did not begin this login here, or did so too long ago.
    #[error("this login was begun in another browser or more than 10 minutes ago: begin again")]
    State,
    /// The provider says no.
    #[error("the provider did not let you in ({0}): begin again, or choose another account there")]
    Denied(String),
    /// The provider cannot be asked.
    #[error("{place} cannot be reached ({reason}): try again; check its address and the network")]
    Unreachable {
        /// Which address, without its query.
        place: String,
        /// As the library for HTTP says.
        reason: String,
    },
    /// The provider's answer is of no use.
    #[error(
        "{place} gave an answer that cannot be used ({reason}): begin again; check the client's \
         id, secret and redirect address"
    )]
    Answer {
        /// Which address, without its query.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The provider's word on who it is does not hold.
    #[error(
        "the provider's id_token is not believed, since {0}: begin again; check issuer and clock"
    )]
    Token(&'static str),
}

/// What others wrote, as one line of bounded length.
pub(super) fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON_CHARS).collect()
}
