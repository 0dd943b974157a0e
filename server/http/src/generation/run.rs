//! One prompt's choices while they run.
//!
//! Invariant: each choice gets its deltas and then exactly one end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use engine_core::{Adapter, CacheScope, Event, FinishReason, Request, TokenId, TokenLogprobs};
use scheduler_batching::EventStream;

use super::Output;
use crate::choice::{ChoiceText, Scored};
use crate::echo::Echo;
use crate::guard::{Guarded, GuardedText};
use crate::source::{PromptTokens, Source};
use crate::{ApiError, usage};

/// The running choices of one prompt.
pub(super) struct Run {
    events: EventStream,
    choices: Vec<ChoiceText>,
    /// What checks each choice; empty where nothing does.
    guarded: Vec<GuardedText>,
    first_index: u32,
    field: &'static str,
    /// The prompt, until it was echoed.
    echo: Option<Echo>,
    /// Whether the client said what to expect.
    predicted: bool,
    ready: VecDeque<Result<Output, ApiError>>,
}

impl Run {
    pub(super) fn start(
        (source, adapter): (&Source, Option<&Adapter>),
        prompt: PromptTokens,
        first_index: u32,
    ) -> Result<Self, ApiError> {
        let Source { model, params, field, .. } = source;
        let offset = prompt.echo.as_ref().map_or(0, |text| text.chars().count());
        let choice = || ChoiceText::new(&model.text, params, &prompt.tokens, offset);
        let choices = (0..params.n).map(|_| choice()).collect();
        let guarded = source.guards.follow(params.n);
        let echo = prompt.echo.map(|text| Echo::new(text, &prompt.tokens, model, params));
        let mut stop = params.stop.clone();
        stop.max_tokens = prompt.max_tokens;
        let request = Request {
            id: model.handle.next_request_id(),
            scope: CacheScope {
                tenant: source.caller.tenant.clone(),
                model_version: Arc::clone(&model.version),
                adapter: adapter.cloned(),
            },
            prompt: prompt.tokens,
            insets: prompt.insets,
            sampling: Arc::new(params.sampling.clone()),
            stop,
            n: params.n,
            prompt_logprobs: source.prompt_logprobs,
            speculation: params.speculation,
            grammar: source.grammar.clone(),
            class: params.class,
            prediction: source.prediction.clone(),
        };
        let submitted = model.handle.submit(request);
        let events = submitted.map_err(|error| ApiError::from_submit(error, field))?;
        let (predicted, ready) = (!source.prediction.is_empty(), VecDeque::new());
        Ok(Self { events, choices, guarded, first_index, field, echo, predicted, ready })
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, ApiError>>> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Poll::Ready(Some(output));
            }
            match ready!(self.events.poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Event::PromptLogprobs(scores)) => self.echo(scores),
                Some(event) => {
                    self.echo(Vec::new());
                    self.take(event);
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::PromptLogprobs(_) => {}
            Event::Token { index, token, logprobs } => self.token(index, token, logprobs),
            Event::ChoiceFinished { index, reason } => self.finish_choice(index, reason),
            Event::Finished(usage) => {
                for index in 0..self.choices.len() as u32 {
                    self.finish_choice(index, FinishReason::Length);
                }
                // Not what the engine counts: it may be some tokens further than a stop text.
                let usage = usage::counted(usage, self.num_tokens(), self.predicted);
                self.ready.push_back(Ok(Output::Usage(usage)));
            }
            Event::Failed(error) => {
                self.ready.push_back(Err(ApiError::from_request(&error, self.field)));
            }
        }
    }

    fn token(&mut self, index: u32, token: TokenId, scores: Option<TokenLogprobs>) {
        let Some(choice) = self.choices.get_mut(index as usize) else { return };
        let piece = choice.push(token, scores);
        let stopped = piece.stopped;
        self.delta(index, piece.text, piece.tokens);
        if stopped.is_some() {
            self.events.cancel_choice(index);
            self.end(index, "stop", stopped);
        }
    }

    fn finish_choice(&mut self, index: u32, reason: FinishReason) {
        let choice = self.choices.get_mut(index as usize);
        let Some(choice) = choice.filter(|choice| !choice.ended()) else { return };
        let piece = choice.finish();
        let (stop_text, is_cut) = (piece.stopped, reason == FinishReason::Length);
        self.delta(index, piece.text, piece.tokens);
        let reason = if is_cut && stop_text.is_none() { "length" } else { "stop" };
        self.end(index, reason, stop_text);
    }

    fn delta(&mut self, index: u32, text: String, tokens: Vec<Scored>) {
        let piece = match self.guarded.get_mut(index as usize) {
            Some(guarded) => guarded.push(text, tokens),
            None => Guarded { text, tokens, stopped: false },
        };
        self.put(index, piece);
    }

    fn end(&mut self, index: u32, reason: &'static str, stop_text: Option<usize>) {
        if let Some(guarded) = self.guarded.get_mut(index as usize) {
            let rest = if guarded.stopped() { return } else { guarded.finish() };
            if self.put(index, rest) {
                return;
            }
        }
        let index = self.first_index + index;
        self.ready.push_back(Ok(Output::End { index, reason, stop_text }));
    }

    /// Whether a guard ended the choice.
    fn put(&mut self, index: u32, piece: Guarded) -> bool {
        let stopped = piece.stopped;
        if stopped {
            self.choices[index as usize].stop();
            self.events.cancel_choice(index);
        }
        self.ready.extend(piece.outputs(self.first_index + index).map(Ok));
        stopped
    }

    /// Begins each choice with the prompt, before anything else. `scores` lacks the first token.
    fn echo(&mut self, scores: Vec<TokenLogprobs>) {
        let Some(mut echo) = self.echo.take() else { return };
        let tokens = echo.tokens(scores);
        for index in 0..self.choices.len() as u32 {
            self.delta(index, echo.text.clone(), tokens.clone());
        }
    }

    pub(super) fn num_tokens(&self) -> u64 {
        self.choices.iter().map(|choice| u64::from(choice.num_tokens())).sum()
    }
}
