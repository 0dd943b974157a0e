//! Continuations of a prompt in Meta's and Mistral's forms.

use serde_json::{Value, json};
use server_api::Usage;

use crate::generation::Output;
use crate::meter::BUDGET;
use crate::wire::Answer;

/// Whose form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Meta,
    Mistral,
}

/// Writes one continuation.
pub(super) struct TextWire {
    maker: Maker,
    /// Why it ended; it waits for the usage, with which it goes out.
    reason: &'static str,
}

impl TextWire {
    pub(super) fn new(maker: Maker) -> Self {
        Self { maker, reason: "" }
    }

    pub(super) fn whole(&self, answer: &Answer, usage: Usage) -> Value {
        self.piece(&answer.text, Some((answer.reason, usage)))
    }

    pub(super) fn chunks(&mut self, output: Output) -> Vec<Value> {
        match output {
            Output::Delta { text, .. } => vec![self.piece(&text, None)],
            Output::End { reason, .. } => {
                self.reason = reason;
                Vec::new()
            }
            Output::Usage(usage) => vec![self.piece("", Some((self.reason, usage)))],
        }
    }

    fn piece(&self, text: &str, end: Option<(&str, Usage)>) -> Value {
        // Makers have no word for a budget.
        let reason = end.map(|(reason, _)| if reason == BUDGET { "length" } else { reason });
        match self.maker {
            Maker::Mistral => json!({"outputs": [{"text": text, "stop_reason": reason}]}),
            Maker::Meta => json!({
                "generation": text,
                "prompt_token_count": end.map(|(_, usage)| usage.prompt_tokens),
                "generation_token_count": end.map(|(_, usage)| usage.completion_tokens),
                "stop_reason": reason,
            }),
        }
    }
}
