//! From the text of an answer to messages: what is said, thought and called.
//!
//! Invariant: a stream and an answer in one piece are made of the same parts.

use std::sync::Arc;

use engine_text::{AnswerParser, Part, TextModel};
use server_api::{
    AssistantMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatDelta,
    ChatLogprobs, ChatTokenLogprob, FunctionCall, FunctionCallDelta, Role, ToolCall, ToolCallDelta,
    TopLogprob, Usage,
};

use super::TokenNames;
use crate::choice::Scored;
use crate::generation::Output;
use crate::source::Source;
use crate::tools::Tools;
use crate::wire::{Answer, Head, Wire, finite, new_id};

/// Writes the answers to one chat.
pub(crate) struct ChatWire {
    head: Head,
    text: Arc<TextModel>,
    names: TokenNames,
    with_logprobs: bool,
    include_usage: bool,
    tier: Option<&'static str>,
    choices: Vec<Choice>,
    /// Why a choice with calls ended.
    called: &'static str,
}

/// What is known of a choice.
struct Choice {
    parser: AnswerParser,
    /// Its role was sent.
    begun: bool,
    num_calls: u32,
    /// What was thought.
    thought: String,
}

impl ChatWire {
    pub(crate) fn new(source: &Source, tools: &Tools, opens_thought: bool) -> Self {
        let parser = tools.parser(source, opens_thought);
        let choice = |_| Choice {
            parser: parser.clone(),
            begun: false,
            num_calls: 0,
            thought: String::new(),
        };
        Self {
            head: Head::new("chatcmpl", &source.model),
            text: Arc::clone(&source.model.text),
            names: TokenNames::of(source),
            with_logprobs: source.params.sampling.logprobs.is_some(),
            include_usage: source.params.include_usage,
            tier: source.params.tier,
            choices: (0..source.params.n).map(choice).collect(),
            called: tools.finish_reason(),
        }
    }

    fn chunk(&self, choices: Vec<ChatChunkChoice>, usage: Option<Usage>) -> ChatChunk {
        let Head { id, created, model, fingerprint } = self.head.clone();
        ChatChunk {
            id,
            object: "chat.completion.chunk".to_owned(),
            created,
            model,
            choices,
            usage: self.include_usage.then_some(usage),
            service_tier: self.tier.map(str::to_owned),
            system_fingerprint: fingerprint,
        }
    }

    /// A piece of choice `index`, after its role if that was not sent.
    fn piece(&mut self, index: u32, piece: ChatChunkChoice, chunks: &mut Vec<ChatChunk>) {
        let begun = self.choices.get_mut(index as usize).map(|choice| &mut choice.begun);
        if begun.is_some_and(|begun| !std::mem::replace(begun, true)) {
            let content = Some(String::new());
            let delta = ChatDelta { role: Some(Role::Assistant), content, ..Default::default() };
            chunks.push(self.chunk(vec![bare(index, delta)], None));
        }
        chunks.push(self.chunk(vec![piece], None));
    }

    /// The pieces of new parts, the first of which carries the log-probabilities.
    fn pieces(
        &mut self,
        (index, parts): (u32, Vec<Part>),
        mut logprobs: Option<ChatLogprobs>,
        chunks: &mut Vec<ChatChunk>,
    ) {
        let choice = &mut self.choices[index as usize];
        for part in &parts {
            if let Part::Reasoning(text) = part {
                choice.thought += text;
            }
        }
        let mut deltas: Vec<ChatDelta> =
            parts.into_iter().map(|part| delta(part, &mut choice.num_calls)).collect();
        // Tokens of which nothing shows yet: marks, and what is held back.
        if deltas.is_empty() && logprobs.as_ref().is_some_and(|some| !some.content.is_empty()) {
            deltas.push(ChatDelta { content: Some(String::new()), ..Default::default() });
        }
        for delta in deltas {
            let piece = ChatChunkChoice { logprobs: logprobs.take(), ..bare(index, delta) };
            self.piece(index, piece, chunks);
        }
    }

    fn logprobs(&self, tokens: &[Scored]) -> Option<ChatLogprobs> {
        let content = || token_logprobs(&self.names, tokens);
        self.with_logprobs.then(|| ChatLogprobs { content: content(), refusal: None })
    }

    /// With the tokens that were thoughts.
    fn usage(&self, mut usage: Usage) -> Usage {
        let tokens = |choice: &Choice| match choice.thought.is_empty() {
            true => 0,
            false => self.text.encode(&choice.thought, false).map_or(0, |tokens| tokens.len()),
        };
        let reasoning: usize = self.choices.iter().map(tokens).sum();
        usage.completion_tokens_details.reasoning_tokens = reasoning as u64;
        usage
    }

