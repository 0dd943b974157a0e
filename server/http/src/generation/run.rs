//! One prompt's choices while they run.
//!
//! Invariant: each choice gets its deltas and then exactly one end, and none takes in more than the
//! tally leaves to all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use engine_core::{Adapter, CacheScope, Event, FinishReason, Request, TokenId, TokenLogprobs};
use scheduler_batching::EventStream;

use super::Output;
use super::tally::Tally;
use crate::choice::{ChoiceText, Scored};
use crate::echo::Echo;
use crate::guard::{Guarded, GuardedText};
use crate::meter::Cap;
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
    num_prompt: u32,
    /// Whether the tally has the prompt.
    is_counted: bool,
    /// What each choice was asked for; the engine is asked for less where less is left.
    max_tokens: u32,
    /// Tokens of each choice of which any text went out.
    num_out: Vec<u32>,
    ready: VecDeque<Ready>,
}

/// What goes out next, and how many tokens of its choice went out with it.
struct Ready {
    output: Result<Output, ApiError>,
    num_out: u32,
}

impl Run {
    pub(super) fn start(
        (source, adapter): (&Source, Option<&Adapter>),
        prompt: PromptTokens,
        first_index: u32,
        cap: Option<Cap>,
    ) -> Result<Self, ApiError> {
        let Source { model, params, field, .. } = source;
        let offset = prompt.echo.as_ref().map_or(0, |text| text.chars().count());
        let choice = || ChoiceText::new(&model.text, params, &prompt.tokens, offset);
        let choices = (0..params.n).map(|_| choice()).collect();
        let guarded = source.guards.follow(params.n);
        let echo = prompt.echo.map(|text| Echo::new(text, &prompt.tokens, model, params));
        let (num_prompt, max_tokens) = (prompt.tokens.len() as u32, prompt.max_tokens);
        let mut stop = params.stop.clone();
        let cap = cap.and_then(|cap| u32::try_from(cap.num_tokens).ok()).unwrap_or(u32::MAX);
        stop.max_tokens = max_tokens.min(cap);
        stop.min_tokens = stop.min_tokens.min(stop.max_tokens);
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
        Ok(Self {
            events,
            choices,
            guarded,
            first_index,
            field,
            echo,
            predicted: !source.prediction.is_empty(),
            num_prompt,
            is_counted: false,
            max_tokens,
            num_out: vec![0; params.n as usize],
            ready: VecDeque::new(),
        })
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Output, ApiError>>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Poll::Ready(Some(self.hand_out(ready, tally)));
            }
            if tally.is_spent() && self.cut(tally) {
                continue;
            }
            let Some(event) = ready!(self.events.poll_next(cx)) else {
                return Poll::Ready(None);
            };
            self.count_prompt(tally);
            if let Event::PromptLogprobs(scores) = event {
                self.echo(scores);
            } else {
                self.echo(Vec::new());
                self.take(event, tally);
            }
        }
    }

    /// Tells the tally of the prompt once it is computed.
    pub(super) fn count_prompt(&mut self, tally: &mut Tally) {
        if !self.is_counted
            && let Some(num_cached) = self.events.num_cached()
        {
            self.is_counted = true;
            tally.begin(self.num_prompt, num_cached, self.events.began());
        }
    }

    fn hand_out(&mut self, ready: Ready, tally: &mut Tally) -> Result<Output, ApiError> {
        if let Ok(Output::Delta { index, .. } | Output::End { index, .. }) = &ready.output
            && let Some(num_out) = self.num_out.get_mut((index - self.first_index) as usize)
        {
            tally.hand_out(ready.num_out.saturating_sub(*num_out));
            *num_out = ready.num_out.max(*num_out);
        }
        ready.output
    }

    fn take(&mut self, event: Event, tally: &mut Tally) {
        match event {
            Event::PromptLogprobs(_) => {}
            // What comes when nothing is left is nobody's.
            Event::Token { .. } if tally.is_spent() => {}
            Event::Token { index, token, logprobs } => {
                if self.token(index, token, logprobs) {
                    tally.take_in();
                }
            }
            Event::ChoiceFinished { index, reason: FinishReason::Length } => {
                self.finish_choice(index, "length");
            }
            Event::ChoiceFinished { index, .. } => self.finish_choice(index, "stop"),
            Event::Finished(usage) => {
                for index in 0..self.choices.len() as u32 {
                    self.finish_choice(index, "length");
                }
                // Not what the engine counts: it may be some tokens further than a stop text.
                let usage = usage::counted(usage, self.num_tokens(), self.predicted);
                self.ready.push_back(Ready { output: Ok(Output::Usage(usage)), num_out: 0 });
            }
            Event::Failed(error) => {
                let error = ApiError::from_request(&error, self.field);
                self.ready.push_back(Ready { output: Err(error), num_out: 0 });
            }
        }
    }

    /// Whether the choice took it in.
    fn token(&mut self, index: u32, token: TokenId, scores: Option<TokenLogprobs>) -> bool {
        let choice = self.choices.get_mut(index as usize);
        let Some(choice) = choice.filter(|choice| !choice.ended()) else { return false };
        let piece = choice.push(token, scores);
        let stopped = piece.stopped;
        self.delta(index, piece.text, piece.tokens);
        if stopped.is_some() {
            self.events.cancel_choice(index);
            self.end(index, "stop", stopped);
        }
        true
    }

    /// Nothing is left: ends the choices that still run, and says whether there were any.
    fn cut(&mut self, tally: &mut Tally) -> bool {
        let mut are_any = false;
        for index in 0..self.choices.len() as u32 {
            let choice = &self.choices[index as usize];
            if choice.ended() {
                continue;
            }
            are_any = true;
            // The last token may have been its last in any case.
            let reason = match choice.num_tokens() {
                _ if choice.met_end() => "stop",
                num_tokens if num_tokens >= self.max_tokens => "length",
                _ => tally.cut(),
            };
            self.echo(Vec::new());
            self.events.cancel_choice(index);
            self.finish_choice(index, reason);
        }
        are_any
    }

    fn finish_choice(&mut self, index: u32, reason: &'static str) {
        let choice = self.choices.get_mut(index as usize);
        let Some(choice) = choice.filter(|choice| !choice.ended()) else { return };
        let piece = choice.finish();
        let stop_text = piece.stopped;
        self.delta(index, piece.text, piece.tokens);
        let reason = if stop_text.is_none() { reason } else { "stop" };
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
        let num_out = self.choices[index as usize].num_tokens();
        let index = self.first_index + index;
        let output = Ok(Output::End { index, reason, stop_text });
        self.ready.push_back(Ready { output, num_out });
    }

    /// Whether a guard ended the choice.
    fn put(&mut self, index: u32, piece: Guarded) -> bool {
        let stopped = piece.stopped;
        let num_withheld = self.guarded.get(index as usize).map_or(0, GuardedText::num_withheld);
        let choice = &mut self.choices[index as usize];
        if stopped {
            choice.stop();
            self.events.cancel_choice(index);
        }
        let num_out = choice.num_out(num_withheld);
        for output in piece.outputs(self.first_index + index) {
            let is_end = matches!(output, Output::End { .. });
            let num_out = if is_end { choice.num_tokens() } else { num_out };
            self.ready.push_back(Ready { output: Ok(output), num_out });
        }
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
