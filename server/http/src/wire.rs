//! From outputs to the wire: what chat and plain completions share of it.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{StreamExt, iter, unfold};
use serde::Serialize;
use server_api::Usage;

use crate::choice::Scored;
use crate::generation::{Generation, Output};
use crate::{ApiError, HttpLimits, ServedModel};

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
        Self {
            id: format!("{prefix}-{:032x}", rand::random::<u128>()),
            created,
            model: model.id.clone(),
            fingerprint: model.fingerprint(),
        }
    }
}

/// How an API writes the pieces of a stream.
pub(crate) trait Wire: Send + 'static {
    type Chunk: Serialize;

    /// The chunks for one output; none for a usage that was not asked for.
    fn chunks(&mut self, output: Output) -> Vec<Self::Chunk>;
}

/// Answers with server-sent events as they come; silence is filled with comments.
pub(crate) fn stream<W: Wire>(
    generation: Generation,
    mut wire: W,
    limits: &HttpLimits,
) -> Response {
    let outputs = unfold(generation, async |mut g| g.next().await.map(|output| (output, g)));
    let events = outputs.flat_map(move |output| iter(events(&mut wire, output)));
    let keep_alive = KeepAlive::new().interval(limits.keep_alive);
    let response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive);
    let mut response = response.into_response();
    // Proxies must not gather the pieces.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

fn events<W: Wire>(wire: &mut W, output: Result<Output, ApiError>) -> Vec<Event> {
    let is_last = !matches!(output, Ok(Output::Delta { .. } | Output::End { .. }));
    let mut events: Vec<Event> = match output {
        Ok(output) => wire.chunks(output).iter().map(event).collect(),
        Err(error) => vec![event(&error.body())],
    };
    if is_last {
        events.push(Event::default().data("[DONE]"));
    }
    events
}

fn event<T: Serialize>(data: &T) -> Event {
    // The wire types are plain data: writing them cannot fail.
    Event::default().data(serde_json::to_string(data).unwrap_or_default())
}

/// A choice in full.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Scored>,
    pub(crate) reason: &'static str,
}

/// Waits for all choices and the usage.
pub(crate) async fn collect(
    mut generation: Generation,
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
            Output::End { index, reason } => answers[index as usize].reason = reason,
            Output::Usage(usage) => total = usage,
        }
    }
    Ok((answers, total))
}

/// JSON has no infinity; this is what others write for "impossible".
pub(crate) fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}
