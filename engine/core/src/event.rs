//! What a request's caller hears, in order.
//!
//! Invariant: every request ends with exactly one [`Event::Finished`] or [`Event::Failed`].

use crate::{EngineError, InvalidRequest, TokenId, TokenLogprobs};

/// One thing that happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Scores of all prompt tokens but the first, in order; before any token, if asked for.
    PromptLogprobs(Vec<TokenLogprobs>),
    /// A new token of choice `index`. The token that ends a sequence is reported too.
    Token {
        /// Which of the `n` choices.
        index: u32,
        /// The token.
        token: TokenId,
        /// Set if asked for.
        logprobs: Option<TokenLogprobs>,
    },
    /// Choice `index` ended.
    ChoiceFinished {
        /// Which of the `n` choices.
        index: u32,
        /// Why.
        reason: FinishReason,
    },
    /// All choices ended. The last event of a request that ran.
    Finished(Usage),
    /// The request ended early. The last event.
    Failed(RequestError),
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model's end-of-sequence token came (it is the last token reported).
    EndOfSequence(TokenId),
    /// A token of `stop_token_ids` came (it is the last token reported).
    StopToken(TokenId),
    /// `max_tokens` were generated.
    Length,
    /// The caller wanted no more of this choice (a stop string matched).
    Cancelled,
}

/// What a request used; what is billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, counted once whatever `n` is.
    pub prompt_tokens: u32,
    /// Of those, how many came from the prefix cache when the request first ran.
    pub cached_tokens: u32,
    /// Tokens generated over all choices, ends of sequence included.
    pub completion_tokens: u32,
    /// Tokens guessed ahead that were right, ...
    pub accepted_draft_tokens: u32,
    /// ... and that were not.
    pub rejected_draft_tokens: u32,
}

/// Why a request did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It can never run here.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The engine failed in a step that held this request, or at this request alone.
    #[error("the engine failed: {0}")]
    Engine(EngineError),
    /// The server is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}
