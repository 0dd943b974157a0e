//! What a caller asks of an engine, after parsing and tokenizing.

use std::sync::Arc;

use crate::{CacheScope, EngineLimits, Grammar, Inset, RequestId, TokenId};

/// A validated request. Text has become tokens; stop *strings* stay with the caller,
/// who sees text and cancels when one matches.
#[derive(Clone, Debug)]
pub struct Request {
    /// Unique within one driver.
    pub id: RequestId,
    /// Tenant, model version and adapter: keys the prefix cache.
    pub scope: CacheScope,
    /// The prompt; at least one token.
    pub prompt: Vec<TokenId>,
    /// What of the prompt has rows in place of embeddings: its images. In order, apart.
    pub insets: Vec<Inset>,
    /// How to choose each next token.
    pub sampling: Arc<SamplingParams>,
    /// When to end.
    pub stop: StopRules,
    /// Number of independent continuations of the prompt (choices), at least 1.
    pub n: u32,
    /// `Some(k)`: also report the log-probability of every prompt token but the first,
    /// with the `k` most likely alternatives.
    pub prompt_logprobs: Option<u32>,
    /// Whether tokens may be guessed ahead; the answer is the same either way.
    pub speculation: bool,
    /// What every choice must match. It ends at the end-of-sequence token, so that must not be
    /// forbidden by `stop`.
    pub grammar: Option<Arc<dyn Grammar>>,
    /// How urgent it is beside others of its tenant.
    pub class: Class,
    /// What the answer may well say: tokens are guessed ahead from it. The answer is the same
    /// whatever this holds.
    pub prediction: Vec<TokenId>,
}

/// How urgent a request is to its tenant; of several tenants none gains by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Before others.
    High,
    /// As most.
    #[default]
    Normal,
    /// After others, but not never.
    Low,
}

/// How the next token is chosen. The defaults choose from the plain distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy; otherwise logits are divided by it.
    pub temperature: f32,
    /// Keep the `k` most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set whose probability reaches `top_p`; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least `min_p` times as likely as the most likely; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in prompt or output; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted once per occurrence in the output.
    pub frequency_penalty: f32,
    /// Subtracted once if present in the output.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The same seed gives the same tokens, whatever else is in the batch. Choice `i` of a
    /// request with `n > 1` draws from a stream of its own, derived from the seed and `i`.
    pub seed: u64,
    /// `Some(k)`: report the chosen token's log-probability and the `k` most likely.
    pub logprobs: Option<u32>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            logprobs: None,
        }
    }
}

impl SamplingParams {
    /// Whether the sampler needs the tokens so far.
    pub fn needs_history(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.frequency_penalty != 0.0
            || self.presence_penalty != 0.0
    }
}

/// When a sequence ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StopRules {
    /// At most this many new tokens. 0 only together with `prompt_logprobs`.
    pub max_tokens: u32,
    /// Before this many new tokens no end-of-sequence or stop token is chosen.
    pub min_tokens: u32,
    /// End-of-sequence tokens of the model; ignored when `ignore_eos`.
    pub eos_token_ids: Vec<TokenId>,
    /// Further tokens that end the sequence, asked for by the caller.
    pub stop_token_ids: Vec<TokenId>,
    /// Generate on to `max_tokens` whatever comes.
    pub ignore_eos: bool,
}

/// Why a request cannot run on this engine at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The prompt does not fit beside at least one new token.
    #[error("the prompt has {prompt_tokens} tokens, the context holds {max_model_len}")]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt_tokens: u32,
        /// Positions the model has.
        max_model_len: u32,
    },
    /// Prompt and requested output do not fit the context together.
    #[error(
        "{prompt_tokens} prompt tokens and max_tokens {max_tokens} exceed the context of \
         {max_model_len} tokens"
    )]
    ContextExceeded {
        /// Tokens in the prompt.
        prompt_tokens: u32,
        /// New tokens asked for.
        max_tokens: u32,
        /// Positions the model has.
        max_model_len: u32,
    },
    /// A token id that the vocabulary does not have.
    #[error("token id {token} is outside the vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: TokenId,
        /// Size of the vocabulary.
        vocab_size: u32,
    },
    /// `n` or `max_tokens` out of range.
    #[error("{0}")]
    Parameter(&'static str),
}

impl Request {
    /// Checks everything that would otherwise have to be checked in every step.
    ///
    /// # Errors
    /// The first reason why this request can never run on an engine with these limits.
    pub fn validate(&self, limits: &EngineLimits) -> Result<(), InvalidRequest> {
        let prompt_tokens = u32::try_from(self.prompt.len()).unwrap_or(u32::MAX);
        let (max_tokens, max_model_len) = (self.stop.max_tokens, limits.max_sequence_len());
        if prompt_tokens == 0 {
            return Err(InvalidRequest::EmptyPrompt);
        }
        if prompt_tokens > max_model_len {
            return Err(InvalidRequest::PromptTooLong { prompt_tokens, max_model_len });
        }
        if prompt_tokens.saturating_add(max_tokens) > max_model_len {
            return Err(InvalidRequest::ContextExceeded {
                prompt_tokens,
                max_tokens,
                max_model_len,
            });
        }
        if self.n == 0 {
            return Err(InvalidRequest::Parameter("n must be at least 1"));
        }
        if max_tokens == 0 && self.prompt_logprobs.is_none() {
            return Err(InvalidRequest::Parameter("max_tokens must be at least 1"));
        }
        if self.grammar.is_some() && (self.stop.ignore_eos || self.stop.min_tokens > 0) {
            let message =
                "a grammar excludes ignore_eos and min_tokens: it says itself when to end";
            return Err(InvalidRequest::Parameter(message));
        }
        let mut free_from = 0;
        for inset in &self.insets {
            if !inset.fits(self.prompt.len()) || inset.positions().start < free_from {
                let message = "insets overlap, or have no rows or no place in the prompt";
                return Err(InvalidRequest::Parameter(message));
            }
            free_from = inset.positions().end;
        }
        let vocab_size = limits.vocab_size;
        let biased = self.sampling.logit_bias.iter().map(|(token, _)| token);
        match self.prompt.iter().chain(biased).find(|token| **token >= vocab_size) {
            Some(&token) => Err(InvalidRequest::UnknownToken { token, vocab_size }),
            None => Ok(()),
        }
    }
}
