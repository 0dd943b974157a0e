//! From Anthropic's message and events to Converse's, which are the same in other words.
//!
//! Invariant: every block that is told of ends; `messageStop` and then `metadata` come last, once.

use std::time::Instant;

use serde_json::{Value, json};
use server_api::{
    ConverseBlock, ConverseMetrics, ConverseOutput, ConverseReasoning, ConverseResponse,
    ConverseServiceTier, ConverseToolUse, ConverseUsage, Message, MessagesUsage, OutputBlock,
    ReasoningText,
};

use super::{errors, event_stream};
use crate::ApiError;
use crate::anthropic::MessagesWire;
use crate::chat::Started;
use crate::generation::Output;
use crate::wire::Wire;

/// The tier by which a request waits, for the answer to who asked for one.
pub(super) fn tier(started: &Started) -> Option<ConverseServiceTier> {
    started.source.params.tier.map(|tier| ConverseServiceTier { kind: tier.to_owned() })
}

/// The answer in one piece.
pub(super) fn response(
    message: Message,
    tier: Option<ConverseServiceTier>,
    begun: Instant,
) -> ConverseResponse {
    let content = message.content.into_iter().map(block).collect();
    ConverseResponse {
        output: ConverseOutput::Message { role: message.role, content },
        stop_reason: stop_reason(message.stop_reason.as_deref().unwrap_or_default()).to_owned(),
        usage: counted(message.usage),
        metrics: metrics(begun),
        service_tier: tier,
    }
}

/// Anthropic's word for it in AWS's: all but one are the same.
fn stop_reason(reason: &str) -> &str {
    if reason == "refusal" { "content_filtered" } else { reason }
}

fn block(block: OutputBlock) -> ConverseBlock {
    match block {
        OutputBlock::Text { text } => ConverseBlock::Text(text),
        OutputBlock::Thinking { thinking: text, .. } => {
            ConverseBlock::ReasoningContent(ConverseReasoning::ReasoningText(ReasoningText {
                text,
            }))
        }
        OutputBlock::ToolUse { id: tool_use_id, name, input } => {
            ConverseBlock::ToolUse(ConverseToolUse { tool_use_id, name, input })
        }
    }
}

fn counted(usage: MessagesUsage) -> ConverseUsage {
    let MessagesUsage { input_tokens, output_tokens, .. } = usage;
    let cache_read_input_tokens = usage.cache_read_input_tokens;
    ConverseUsage {
        input_tokens,
        output_tokens,
        total_tokens: input_tokens + cache_read_input_tokens + output_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens: usage.cache_creation_input_tokens,
    }
}

fn metrics(begun: Instant) -> ConverseMetrics {
    ConverseMetrics { latency_ms: millis(begun) }
}

/// Since `begun`.
pub(super) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Writes an answer in events.
pub(super) struct ConverseWire {
    messages: MessagesWire,
    tier: Option<ConverseServiceTier>,
    begun: Instant,
}

type Event = (&'static str, Value);

impl ConverseWire {
    pub(super) fn new(
        messages: MessagesWire,
        tier: Option<ConverseServiceTier>,
        begun: Instant,
    ) -> Self {
        Self { messages, tier, begun }
    }

    /// Adds what Converse says where Anthropic says `event`.
    fn add(&self, mut event: Value, events: &mut Vec<Event>) {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let index = event["index"].take();
        match kind.as_str() {
            "message_start" => events.push(("messageStart", json!({"role": "assistant"}))),
            // Only calls begin with something to tell.
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                let block = &mut event["content_block"];
                let call = json!({"toolUseId": block["id"].take(), "name": block["name"].take()});
                let start = json!({"contentBlockIndex": index, "start": {"toolUse": call}});
                events.push(("contentBlockStart", start));
            }
            "content_block_delta" => {
                let delta = &mut event["delta"];
                let delta = match delta["type"].as_str() {
                    Some("text_delta") => json!({"text": delta["text"].take()}),
                    Some("thinking_delta") => {
                        json!({"reasoningContent": {"text": delta["thinking"].take()}})
                    }
                    _ => json!({"toolUse": {"input": delta["partial_json"].take()}}),
                };
                let delta = json!({"contentBlockIndex": index, "delta": delta});
                events.push(("contentBlockDelta", delta));
            }
            "content_block_stop" => {
                events.push(("contentBlockStop", json!({"contentBlockIndex": index})));
            }
            "message_delta" => {
                let reason = event["delta"]["stop_reason"].as_str().unwrap_or_default();
                let stop = json!({"stopReason": stop_reason(reason)});
                events.push(("messageStop", stop));
                let usage = serde_json::from_value(event["usage"].take()).unwrap_or_default();
                let metrics = metrics(self.begun);
                let mut metadata = json!({"usage": counted(usage), "metrics": metrics});
                if let Some(tier) = &self.tier {
                    metadata["serviceTier"] = json!(tier);
                }
                events.push(("metadata", metadata));
            }
            _ => {}
        }
    }
}

impl Wire for ConverseWire {
    type Chunk = Event;

    const CONTENT_TYPE: &'static str = event_stream::CONTENT_TYPE;
    const END: &'static [u8] = b"";

    fn chunks(&mut self, output: Output) -> Vec<Event> {
        let mut events = Vec::new();
        for event in self.messages.chunks(output) {
            self.add(event, &mut events);
        }
        events
    }

    fn write(out: &mut Vec<u8>, (kind, data): &Event) {
        event_stream::event(out, kind, data);
    }

    fn write_error(&mut self, out: &mut Vec<u8>, error: &ApiError) {
        errors::write(out, error);
    }

    fn write_keep_alive(out: &mut Vec<u8>) {
        event_stream::keep_alive(out);
    }
}
