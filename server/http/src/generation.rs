//! From events to texts: the one pipeline behind chat and plain completions, streamed or not.
//!
//! Invariant: each choice gets its deltas and then exactly one end; the usage comes last, once,
//! and nothing comes after it or after an error. Dropping a generation cancels what still runs.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use engine_core::{CacheScope, Event, FinishReason, Request, TokenId, TokenLogprobs};
use scheduler_batching::EventStream;
use server_api::Usage;
use tracing::Span;

use crate::choice::{ChoiceText, Scored};
use crate::echo::Echo;
use crate::guard::{Guarded, GuardedText};
use crate::source::{PromptTokens, Source};
use crate::ticket::Life;
use crate::{ApiError, usage};

/// What a client learns, in order.
#[derive(Debug)]
pub(crate) enum Output {
    /// More of choice `index`.
    Delta { index: u32, text: String, tokens: Vec<Scored> },
    /// Choice `index` ended, perhaps by one of the stop texts.
    End { index: u32, reason: &'static str, stop_text: Option<usize> },
    /// All choices of all prompts ended.
    Usage(Usage),
}

/// The running choices of all prompts of a request.
pub(crate) struct Generation {
    runs: Vec<Run>,
    /// The run to ask first, so that none waits for ever.
    first_run: usize,
    usage: Usage,
    num_prompt: usize,
    ended: bool,
    failed: bool,
    started: Instant,
    life: Life,
    /// The request's; a stream goes on after its handler has returned.
    span: Span,
}

impl Generation {
    /// Submits every prompt; if one is refused, none runs.
    pub(crate) fn start(source: &Source, prompts: Vec<PromptTokens>) -> Result<Self, ApiError> {
        let life = Life::of_current(source.params.timeout);
        life.check()?;
        let num_prompt = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        let runs = prompts.into_iter().enumerate().map(|(prompt_idx, prompt)| {
            let first_index = prompt_idx as u32 * source.params.n;
            Run::start(source, prompt, first_index)
        });
        let runs = runs.collect::<Result<_, ApiError>>()?;
        Ok(Self {
            runs,
            first_run: 0,
            usage: Usage::default(),
            num_prompt,
            ended: false,
            failed: false,
            started: Instant::now(),
            life,
            span: Span::current(),
        })
    }

    /// What comes next; `None` after the usage or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Output, ApiError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same without waiting.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, ApiError>>> {
        while !self.ended {
            let next = match self.life.poll_over(cx) {
                Poll::Ready(error) => Some(Err(error)),
                Poll::Pending => ready!(self.poll_runs(cx)),
            };
            let output = match next {
                Some(Ok(Output::Usage(usage))) => {
                    usage::add(&mut self.usage, usage);
                    continue;
                }
                Some(Ok(output)) => Ok(output),
                Some(Err(error)) => {
                    self.runs.clear(); // What still runs is of no use any more.
                    (self.ended, self.failed) = (true, true);
                    Err(error)
                }
                None => {
                    self.ended = true;
                    Ok(Output::Usage(self.usage))
                }
            };
            return Poll::Ready(Some(output));
        }
        Poll::Ready(None)
    }

    /// One line in the log at the end of a stream, whose answer was logged when it began.
    pub(crate) fn log_end(&self) {
        let outcome = match (self.ended, self.failed) {
            (true, true) => "failed",
            (true, false) => "finished",
            (false, _) => "cut off",
        };
        let running = self.runs.iter().map(Run::num_tokens).sum::<u64>();
        let completion_tokens = self.usage.completion_tokens + running;
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let prompt_tokens = self.num_prompt;
        tracing::info!(
            parent: &self.span,
            outcome, prompt_tokens, completion_tokens, elapsed_ms, "stream ended"
        );
    }

    /// What comes next of any run; `None` when all have ended.
    fn poll_runs(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Output, ApiError>>> {
        let mut num_pending = 0;
        while num_pending < self.runs.len() {
            self.first_run %= self.runs.len();
            match self.runs[self.first_run].poll_next(cx) {
                Poll::Ready(Some(output)) => return Poll::Ready(Some(output)),
                Poll::Ready(None) => {
                    // The order of those that are left does not matter.
                    self.runs.swap_remove(self.first_run);
                    num_pending = 0;
                }
                Poll::Pending => {
                    self.first_run += 1;
                    num_pending += 1;
                }
            }
        }
        if self.runs.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// The running choices of one prompt.
struct Run {
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
    fn start(source: &Source, prompt: PromptTokens, first_index: u32) -> Result<Self, ApiError> {
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
                adapter: None,
            },
            prompt: prompt.tokens,
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

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Output, ApiError>>> {
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

    fn num_tokens(&self) -> u64 {
        self.choices.iter().map(|choice| u64::from(choice.num_tokens())).sum()
    }
}
