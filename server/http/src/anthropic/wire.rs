//! From outputs to Anthropic's message, whole or in events.
//!
//! Invariant: blocks open and close one after another, and every one that opened closes.

use engine_text::Part;
use serde_json::{Value, json};
use server_api::{Message, MessagesUsage, OutputBlock, Usage};

use super::errors;
use crate::generation::Output;
use crate::meter::BUDGET;
use crate::wire::new_id;
use crate::wire::{Answer, Wire};
use crate::{ApiError, ticket};

/// Writes one answer.
pub(crate) struct MessagesWire {
    message: Message,
    parser: engine_text::AnswerParser,
    stop_texts: Vec<String>,
    /// The prompt's tokens, which the first event tells.
    num_prompt: usize,
    begun: bool,
    /// The block that is open, and how many were before it.
    open: Option<Kind>,
    num_blocks: usize,
    has_calls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    Call,
}

impl MessagesWire {
    pub(crate) fn new(
        model: String,
        parser: engine_text::AnswerParser,
        stop_texts: Vec<String>,
        num_prompt: usize,
    ) -> Self {
        let id = new_id("msg");
        ticket::name_current(&id);
        let message = Message {
            id,
            kind: "message".to_owned(),
            role: "assistant".to_owned(),
            model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: MessagesUsage::default(),
        };
        let (begun, open, num_blocks, has_calls) = (false, None, 0, false);
        Self { message, parser, stop_texts, num_prompt, begun, open, num_blocks, has_calls }
    }

    /// The answer in one piece.
    pub(crate) fn message(mut self, answer: Answer, usage: Usage) -> Message {
        let mut parts = self.parser.push(&answer.text);
        parts.extend(self.parser.finish());
        for part in parts {
            self.add(part);
        }
        self.finish(answer.reason, answer.stop_text);
        for block in &mut self.message.content {
            if let OutputBlock::ToolUse { input, .. } = block {
                let text = input.as_str().unwrap_or_default();
                // Clients expect an object, also of a call that was cut.
                let read = serde_json::from_str(text).ok().filter(Value::is_object);
                *input = read.unwrap_or_else(|| json!({}));
            }
        }
        self.message.usage = counted(usage);
        self.message
    }

    fn add(&mut self, part: Part) {
        let content = &mut self.message.content;
        match (part, content.last_mut()) {
            (Part::Content(more), Some(OutputBlock::Text { text })) => *text += &more,
            (Part::Content(text), _) => content.push(OutputBlock::Text { text }),
            (Part::Reasoning(more), Some(OutputBlock::Thinking { thinking, .. })) => {
                *thinking += &more;
            }
            (Part::Reasoning(thinking), _) => {
                content.push(OutputBlock::Thinking { thinking, signature: String::new() });
            }
            (Part::Call { name }, _) => {
                self.has_calls = true;
                let input = Value::String(String::new());
                content.push(OutputBlock::ToolUse { id: new_id("toolu"), name, input });
            }
            (Part::Arguments(more), Some(OutputBlock::ToolUse { input, .. })) => {
                *input = Value::String(input.as_str().unwrap_or_default().to_owned() + &more);
            }
            (Part::Arguments(_), _) => {}
        }
    }

    /// Why it ended.
    fn finish(&mut self, reason: &str, stop_text: Option<usize>) {
        let stopped_by = stop_text.and_then(|which| self.stop_texts.get(which).cloned());
        let reason = match (reason, &stopped_by, self.has_calls) {
            ("length" | BUDGET, ..) => "max_tokens",
            ("content_filter", ..) => "refusal",
            (_, Some(_), _) => "stop_sequence",
            (_, None, true) => "tool_use",
            (_, None, false) => "end_turn",
        };
        self.message.stop_reason = Some(reason.to_owned());
        self.message.stop_sequence = stopped_by;
    }

    fn begin(&mut self, events: &mut Vec<Value>) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut message = self.message.clone();
            message.usage.input_tokens = self.num_prompt as u64;
            events.push(json!({"type": "message_start", "message": message}));
        }
    }

    fn open(&mut self, kind: Kind, block: Value, events: &mut Vec<Value>) {
        self.close(events);
        let index = self.num_blocks;
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        self.open = Some(kind);
    }

    fn close(&mut self, events: &mut Vec<Value>) {
        if self.open.take().is_some() {
            events.push(json!({"type": "content_block_stop", "index": self.num_blocks}));
            self.num_blocks += 1;
        }
    }

    fn stream_part(&mut self, part: Part, events: &mut Vec<Value>) {
        let delta = match part {
            Part::Content(text) => {
                if self.open != Some(Kind::Text) {
                    self.open(Kind::Text, json!({"type": "text", "text": ""}), events);
                }
                json!({"type": "text_delta", "text": text})
            }
            Part::Reasoning(text) => {
                if self.open != Some(Kind::Thinking) {
                    let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                    self.open(Kind::Thinking, block, events);
                }
                json!({"type": "thinking_delta", "thinking": text})
            }
            Part::Call { name } => {
                self.has_calls = true;
                let id = new_id("toolu");
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                return self.open(Kind::Call, block, events);
            }
            Part::Arguments(text) => json!({"type": "input_json_delta", "partial_json": text}),
        };
        let index = self.num_blocks;
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }
}

/// As Anthropic counts: what was in the cache is no input.
fn counted(usage: Usage) -> MessagesUsage {
    let cached = usage.prompt_tokens_details.cached_tokens;
    MessagesUsage {
        input_tokens: usage.prompt_tokens.saturating_sub(cached),
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: cached,
        output_tokens: usage.completion_tokens,
    }
}

impl Wire for MessagesWire {
    type Chunk = Value;

    const END: &'static [u8] = b"";

    fn chunks(&mut self, output: Output) -> Vec<Value> {
        let mut events = Vec::new();
        self.begin(&mut events);
        match output {
            Output::Delta { text, .. } => {
                for part in self.parser.push(&text) {
                    self.stream_part(part, &mut events);
                }
            }
            Output::End { reason, stop_text, .. } => {
                for part in self.parser.finish() {
                    self.stream_part(part, &mut events);
                }
                self.close(&mut events);
                self.finish(reason, stop_text);
            }
            // The reason waits for the usage, with which it goes out.
            Output::Usage(usage) => {
                let Message { stop_reason, stop_sequence, .. } = &self.message;
                let delta = json!({"stop_reason": stop_reason, "stop_sequence": stop_sequence});
                let usage = counted(usage);
                events.push(json!({"type": "message_delta", "delta": delta, "usage": usage}));
                events.push(json!({"type": "message_stop"}));
            }
        }
        events
    }

    fn name(chunk: &Value) -> Option<&str> {
        chunk["type"].as_str()
    }

    fn error(&mut self, error: &ApiError) -> Value {
        errors::body(error)
    }
}
