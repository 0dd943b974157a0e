//! From outputs to the wire: what chat and plain completions share of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::Stream;
use serde::Serialize;
use serde_json::Value;
use server_api::Usage;
use tokio::time::{Instant, Sleep};

use crate::choice::Scored;
use crate::generation::{Generation, Output};
use crate::{ApiError, HttpLimits, ServedModel, ticket};

/// What is gathered of a stream before it is handed on, in bytes; one event may be longer.
const MAX_PIECE_BYTES: usize = 64 << 10;

/// What all pieces of an answer say of it.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

impl Head {
    pub(crate) fn new(prefix: &str, model: &ServedModel) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let id = format!("{prefix}-{:032x}", rand::random::<u128>());
        ticket::name_current(&id);
        Self { id, created, model: model.id.clone(), fingerprint: model.fingerprint() }
    }
}

/// The type of server-sent events.
pub(crate) const SSE: &str = "text/event-stream";

/// How an API writes the pieces of a stream.
pub(crate) trait Wire: Send + 'static {
    type Chunk: Serialize;

    const CONTENT_TYPE: &'static str = SSE;

    /// What ends a stream.
    const END: &'static [u8] = b"data: [DONE]\n\n";

    /// The chunks for one output; none for a usage that was not asked for.
    fn chunks(&mut self, output: Output) -> Vec<Self::Chunk>;

    /// The event's name, where events have names.
    fn name(chunk: &Self::Chunk) -> Option<&str> {
        let _ = chunk;
        None
    }

    /// An error in the middle of a stream.
    fn error(&mut self, error: &ApiError) -> Value {
        serde_json::to_value(error.body()).unwrap_or_default()
    }

    /// Appends an event with a chunk.
    fn write(text: &mut Vec<u8>, chunk: &Self::Chunk) {
        write_event(text, Self::name(chunk), chunk);
    }

    /// Appends an event with an error.
    fn write_error(&mut self, text: &mut Vec<u8>, error: &ApiError) {
        let error = self.error(error);
        // Where events have names, this one is called as it is everywhere.
        write_event(text, error["type"].as_str(), &error);
    }

    /// Appends what a client passes over.
    fn write_keep_alive(text: &mut Vec<u8>) {
        text.extend_from_slice(b":\n\n");
    }

    /// What goes out before the first output.
    fn opening(&mut self) -> Vec<Self::Chunk> {
        Vec::new()
    }

    /// What must be done before the last chunks go out; asked for once they are made.
    fn seal(&mut self) -> Option<Sealing> {
        None
    }

    /// The same before an error goes out.
    fn seal_failed(&mut self) -> Option<Sealing> {
        None
    }
}

/// Work that the end of an answer waits for; if it fails, the answer does.
pub(crate) type Sealing = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>;

/// Answers with events as they come; silence is filled.
pub(crate) fn stream<W: Wire + Unpin>(
    mut generation: Generation,
    mut wire: W,
    limits: &HttpLimits,
) -> Response {
    generation.stream();
    let interval = limits.keep_alive;
    let silence = Box::pin(tokio::time::sleep(interval));
    let (mut ready, wrote) = (Vec::new(), Instant::now());
    for chunk in wire.opening() {
        W::write(&mut ready, &chunk);
    }
    let events = Events { generation, wire, ready, sealing: None, interval, silence, wrote };
    event_stream(W::CONTENT_TYPE, events)
}

/// The response around a stream of events.
pub(crate) fn event_stream(
    content_type: &'static str,
    events: impl Stream<Item = Result<Vec<u8>, Infallible>> + Send + 'static,
) -> Response {
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies must not gather the pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The body of a stream: what is ready at once goes out in one piece.
struct Events<W> {
    generation: Generation,
    wire: W,
    /// What goes out with what comes next.
    ready: Vec<u8>,
    /// What the last chunks wait for, and these.
    sealing: Option<(Sealing, Vec<u8>)>,
    interval: Duration,
    /// Set anew only when it runs out: streams write far more often.
    silence: Pin<Box<Sleep>>,
    wrote: Instant,
}

impl<W: Wire + Unpin> Stream for Events<W> {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut text = std::mem::take(&mut this.ready);
        while text.len() < MAX_PIECE_BYTES {
            match this.poll_write(cx, &mut text) {
                Poll::Ready(true) => {}
                Poll::Ready(false) if text.is_empty() => return Poll::Ready(None),
                Poll::Ready(false) | Poll::Pending => break,
            }
        }
        while text.is_empty() {
            ready!(this.silence.as_mut().poll(cx));
            let due = this.wrote + this.interval;
            if Instant::now() < due {
                this.silence.as_mut().reset(due);
            } else {
                this.silence.as_mut().reset(Instant::now() + this.interval);
                W::write_keep_alive(&mut text);
            }
        }
        this.wrote = Instant::now();
        Poll::Ready(Some(Ok(text)))
    }
}

