//! From outputs to a response, whole or in events.
//!
//! Invariant: items open and close one after another, and every one that opened closes; the last
//! event holds the response as it is kept and retrieved.

mod states;

use std::sync::Arc;

use engine_text::{AnswerParser, Part, TextModel};
use serde_json::{Value, json};
use server_api::{ChatTokenLogprob, IncompleteDetails, OutputContent, OutputItem, Response};

use super::keep::Keeper;
use super::output::{
    call, counted, empty_part, id, is_message, is_reasoning, message, reasoning, shown,
};
use crate::meter::BUDGET;
use crate::openai::{TokenNames, token_logprobs};
use crate::wire::{Sealing, Wire};
use crate::{ApiError, generation::Output, storage::unix_time};

/// Writes one response.
pub(super) struct ResponsesWire {
    response: Response,
    parser: AnswerParser,
    text: Arc<TextModel>,
    names: TokenNames,
    with_logprobs: bool,
    /// Of tokens of which nothing shows yet.
    pending: Vec<ChatTokenLogprob>,
    /// Whether the last item is open.
    is_open: bool,
    num_reasoning: u64,
    num_events: u64,
    keeper: Option<Keeper>,
}

impl ResponsesWire {
    pub(super) fn new(
        response: Response,
        parser: AnswerParser,
        text: Arc<TextModel>,
        with_logprobs: bool,
        keeper: Option<Keeper>,
    ) -> Self {
        Self {
            response,
            parser,
            names: TokenNames::texts(Arc::clone(&text)),
            text,
            with_logprobs,
            pending: Vec::new(),
            is_open: false,
            num_reasoning: 0,
            num_events: 0,
            keeper,
        }
    }

    pub(super) fn into_response(self) -> Response {
        self.response
    }

    pub(super) fn response(&self) -> &Response {
        &self.response
    }

    /// An event with its number.
    fn event(&mut self, mut event: Value) -> Value {
        event["sequence_number"] = self.num_events.into();
        self.num_events += 1;
        event
    }

    /// An event of the item that was opened last.
    fn of_item(&mut self, kind: &str, fields: Value) -> Value {
        let mut event = json!({"type": kind});
        event["output_index"] = (self.response.output.len().saturating_sub(1)).into();
        if let Some(item) = self.response.output.last() {
            event["item_id"] = id(item).into();
        }
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        self.event(event)
    }

    /// An event that holds the item itself.
    fn with_item(&mut self, kind: &str) -> Value {
        let index = self.response.output.len().saturating_sub(1);
        let item = shown(&self.response.output.last());
        self.event(json!({"type": kind, "output_index": index, "item": item}))
    }

    fn add(&mut self, part: Part, events: &mut Vec<Value>) {
        match part {
            Part::Content(text) => {
                if !(self.is_open && is_message(self.response.output.last())) {
                    self.open(message(), events);
                }
                let logprobs = std::mem::take(&mut self.pending);
                self.say(text, logprobs, events);
            }
            Part::Reasoning(text) => {
                self.pending.clear();
                if !(self.is_open && is_reasoning(self.response.output.last())) {
                    self.open(reasoning(), events);
                }
                // A piece is the text of a token, or of few.
                let num_tokens = self.text.encode(&text, false).map_or(1, |tokens| tokens.len());
                self.num_reasoning += num_tokens as u64;
                if let Some(OutputContent::ReasoningText { text: all }) = self.last_content() {
                    *all += &text;
                }
                let fields = json!({"content_index": 0, "delta": text});
                events.push(self.of_item("response.reasoning_text.delta", fields));
            }
            Part::Call { name } => {
                self.pending.clear();
                self.open(call(name), events);
            }
            Part::Arguments(text) => {
                self.pending.clear();
                if let Some(OutputItem::FunctionCall { arguments, .. }) =
                    self.response.output.last_mut()
                {
                    *arguments += &text;
                    let fields = json!({"delta": text});
                    events.push(self.of_item("response.function_call_arguments.delta", fields));
                }
            }
        }
    }

    fn say(&mut self, text: String, new: Vec<ChatTokenLogprob>, events: &mut Vec<Value>) {
        let fields = json!({"content_index": 0, "delta": text, "logprobs": shown(&new)});
        if let Some(OutputContent::OutputText { text: all, logprobs, .. }) = self.last_content() {
            *all += &text;
            logprobs.extend(new);
        }
        events.push(self.of_item("response.output_text.delta", fields));
    }

