//! What can be set, and why texts are refused.
//!
//! Invariant: what waits is bounded in inputs and in tokens, and the bounds are here.

use engine_core::{EncodeInput, EncoderInfo, TokenId};

/// So much work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Texts, or pairs of them.
    pub inputs: usize,
    /// Tokens of them all.
    pub tokens: usize,
}

impl Amount {
    /// Whether this and `more` together are within `max`.
    pub(super) fn has_room(self, more: Self, max: Self) -> bool {
        let within = |own: usize, more: usize, max: usize| own.saturating_add(more) <= max;
        within(self.inputs, more.inputs, max.inputs) && within(self.tokens, more.tokens, max.tokens)
    }

    pub(super) fn take(&mut self, tokens: usize) {
        self.inputs -= 1;
        self.tokens -= tokens;
    }
}

/// Settings of one encoder's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingConfig {
    /// What may wait to be computed, over all tenants. A request that finds nothing waiting is
    /// taken whatever its size.
    pub max_waiting: Amount,
    /// Of that, how much may belong to one tenant; the same holds.
    pub max_waiting_per_tenant: Amount,
    /// What a refused caller is told to wait, in seconds.
    pub retry_after_s: u32,
}

impl Default for EncodingConfig {
    fn default() -> Self {
        let max_waiting = Amount { inputs: 16 << 10, tokens: 8 << 20 };
        Self { max_waiting, max_waiting_per_tenant: max_waiting, retry_after_s: 1 }
    }
}

/// Why texts were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeRefusal {
    /// Too much waits already, of everyone or of this tenant.
    #[error("{waiting} inputs are waiting already; try again in {retry_after_s} s")]
    QueueFull {
        /// How many wait (of this tenant, if its own share is what is full).
        waiting: usize,
        /// A hint for `Retry-After`.
        retry_after_s: u32,
    },
    /// One of them can never be computed by this encoder.
    #[error("input {index}: {problem}")]
    Invalid {
        /// Which.
        index: usize,
        /// Why.
        problem: InvalidInput,
    },
    /// No more requests are taken.
    #[error("the encoder is shutting down")]
    ShuttingDown,
}

/// What is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// It has no token, or none that is pooled.
    #[error("it is empty")]
    Empty,
    /// It is longer than the model reads.
    #[error("it has {tokens} tokens, the model reads {max}")]
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Tokens allowed.
        max: usize,
    },
    /// A token id that the vocabulary does not have.
    #[error("token id {token} is outside the vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// Not one type for each token; a bug in the caller.
    #[error("it has {types} types for {tokens} tokens")]
    Types {
        /// Types given.
        types: usize,
        /// Tokens given.
        tokens: usize,
    },
}

/// Whether an encoder can compute `input`.
pub(super) fn check(input: &EncodeInput, info: &EncoderInfo) -> Result<(), InvalidInput> {
    let (tokens, types, max) = (input.tokens.len(), input.type_ids.len(), info.max_input_len);
    let vocab_size = info.vocab_size;
    if tokens == 0 || input.not_pooled >= tokens {
        return Err(InvalidInput::Empty);
    }
    if tokens > max {
        return Err(InvalidInput::TooLong { tokens, max });
    }
    if types != 0 && types != tokens {
        return Err(InvalidInput::Types { types, tokens });
    }
    match input.tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(&token) => Err(InvalidInput::UnknownToken { token, vocab_size }),
        None => Ok(()),
    }
}