    fn reason(&self, index: usize, reason: &'static str) -> &'static str {
        let has_calls = self.choices.get(index).is_some_and(|choice| choice.num_calls > 0);
        if has_calls && reason == "stop" { self.called } else { reason }
    }

    pub(crate) fn completion(mut self, answers: Vec<Answer>, usage: Usage) -> ChatCompletion {
        let mut choices = Vec::new();
        for (index, answer) in answers.into_iter().enumerate() {
            let choice = &mut self.choices[index];
            let mut parts = choice.parser.push(&answer.text);
            parts.extend(choice.parser.finish());
            let message = message(parts);
            choice.num_calls = message.tool_calls.len() as u32;
            choice.thought = message.reasoning_content.clone().unwrap_or_default();
            choices.push(ChatChoice {
                index: index as u32,
                logprobs: self.logprobs(&answer.tokens),
                message,
                finish_reason: self.reason(index, answer.reason).to_owned(),
            });
        }
        let usage = self.usage(usage);
        let Head { id, created, model, fingerprint } = self.head;
        ChatCompletion {
            id,
            object: "chat.completion".to_owned(),
            created,
            model,
            choices,
            usage,
            service_tier: self.tier.map(str::to_owned),
            system_fingerprint: fingerprint,
        }
    }
}

/// The log-probabilities of tokens.
pub(crate) fn token_logprobs(names: &TokenNames, tokens: &[Scored]) -> Vec<ChatTokenLogprob> {
    let top = |&(token, logprob): &(u32, f32)| TopLogprob {
        token: names.shown(token),
        logprob: finite(logprob),
        bytes: names.bytes(token),
    };
    // An echoed message is not scored.
    let scored = tokens.iter().filter_map(|scored| Some((scored, scored.logprob?)));
    let entries = scored.map(|(scored, logprob)| ChatTokenLogprob {
        token: names.shown(scored.token),
        logprob: finite(logprob),
        bytes: names.bytes(scored.token),
        top_logprobs: scored.top.iter().map(top).collect(),
    });
    entries.collect()
}

/// A piece with nothing but its delta.
fn bare(index: u32, delta: ChatDelta) -> ChatChunkChoice {
    ChatChunkChoice { index, delta, logprobs: None, finish_reason: None }
}

fn delta(part: Part, num_calls: &mut u32) -> ChatDelta {
    let call = |index: u32, name: Option<String>, arguments: String| {
        let (id, kind) = match name {
            Some(_) => (Some(new_id("call")), Some("function".to_owned())),
            None => (None, None),
        };
        let function = FunctionCallDelta { name, arguments };
        let tool_calls = vec![ToolCallDelta { index, id, kind, function }];
        ChatDelta { tool_calls, ..Default::default() }
    };
    match part {
        Part::Content(text) => ChatDelta { content: Some(text), ..Default::default() },
        Part::Reasoning(text) => ChatDelta { reasoning_content: Some(text), ..Default::default() },
        Part::Call { name } => {
            *num_calls += 1;
            call(*num_calls - 1, Some(name), String::new())
        }
        Part::Arguments(text) => call(num_calls.saturating_sub(1), None, text),
    }
}

/// A message in full.
fn message(parts: Vec<Part>) -> AssistantMessage {
    let mut message = AssistantMessage {
        role: Role::Assistant,
        content: None,
        refusal: None,
        reasoning_content: None,
        tool_calls: Vec::new(),
    };
    for part in parts {
        match part {
            Part::Content(text) => *message.content.get_or_insert_default() += &text,
            Part::Reasoning(text) => *message.reasoning_content.get_or_insert_default() += &text,
            Part::Call { name } => message.tool_calls.push(ToolCall {
                id: new_id("call"),
                kind: "function".to_owned(),
                function: FunctionCall { name, arguments: String::new() },
            }),
            Part::Arguments(text) => {
                if let Some(call) = message.tool_calls.last_mut() {
                    call.function.arguments += &text;
                }
            }
        }
    }
    if message.tool_calls.is_empty() {
        message.content.get_or_insert_default();
    }
    message
}

impl Wire for ChatWire {
    type Chunk = ChatChunk;

    fn chunks(&mut self, output: Output) -> Vec<ChatChunk> {
        let mut chunks = Vec::new();
        match output {
            Output::Delta { index, text, tokens } => {
                let parts = self.choices[index as usize].parser.push(&text);
                let logprobs = self.logprobs(&tokens);
                self.pieces((index, parts), logprobs, &mut chunks);
            }
            Output::End { index, reason, .. } => {
                let parts = self.choices[index as usize].parser.finish();
                self.pieces((index, parts), None, &mut chunks);
                let finish_reason = Some(self.reason(index as usize, reason).to_owned());
                let end = ChatChunkChoice { finish_reason, ..bare(index, ChatDelta::default()) };
                self.piece(index, end, &mut chunks);
            }
            Output::Usage(usage) if self.include_usage => {
                chunks.push(self.chunk(Vec::new(), Some(self.usage(usage))));
            }
            Output::Usage(_) => {}
        }
        chunks
    }
}
