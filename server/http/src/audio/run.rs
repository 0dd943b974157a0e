//! Submits a recording, and hears what is said until its end, the request's cancel or its deadline.
//!
//! Invariant: whichever comes first ends the wait and the work; what goes out has passed the
//! guards.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use engine_core::{Segment, SpeechInput, SpeechStep};
use futures_util::stream;
use scheduler_batching::{SpeechRefusal, SpeechStream, SubmitError};
use server_api::{AudioUsage, TranscriptionEvent, TranscriptionWord};
use server_metering::{Ending, Meter, Usage};

use super::words;
use crate::guard::{GuardedText, OutputGuards};
use crate::meter::{self, Metered, Wanted};
use crate::served::ServedSpeech;
use crate::ticket::Life;
use crate::wire::{SSE, event_stream, write_event};
use crate::{ApiError, AppState, Caller, HttpLimits};

/// A stretch of speech as it goes out.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) segment: Segment,
    pub(super) text: String,
    /// Where they are asked for.
    pub(super) words: Vec<TranscriptionWord>,
}

/// All that is said.
pub(super) struct Transcript {
    pub(super) said: Vec<Said>,
    pub(super) text: String,
    /// Its code.
    pub(super) language: String,
    pub(super) seconds: f64,
}

/// A recording that is being written down.
pub(super) struct Recording {
    model: Arc<ServedSpeech>,
    steps: SpeechStream,
    life: Life,
    guard: Option<GuardedText>,
    seconds: f64,
    language: String,
    metered: Metered,
    /// All of it, as meters count it; nothing until some of what is said is known.
    used: Usage,
    is_streamed: bool,
    /// The error that ended it, until it is settled and told.
    last: Option<ApiError>,
    ended: bool,
}

impl Recording {
    /// Queues it.
    pub(super) async fn submit(
        state: &AppState,
        caller: &Caller,
        model: Arc<ServedSpeech>,
        input: SpeechInput,
    ) -> Result<Self, ApiError> {
        let life = Life::of_current(None);
        life.check()?;
        let seconds = input.samples.len() as f64 / f64::from(model.info().sample_rate);
        // Part of a millisecond counts as one.
        let num_millis = input.samples.len() as u64 * 1000;
        let num_millis = num_millis.div_ceil(u64::from(model.info().sample_rate).max(1));
        let all = Usage::NONE.with(Meter::AudioMillis, num_millis);
        let wanted = Wanted::to_read(caller, (&model.id, &model.version), all);
        let metered = meter::admit(state, wanted).await?;
        let steps = model.handle.submit(&caller.tenant, input).map_err(refused)?;
        let guard = OutputGuards::of(state).follow(1).pop();
        Ok(Self {
            model,
            steps,
            life,
            guard,
            seconds,
            language: String::new(),
            metered,
            used: Usage::NONE,
            is_streamed: false,
            last: None,
            ended: false,
        })
    }

