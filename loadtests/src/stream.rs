//! One streamed request, and when each piece of its answer came.
//!
//! Invariant: times are taken as a piece is read and before it is parsed.

use std::io::BufReader;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Endpoint;
use crate::sse::next_data;

/// A request to stream.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `/v1/chat/completions` or `/v1/completions`.
    pub path: &'static str,
    /// The body; `model`, `stream` and `stream_options` are added.
    pub body: Value,
    /// When to hang up.
    pub stop: Stop,
}

/// When the client hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Never; it reads to the end.
    AtEnd,
    /// Rudely, after this many pieces with text.
    AfterPieces(usize),
}

/// What the server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of those, from the prefix cache.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub completion_tokens: u64,
}

/// What came, and when.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// From before the connection was opened to each piece with text.
    pub pieces: Vec<Duration>,
    /// To the end of the stream.
    pub total: Duration,
    /// All the text.
    pub text: String,
    /// Text of each token whose log-probability came; of all, if they were asked for.
    pub scored_tokens: Vec<String>,
    /// `stop` or `length`.
    pub finish_reason: Option<String>,
    /// In the last piece, if the server sends it.
    pub usage: Option<Usage>,
    /// Whether the stream ended by `[DONE]`.
    pub done: bool,
}

impl Timeline {
    /// To the first piece with text.
    pub fn first_token(&self) -> Option<Duration> {
        self.pieces.first().copied()
    }

    /// Between one piece and the next.
    pub fn gaps(&self) -> impl Iterator<Item = Duration> {
        self.pieces.windows(2).map(|pair| pair[1] - pair[0])
    }
}

/// Sends `ask` and reads its stream.
///
/// # Errors
/// When the server refuses, sends an error event, or breaks off before `[DONE]`.
pub fn stream(endpoint: &Endpoint, ask: &Ask) -> Result<Timeline> {
    let mut body = ask.body.clone();
    body["model"] = endpoint.model.clone().into();
    body["stream"] = true.into();
    body["stream_options"] = serde_json::json!({ "include_usage": true });
    let started = Instant::now();
    let response = endpoint.send(ask.path, &body)?;
    if !response.status().is_success() {
        let status = response.status();
        let text = response.into_body().read_to_string().unwrap_or_default();
        bail!("{} answered {status}: {}", ask.path, text.chars().take(500).collect::<String>());
    }
    // A small buffer: what has come is handed on at once.
    let mut reader = BufReader::with_capacity(8 << 10, response.into_body().into_reader());
    let mut timeline = Timeline::default();
    while let Some(data) = next_data(&mut reader)? {
        let at = started.elapsed();
        timeline.total = at;
        if data == "[DONE]" {
            timeline.done = true;
            break;
        }
        let event = serde_json::from_str(&data).with_context(|| format!("not JSON: {data}"))?;
        timeline.add(&event, at)?;
        if matches!(ask.stop, Stop::AfterPieces(pieces) if timeline.pieces.len() >= pieces) {
            return Ok(timeline);
        }
    }
    if !timeline.done {
        bail!("the stream broke off after {} pieces", timeline.pieces.len());
    }
    Ok(timeline)
}

impl Timeline {
    fn add(&mut self, event: &Value, at: Duration) -> Result<()> {
        if let Some(error) = event.get("error") {
            bail!("the stream reports an error: {error}");
        }
        if let Some(usage) = event.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(Usage {
                prompt_tokens: usage["prompt_tokens"].as_u64().unwrap_or(0),
                cached_tokens: usage["prompt_tokens_details"]["cached_tokens"]
                    .as_u64()
                    .unwrap_or(0),
                completion_tokens: usage["completion_tokens"].as_u64().unwrap_or(0),
            });
        }
        let Some(choice) = event["choices"].get(0) else { return Ok(()) };
        let text = choice["delta"]["content"].as_str().or_else(|| choice["text"].as_str());
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.pieces.push(at);
            self.text.push_str(text);
        }
        let scored = choice["logprobs"]["content"].as_array().into_iter().flatten();
        let token = |entry: &Value| entry["token"].as_str().unwrap_or_default().to_owned();
        self.scored_tokens.extend(scored.map(token));
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish_reason = Some(reason.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Timeline, Usage};

    #[test]
    fn pieces_usage_and_end_are_gathered() {
        let mut timeline = Timeline::default();
        let at = Duration::from_millis;
        let role = json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]});
        let text = json!({"choices": [{"delta": {"content": "a"},
            "logprobs": {"content": [{"token": "a"}]}, "finish_reason": null}], "usage": null});
        let last = json!({"choices": [{"text": "b", "finish_reason": "length"}]});
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 1}}});
        for (event, ms) in [(&role, 1), (&text, 2), (&last, 5), (&usage, 6)] {
            timeline.add(event, at(ms)).unwrap();
        }
        assert_eq!(timeline.text, "ab");
        assert_eq!(timeline.first_token(), Some(at(2)));
        assert_eq!(timeline.gaps().collect::<Vec<_>>(), [at(3)]);
        assert_eq!(timeline.scored_tokens, ["a"]);
        assert_eq!(timeline.finish_reason.as_deref(), Some("length"));
        let counted = Usage { prompt_tokens: 3, cached_tokens: 1, completion_tokens: 2 };
        assert_eq!(timeline.usage, Some(counted));
        assert!(timeline.add(&json!({"error": {"message": "x"}}), at(7)).is_err());
    }
}