    fn last_content(&mut self) -> Option<&mut OutputContent> {
        match self.response.output.last_mut()? {
            OutputItem::Message { content, .. } | OutputItem::Reasoning { content, .. } => {
                content.last_mut()
            }
            OutputItem::FunctionCall { .. } => None,
        }
    }

    fn open(&mut self, item: OutputItem, events: &mut Vec<Value>) {
        self.close("completed", events);
        let part = empty_part(&item);
        self.response.output.push(item);
        self.is_open = true;
        events.push(self.with_item("response.output_item.added"));
        if let Some(part) = part {
            let fields = json!({"content_index": 0, "part": part});
            events.push(self.of_item("response.content_part.added", fields));
            if let Some(
                OutputItem::Message { content, .. } | OutputItem::Reasoning { content, .. },
            ) = self.response.output.last_mut()
            {
                content.push(part);
            }
        }
    }

    fn close(&mut self, with: &str, events: &mut Vec<Value>) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let Some(item) = self.response.output.last_mut() else { return };
        let (done, fields, part) = match item {
            OutputItem::Message { status, content, .. } => {
                *status = with.to_owned();
                let part = shown(&content.last());
                let (text, logprobs) = (&part["text"], &part["logprobs"]);
                let fields = json!({"content_index": 0, "text": text, "logprobs": logprobs});
                ("response.output_text.done", fields, Some(part))
            }
            OutputItem::Reasoning { status, content, .. } => {
                *status = with.to_owned();
                let part = shown(&content.last());
                let fields = json!({"content_index": 0, "text": part["text"]});
                ("response.reasoning_text.done", fields, Some(part))
            }
            OutputItem::FunctionCall { status, name, arguments, .. } => {
                *status = with.to_owned();
                let fields = json!({"name": name, "arguments": arguments});
                ("response.function_call_arguments.done", fields, None)
            }
        };
        events.push(self.of_item(done, fields));
        if let Some(part) = part {
            let fields = json!({"content_index": 0, "part": part});
            events.push(self.of_item("response.content_part.done", fields));
        }
        events.push(self.with_item("response.output_item.done"));
    }

    fn finish(&mut self, reason: &str, events: &mut Vec<Value>) {
        for part in self.parser.finish() {
            self.add(part, events);
        }
        if self.response.output.is_empty() {
            self.open(message(), events);
        }
        if matches!(reason, "length" | "content_filter" | BUDGET) {
            self.close("incomplete", events);
            self.response.status = "incomplete".to_owned();
            let details =
                IncompleteDetails { reason: reason.replace("length", "max_output_tokens") };
            self.response.incomplete_details = Some(details);
        } else {
            self.close("completed", events);
            self.response.status = "completed".to_owned();
            self.response.completed_at = Some(unix_time().unsigned_abs());
        }
    }
}

impl Wire for ResponsesWire {
    type Chunk = Value;

    const END: &'static [u8] = b"";

    fn opening(&mut self) -> Vec<Value> {
        let opening = ["response.created", "response.in_progress"];
        opening.map(|kind| self.state(kind)).into()
    }

    fn chunks(&mut self, output: Output) -> Vec<Value> {
        let mut events = Vec::new();
        match output {
            Output::Delta { text, tokens, .. } => {
                if self.with_logprobs {
                    self.pending.extend(token_logprobs(&self.names, &tokens));
                }
                for part in self.parser.push(&text) {
                    self.add(part, &mut events);
                }
            }
            Output::End { reason, .. } => self.finish(reason, &mut events),
            Output::Usage(usage) => {
                self.response.usage = Some(counted(usage, self.num_reasoning));
                events.push(self.state(&format!("response.{}", self.response.status)));
            }
        }
        events
    }

    fn name(chunk: &Value) -> Option<&str> {
        chunk["type"].as_str()
    }

    fn error(&mut self, error: &ApiError) -> Value {
        // The last event did not go out if this one comes after it.
        let comes_after = self.response.usage.is_some() || self.response.status == "failed";
        self.fail(error);
        self.num_events -= u64::from(comes_after);
        self.state("response.failed")
    }

    fn seal(&mut self) -> Option<Sealing> {
        let keeper = self.keeper.take()?;
        let response = self.response.clone();
        Some(Box::pin(async move { keeper.keep(&response).await.map(drop) }))
    }

    fn seal_failed(&mut self) -> Option<Sealing> {
        self.seal()
    }
}
