//! What one request asks for, and how its client ends it.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::metering::{CHAT, PLAIN};

/// What the model says, a token a byte, and then the end of the sequence.
pub(super) const SCRIPT: &str =
    "I look aaaaaab. <tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
/// Texts that may end it; the last two do not occur, though one seems to come all the time.
const STOPS: [&str; 5] = ["aaab", "\"f\"", "}}\n", "never said", "aaaac"];
/// Without limits, with a budget, and with a quota.
pub(super) const ORGANIZATIONS: [&str; 3] = ["free", "budget", "quota"];

/// How a client ends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It reads all of it.
    Reads,
    /// It goes away after so many pieces of a stream, or so many milliseconds.
    Goes(u64),
    /// It cancels after so many milliseconds.
    Cancels(u64),
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) organization: &'static str,
    pub(super) key: String,
    pub(super) is_chat: bool,
    pub(super) is_streamed: bool,
    with_usage: bool,
    with_tools: bool,
    pub(super) n: usize,
    /// Bytes of each prompt.
    prompts: Vec<usize>,
    /// Tokens around a chat's prompt.
    num_around: u64,
    pub(super) stop: Option<&'static str>,
    pub(super) max_tokens: usize,
    pub(super) how: How,
}

impl Plan {
    pub(super) fn new(idx: usize, num_around: [u64; 2], random: &mut StdRng) -> Self {
        let mut one_of = |num: u32| random.random_ratio(1, num);
        let (is_chat, is_streamed, with_usage) = (one_of(2), one_of(2), one_of(2));
        let (with_tools, has_stop) = (is_chat && one_of(2), one_of(3));
        let (ends_early, cancels, is_double) = (one_of(3), one_of(2), !is_chat && one_of(4));
        let when = random.random_range(0..12);
        let how = match (ends_early, cancels) {
            (false, _) => How::Reads,
            (true, false) => How::Goes(when),
            (true, true) => How::Cancels(when),
        };
        let num_prompts = if is_double { 2 } else { 1 };
        Self {
            organization: ORGANIZATIONS[random.random_range(0..ORGANIZATIONS.len())],
            key: format!("k{idx}"),
            is_chat,
            is_streamed,
            with_usage,
            with_tools,
            n: random.random_range(1..=3),
            prompts: (0..num_prompts).map(|_| 16 * random.random_range(1..6)).collect(),
            num_around: if is_chat { num_around[usize::from(with_tools)] } else { 0 },
            stop: has_stop.then(|| STOPS[random.random_range(0..STOPS.len())]),
            max_tokens: random.random_range(1..90),
            how,
        }
    }

    pub(super) fn num_prompts(&self) -> usize {
        self.prompts.len()
    }

    pub(super) fn num_choices(&self) -> usize {
        self.prompts.len() * self.n
    }

    /// Tokens of all prompts.
    pub(super) fn num_prompt(&self) -> u64 {
        self.prompts.iter().map(|num| *num as u64 + self.num_around).sum()
    }

    /// Tokens of a choice that ended by itself and that nothing shows of: the end of the sequence,
    /// or those of the stop text.
    pub(super) fn num_hidden(&self) -> u64 {
        let met = self.stop.filter(|stop| SCRIPT.contains(stop));
        met.map_or(1, |stop| stop.len() as u64)
    }

    pub(super) fn path(&self) -> &'static str {
        if self.is_chat { CHAT } else { PLAIN }
    }

    pub(super) fn bearer(&self) -> String {
        format!("{}/p/{}", self.organization, self.key)
    }

    pub(super) fn body(&self) -> Value {
        let mut body = match self.is_chat {
            true => {
                let content = "x".repeat(self.prompts[0]);
                json!({"messages": [{"role": "user", "content": content}], "logprobs": true})
            }
            false => {
                let prompts: Vec<Vec<u32>> =
                    self.prompts.iter().map(|num| (0..*num as u32).collect()).collect();
                json!({"prompt": prompts, "logprobs": 0})
            }
        };
        body["model"] = json!("mock");
        body["n"] = json!(self.n);
        body["max_tokens"] = json!(self.max_tokens);
        if let Some(stop) = self.stop {
            body["stop"] = json!([stop]);
        }
        if self.with_tools {
            body["tools"] = tools();
        }
        if self.is_streamed {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": self.with_usage});
        }
        body
    }
}

pub(super) fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "f"}}])
}
