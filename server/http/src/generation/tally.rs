//! What a generation has handed out, and how many tokens its choices may take in yet.
//!
//! Invariant: a count never falls, and at the end of all choices it is what the client is told.

use std::time::Instant;

use server_metering::{Meter, Usage};

use crate::meter::Cap;

/// Counts of all choices of a request.
pub(super) struct Tally {
    /// Tokens of prompts that are computed, and those that a cache had.
    input: u64,
    cached: u64,
    /// What goes with the prompts: images.
    other: Usage,
    /// Since when the first of them is.
    began: Option<Instant>,
    /// Tokens of which any text went out, or the end of their choice.
    output: u64,
    /// Tokens that choices may take in yet.
    left: u64,
    /// Why they end when none are left.
    reason: &'static str,
    is_capped: bool,
}

impl Tally {
    /// Nothing yet, of a request whose prompts go with something else.
    pub(super) fn new(cap: Option<Cap>, other: Usage) -> Self {
        // Without a cap no request comes to an end of them.
        let cap = cap.unwrap_or(Cap { num_tokens: u64::MAX, reason: "length" });
        let Cap { num_tokens: left, reason } = cap;
        let (input, cached, output) = (0, 0, 0);
        let (began, is_capped) = (None, false);
        Self { input, cached, other, began, output, left, reason, is_capped }
    }

    /// A prompt is computed since then, of which a cache had so much.
    pub(super) fn begin(&mut self, num_prompt: u32, num_cached: u32, since: Option<Instant>) {
        self.began = self.began.into_iter().chain(since).min();
        self.input += u64::from(num_prompt.saturating_sub(num_cached));
        self.cached += u64::from(num_cached);
    }

    /// Since when an engine works on any of it.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// A choice took a token in.
    pub(super) fn take_in(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// So many more tokens went out.
    pub(super) fn hand_out(&mut self, num_tokens: u32) {
        self.output += u64::from(num_tokens);
    }

    /// Whether no choice may take in any more.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// A choice ends for that reason.
    pub(super) fn cut(&mut self) -> &'static str {
        self.is_capped = true;
        self.reason
    }

    /// Whether any did.
    pub(super) fn is_capped(&self) -> bool {
        self.is_capped
    }

    /// What went out of a stream.
    pub(super) fn handed_out(&self) -> Usage {
        self.begun().with(Meter::OutputTokens, self.output)
    }

    /// The prompts that are computed, with nothing of their answers.
    pub(super) fn begun(&self) -> Usage {
        let has_begun = self.input + self.cached > 0;
        let other = if has_begun { self.other } else { Usage::NONE };
        other.with(Meter::InputTokens, self.input).with(Meter::CachedInputTokens, self.cached)
    }

    /// What the client is told at the end, as meters count it.
    pub(super) fn told(&self, usage: &server_api::Usage) -> Usage {
        let cached = usage.prompt_tokens_details.cached_tokens;
        self.other
            .with(Meter::InputTokens, usage.prompt_tokens.saturating_sub(cached))
            .with(Meter::CachedInputTokens, cached)
            .with(Meter::OutputTokens, usage.completion_tokens)
    }
}
