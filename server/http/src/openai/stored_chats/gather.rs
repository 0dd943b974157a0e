//! From the chunks of a stream to the completion that they are, as clients put it together.

use server_api::{
    AssistantMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, FunctionCall, Role,
    ToolCall, ToolCallDelta, Usage,
};

/// A completion that grows.
#[derive(Default)]
pub(super) struct Gathered {
    choices: Vec<ChatChoice>,
    head: Option<ChatChunk>,
}

impl Gathered {
    pub(super) fn push(&mut self, chunk: &ChatChunk) {
        if self.head.is_none() {
            self.head = Some(ChatChunk { choices: Vec::new(), ..chunk.clone() });
        }
        for choice in &chunk.choices {
            while self.choices.len() <= choice.index as usize {
                self.choices.push(empty(self.choices.len() as u32));
            }
            add(&mut self.choices[choice.index as usize], choice);
        }
    }

    /// The completion, if anything came.
    pub(super) fn completion(self, usage: Usage) -> Option<ChatCompletion> {
        let ChatChunk { id, created, model, service_tier, system_fingerprint, .. } = self.head?;
        Some(ChatCompletion {
            id,
            object: "chat.completion".to_owned(),
            created,
            model,
            choices: self.choices,
            usage,
            service_tier,
            system_fingerprint,
        })
    }
}

fn empty(index: u32) -> ChatChoice {
    let message = AssistantMessage {
        role: Role::Assistant,
        content: None,
        refusal: None,
        reasoning_content: None,
        tool_calls: Vec::new(),
    };
    ChatChoice { index, message, logprobs: None, finish_reason: String::new() }
}

fn add(choice: &mut ChatChoice, piece: &ChatChunkChoice) {
    let message = &mut choice.message;
    let delta = &piece.delta;
    if let Some(text) = &delta.content {
        *message.content.get_or_insert_default() += text;
    }
    if let Some(text) = &delta.reasoning_content {
        *message.reasoning_content.get_or_insert_default() += text;
    }
    for call in &delta.tool_calls {
        add_call(&mut message.tool_calls, call);
    }
    if let Some(logprobs) = &piece.logprobs {
        let content = &mut choice.logprobs.get_or_insert_default().content;
        content.extend(logprobs.content.iter().cloned());
    }
    if let Some(reason) = &piece.finish_reason {
        choice.finish_reason.clone_from(reason);
        // Null where nothing is said beside calls.
        if !message.tool_calls.is_empty() {
            message.content.take_if(|text| text.is_empty());
        }
    }
}

fn add_call(calls: &mut Vec<ToolCall>, delta: &ToolCallDelta) {
    if let (Some(id), Some(name)) = (&delta.id, &delta.function.name) {
        let function = FunctionCall { name: name.clone(), arguments: String::new() };
        calls.push(ToolCall { id: id.clone(), kind: "function".to_owned(), function });
    }
    if let Some(call) = calls.get_mut(delta.index as usize) {
        call.function.arguments += &delta.function.arguments;
    }
}
