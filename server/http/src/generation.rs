//! From events to texts: the one pipeline behind chat and plain completions, streamed or not.
//!
//! Invariant: each choice gets its deltas and then exactly one end; the usage comes last, once,
//! and nothing comes after it or after an error. Dropping a generation cancels what still runs. Its
//! permit is settled once, before its end is told (`meter` says with what).

mod run;
mod tally;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use server_api::Usage;
use server_metering::Ending;
use tracing::Span;

use self::run::Run;
use self::tally::Tally;
use crate::choice::Scored;
use crate::meter::Metered;
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
    metered: Metered,
    tally: Tally,
    /// Whether outputs reach the client as they come, and whether any did.
    is_streamed: bool,
    has_delivered: bool,
    /// What is told last, once it is settled.
    last: Option<Result<Output, ApiError>>,
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
        metered: Metered,
    ) -> Result<Self, ApiError> {
        let adapter = adapters::load(state, &source.model).await?;
        let life = Life::of_current(source.params.timeout);
        life.check()?;
        let num_prompt = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        let (cap, other) = (metered.cap(), metered.other());
        let runs = prompts.into_iter().enumerate().map(|(prompt_idx, prompt)| {
            let first_index = prompt_idx as u32 * source.params.n;
            Run::start((source, adapter.as_ref()), prompt, first_index, cap)
        });
        let runs = runs.collect::<Result<_, ApiError>>()?;
        Ok(Self {
            runs,
            first_run: 0,
            usage: Usage::default(),
            num_prompt,
            meter: source.model.adapter.as_ref().map(|info| state.metrics().adapter(&info.id)),
            metered,
            tally: Tally::new(cap, other),
            is_streamed: false,
            has_delivered: false,
            last: None,
            ended: false,
            failed: false,
            started: Instant::now(),
            life,
            span: Span::current(),
        })
    }

    /// From now on outputs reach the client as they come. Else it gets nothing before
    /// [`Self::settle`].
    pub(crate) fn stream(&mut self) {
        self.is_streamed = true;
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
        while self.last.is_none() && !self.ended {
            let (next, ending) = match self.life.poll_over(cx) {
                Poll::Ready(error) => (Some(Err(error)), Ending::Cancelled),
                Poll::Pending => (ready!(self.poll_runs(cx)), Ending::Failed),
            };
            match next {
                Some(Ok(Output::Usage(usage))) => usage::add(&mut self.usage, usage),
                Some(Ok(output)) => {
                    self.deliver();
                    return Poll::Ready(Some(Ok(output)));
                }
                Some(Err(error)) => {
                    self.failed = true;
                    self.settle_early(ending);
                    self.runs.clear(); // What still runs is of no use any more.
                    self.last = Some(Err(error));
                }
                None => {
                    if self.is_streamed {
                        self.settle_end();
                    }
                    self.last = Some(Ok(Output::Usage(self.usage)));
                }
            }
        }
        ready!(self.metered.poll_settled(cx));
        self.ended = true;
        Poll::Ready(self.last.take())
    }

    /// An output goes out.
    fn deliver(&mut self) {
        if self.is_streamed {
            self.has_delivered = true;
            self.metered.computing(self.tally.began());
            self.metered.delivered(self.tally.handed_out());
        }
    }

    /// The whole answer is about to be told in one piece: settles it first. One that ended and is
    /// not told is not charged.
    pub(crate) async fn settle(&mut self) {
        if self.ended && !self.failed {
            self.settle_end();
        }
        self.metered.settled().await;
    }

    fn settle_end(&mut self) {
        let is_capped = self.tally.is_capped();
        let ending = if is_capped { Ending::Capped } else { Ending::Finished };
        self.metered.computing(self.tally.began());
        self.metered.settle(self.tally.told(&self.usage), ending);
    }

    /// Its client wants no more of it.
    pub(crate) async fn cancel(&mut self) {
        self.settle_early(Ending::Cancelled);
        self.metered.settled().await;
    }

    fn settle_early(&mut self, ending: Ending) {
        self.runs.iter_mut().for_each(|run| run.count_prompt(&mut self.tally));
        let usage = match (self.is_streamed, ending) {
            (_, Ending::Failed) if !self.has_delivered => server_metering::Usage::NONE,
            (true, _) => self.tally.handed_out(),
            (false, _) => self.tally.begun(),
        };
        self.metered.computing(self.tally.began());
        self.metered.settle(usage, ending);
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
            match self.runs[self.first_run].poll_next(cx, &mut self.tally) {
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
        // An answer in one piece that was made and not settled is one that could not be told.
        if !self.ended {
            self.settle_early(Ending::Dropped);
        }
    }
}
