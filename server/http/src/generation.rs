//! From events to texts: the one pipeline behind chat and plain completions, streamed or not.
//!
//! Invariant: each choice gets its deltas and then exactly one end; the usage comes last, once,
//! and nothing comes after it or after an error. Dropping a generation cancels what still runs.

mod run;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use server_api::Usage;
use tracing::Span;

use self::run::Run;
use crate::choice::Scored;
use crate::metrics::AdapterMeter;
use crate::source::{PromptTokens, Source};
use crate::ticket::Life;
use crate::{ApiError, AppState, adapters, usage};

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
    /// Counts what an adapter was used for.
    meter: Option<AdapterMeter>,
    ended: bool,
    failed: bool,
    started: Instant,
    life: Life,
    /// The request's; a stream goes on after its handler has returned.
    span: Span,
}

impl Generation {
    /// Submits every prompt, with the model's adapter; if one is refused, none runs.
    pub(crate) async fn start(
        state: &AppState,
        source: &Source,
        prompts: Vec<PromptTokens>,
    ) -> Result<Self, ApiError> {
        let adapter = adapters::load(state, &source.model).await?;
        let life = Life::of_current(source.params.timeout);
        life.check()?;
        let num_prompt = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        let runs = prompts.into_iter().enumerate().map(|(prompt_idx, prompt)| {
            let first_index = prompt_idx as u32 * source.params.n;
            Run::start((source, adapter.as_ref()), prompt, first_index)
        });
        let runs = runs.collect::<Result<_, ApiError>>()?;
        Ok(Self {
            runs,
            first_run: 0,
            usage: Usage::default(),
            num_prompt,
            meter: source.model.adapter.as_ref().map(|info| state.metrics().adapter(&info.id)),
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
        let completion_tokens = self.num_completion();
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let prompt_tokens = self.num_prompt;
        tracing::info!(
            parent: &self.span,
            outcome, prompt_tokens, completion_tokens, elapsed_ms, "stream ended"
        );
    }

    /// Tokens of answers so far.
    fn num_completion(&self) -> u64 {
        self.usage.completion_tokens + self.runs.iter().map(Run::num_tokens).sum::<u64>()
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

impl Drop for Generation {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.count(self.num_prompt as u64, self.num_completion());
        }
    }
}