impl<W: Wire> Events<W> {
    /// Appends what comes next; `false` at the end.
    fn poll_write(&mut self, cx: &mut Context<'_>, text: &mut Vec<u8>) -> Poll<bool> {
        if let Some((sealing, last)) = &mut self.sealing {
            let sealed = ready!(sealing.as_mut().poll(cx));
            match sealed {
                Ok(()) => text.append(last),
                Err(error) => write(text, &mut self.wire, Err(error)),
            }
            self.sealing = None;
            return Poll::Ready(true);
        }
        let Some(output) = ready!(self.generation.poll_next(cx)) else {
            return Poll::Ready(false);
        };
        let (is_last, has_failed) = (matches!(output, Ok(Output::Usage(_))), output.is_err());
        let start = text.len();
        write(text, &mut self.wire, output);
        let sealing = match (is_last, has_failed) {
            (true, _) => self.wire.seal(),
            (_, true) => self.wire.seal_failed(),
            _ => None,
        };
        self.sealing = sealing.map(|sealing| (sealing, text.split_off(start)));
        Poll::Ready(true)
    }
}

impl<W> Drop for Events<W> {
    fn drop(&mut self) {
        self.generation.log_end();
    }
}

/// Appends the events of one output.
fn write<W: Wire>(text: &mut Vec<u8>, wire: &mut W, output: Result<Output, ApiError>) {
    let is_last = !matches!(output, Ok(Output::Delta { .. } | Output::End { .. }));
    match output {
        Ok(output) => {
            for chunk in wire.chunks(output) {
                W::write(text, &chunk);
            }
        }
        Err(error) => wire.write_error(text, &error),
    }
    if is_last {
        text.extend_from_slice(W::END);
    }
}

pub(crate) fn write_event<T: Serialize>(text: &mut Vec<u8>, name: Option<&str>, data: &T) {
    if let Some(name) = name {
        text.extend_from_slice(b"event: ");
        text.extend_from_slice(name.as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(b"data: ");
    // The wire types are plain data: writing them cannot fail. JSON has no line breaks of its own.
    let _ = serde_json::to_writer(&mut *text, data);
    text.extend_from_slice(b"\n\n");
}

/// A choice in full.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Scored>,
    pub(crate) reason: &'static str,
    /// Which of the stop texts ended it.
    pub(crate) stop_text: Option<usize>,
}

/// Waits for all choices and the usage, and settles what they are.
pub(crate) async fn collect(
    mut generation: Generation,
    num_choices: usize,
) -> Result<(Vec<Answer>, Usage), ApiError> {
    let collected = gather(&mut generation, num_choices).await?;
    generation.settle().await;
    Ok(collected)
}

/// The same of an answer that something else must be done with before it is settled and told.
pub(crate) async fn gather(
    generation: &mut Generation,
    num_choices: usize,
) -> Result<(Vec<Answer>, Usage), ApiError> {
    let mut answers: Vec<Answer> = (0..num_choices).map(|_| Answer::default()).collect();
    let mut total = Usage::default();
    while let Some(output) = generation.next().await {
        match output? {
            Output::Delta { index, text, mut tokens } => {
                let answer = &mut answers[index as usize];
                answer.text += &text;
                answer.tokens.append(&mut tokens);
            }
            Output::End { index, reason, stop_text } => {
                let answer = &mut answers[index as usize];
                (answer.reason, answer.stop_text) = (reason, stop_text);
            }
            Output::Usage(usage) => total = usage,
        }
    }
    Ok((answers, total))
}

/// JSON has no infinity; this is what others write for "impossible".
pub(crate) fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// A name that nobody has guessed.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{:024x}", rand::random::<u128>() >> 32)
}