    /// What is said next, maybe nothing; after the end there is nothing more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Said>, ApiError>>> {
        if self.last.is_none() && !self.ended {
            let (said, ending) = match self.life.poll_over(cx) {
                Poll::Ready(error) => (Some(Err(error)), Ending::Cancelled),
                Poll::Pending => (ready!(self.poll_step(cx)), Ending::Failed),
            };
            self.last = match said {
                Some(Ok(said)) => {
                    self.used = self.metered.other();
                    self.metered.computing(self.steps.began());
                    if self.is_streamed {
                        self.metered.delivered(self.used);
                    }
                    return Poll::Ready(Some(Ok(said)));
                }
                Some(Err(error)) => {
                    // What the client has got nothing of is charged if it was its client's wish.
                    let is_free = ending == Ending::Failed && !self.is_streamed;
                    self.metered.settle(if is_free { Usage::NONE } else { self.used }, ending);
                    Some(error)
                }
                None => {
                    self.metered.settle(self.metered.other(), Ending::Finished);
                    None
                }
            };
            self.ended = true;
        }
        ready!(self.metered.poll_settled(cx));
        Poll::Ready(self.last.take().map(Err))
    }

    /// What the model says next, as guards let it through.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Said>, ApiError>>> {
        let step = ready!(self.steps.poll_next(cx));
        Poll::Ready(step.map(|step| match step {
            Ok(step) => self.said(step),
            Err(error) => Err(ApiError::from_request(&error, "file")),
        }))
    }

    async fn next(&mut self) -> Option<Result<Vec<Said>, ApiError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The text of a step, as guards let it through.
    fn said(&mut self, step: SpeechStep) -> Result<Vec<Said>, ApiError> {
        let SpeechStep { segments, language, is_last } = step;
        if !language.is_empty() {
            self.language = language;
        }
        let mut said = Vec::with_capacity(segments.len());
        for mut segment in segments {
            let is_text = |token: &&u32| **token < self.model.info().first_mark;
            let tokens: Vec<u32> = segment.tokens.iter().filter(is_text).copied().collect();
            let text = self.model.text.decode(&tokens, true);
            if text.trim().is_empty() {
                continue;
            }
            // A window is longer than what is left of a recording at its end.
            segment.start = segment.start.min(self.seconds);
            segment.end = segment.end.clamp(segment.start, self.seconds.max(segment.start));
            if let Some(guard) = &mut self.guard {
                // Tokens would tell what guards may have masked.
                segment.tokens.clear();
                let guarded = guard.push(text, Vec::new());
                said.push(Said { segment, text: guarded.text, words: Vec::new() });
                if guarded.stopped {
                    return Err(stopped());
                }
            } else {
                let of = (self.language.as_str(), self.model.info().first_mark);
                let words = words::of_segment(&segment, &self.model.text, of, self.seconds);
                said.push(Said { segment, text, words });
            }
        }
        if let Some(guard) = self.guard.as_mut().filter(|_| is_last) {
            let rest = guard.finish();
            if rest.stopped {
                return Err(stopped());
            }
            let end = Segment { start: self.seconds, end: self.seconds, ..Segment::default() };
            match said.last_mut() {
                Some(last) => last.text += &rest.text,
                None if rest.text.is_empty() => {}
                None => said.push(Said { segment: end, text: rest.text, words: Vec::new() }),
            }
        }
        Ok(said)
    }

    /// All of it.
    pub(super) async fn collect(mut self) -> Result<Transcript, ApiError> {
        let mut said = Vec::new();
        while let Some(more) = self.next().await {
            said.extend(more?);
        }
        let text: String = said.iter().map(|said| said.text.as_str()).collect();
        // What guards hold back comes later.
        said.retain(|said: &Said| !said.text.trim().is_empty());
        let (text, language) = (text.trim().to_owned(), std::mem::take(&mut self.language));
        Ok(Transcript { said, text, language, seconds: self.seconds })
    }
}

impl Drop for Recording {
    /// Nothing happens if it was settled.
    fn drop(&mut self) {
        self.metered.settle(self.used, Ending::Dropped);
    }
}

/// What a recording of so many seconds is counted as.
pub(super) fn usage(seconds: f64) -> AudioUsage {
    AudioUsage { kind: "duration".to_owned(), seconds: seconds.ceil() as u64 }
}

fn stopped() -> ApiError {
    let message = "What is said was refused by the content policy of this server.";
    ApiError::invalid(None, message).code("content_filter")
}

fn refused(refusal: SpeechRefusal) -> ApiError {
    match refusal {
        SpeechRefusal::QueueFull { waiting, retry_after_s } => {
            let message =
                format!("The queue is full: {waiting} recordings are waiting. Retry later.");
            ApiError::unavailable("queue_full", message, retry_after_s)
        }
        SpeechRefusal::ShuttingDown => ApiError::from_submit(SubmitError::ShuttingDown, "file"),
    }
}

/// A stream in the making.
struct Events {
    recording: Recording,
    /// All that went out.
    text: String,
}

impl Events {
    /// The next events; whether there are more.
    async fn next(&mut self) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        loop {
            match self.recording.next().await {
                Some(Ok(said)) => {
                    let mut delta: String = said.into_iter().map(|said| said.text).collect();
                    if self.text.is_empty() {
                        delta = delta.trim_start().to_owned();
                    }
                    if !delta.is_empty() {
                        self.text += &delta;
                        write_event(&mut out, None, &TranscriptionEvent::Delta { delta });
                        return (out, true);
                    }
                }
                Some(Err(error)) => {
                    write_event(&mut out, None, &error.body());
                    out.extend_from_slice(b"data: [DONE]\n\n");
                    return (out, false);
                }
                None => {
                    let text = self.text.trim_end().to_owned();
                    let usage = usage(self.recording.seconds);
                    write_event(&mut out, None, &TranscriptionEvent::Done { text, usage });
                    out.extend_from_slice(b"data: [DONE]\n\n");
                    return (out, false);
                }
            }
        }
    }
}

/// Answers with events as text is found; silence is filled.
pub(super) fn stream(mut recording: Recording, limits: &HttpLimits) -> Response {
    recording.is_streamed = true;
    let keep_alive = limits.keep_alive;
    let events = Some(Events { recording, text: String::new() });
    let events = stream::unfold(events, move |events| async move {
        let mut events = events?;
        let (out, more) = match tokio::time::timeout(keep_alive, events.next()).await {
            Ok(next) => next,
            Err(_) => (b":\n\n".to_vec(), true),
        };
        Some((Ok(out), more.then_some(events)))
    });
    event_stream(SSE, events)
}
