//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine_text::TextModel;
use serde_json::Value;
use server_api::{
    AssistantMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatDelta,
    ChatLogprobs, ChatMessage, ChatRequest, ChatTokenLogprob, Content, Role, TopLogprob, Usage,
};

use crate::choice::Scored;
use crate::generation::{Generation, Output, PromptTokens, Source};
use crate::json::{ApiJson, Generate};
use crate::openapi::{ChatBody, Refusals};
use crate::prompt::{Chat, chat_tokens};
use crate::wire::{self, Answer, Head, Wire, finite};
use crate::{ApiError, AppState, Caller, params, source};

/// The next message of a chat.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "Chat",
    operation_id = "create_chat_completion", request_body = ChatBody,
    responses(
        (status = 200, description = "With `stream`, events with a `ChatChunk` each",
            content((ChatCompletion = "application/json"), (ChatChunk = "text/event-stream"))),
        Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(body, num_bytes): ApiJson<Generate<ChatRequest>>,
) -> Result<Response, ApiError> {
    params::refuse(&body.unsupported)?;
    let logprobs = check(&body.request)?;
    let source = source::new(&state, caller, body.options, logprobs, "messages")?;
    let echo = source.params.echo.then(|| final_answer(&body.request.messages));
    let context = source.model.handle.limits().max_sequence_len();
    let chat = chat(body.request, context, num_bytes);
    let tokens = chat_tokens(&state, &source.model.text, chat).await?;
    let max_tokens = source::max_tokens(&source, tokens.len(), None)?;
    let prompts = vec![PromptTokens { tokens, echo, max_tokens }];
    source::check_size(&source, &prompts, state.limits())?;
    let generation = Generation::start(&source, prompts)?;
    let wire = ChatWire::new(&source, logprobs.is_some());
    if source.params.stream {
        return Ok(wire::stream(generation, wire, state.limits()));
    }
    let (answers, usage) = wire::collect(generation, source.params.n as usize).await?;
    Ok(Json(wire.completion(answers, usage)).into_response())
}

/// Checks what only a chat has; how many alternatives to each token are asked for.
fn check(request: &ChatRequest) -> Result<Option<u32>, ApiError> {
    let modalities = request.modalities.iter().flatten();
    if let Some(other) = modalities.into_iter().find(|modality| *modality != "text") {
        let message = format!("The modality '{other}' is not supported.");
        return Err(ApiError::unsupported("modalities", message));
    }
    let choice = request.tool_choice.as_ref();
    if choice.is_some_and(|choice| !matches!(choice.as_str(), Some("auto" | "none"))) {
        let message = "Only 'auto' and 'none' are supported as 'tool_choice'.";
        return Err(ApiError::unsupported("tool_choice", message));
    }
    let top = params::logprobs("top_logprobs", request.top_logprobs)?;
    match (request.logprobs.unwrap_or(false), top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            let message = "'top_logprobs' needs 'logprobs' to be true.";
            Err(ApiError::invalid(Some("top_logprobs"), message))
        }
    }
}

fn chat(request: ChatRequest, context: u32, num_bytes: usize) -> Chat {
    let uses_tools = request.tool_choice.as_ref().and_then(Value::as_str) != Some("none");
    Chat {
        messages: request.messages,
        tools: request.tools.filter(|_| uses_tools),
        add_generation_prompt: request.add_generation_prompt,
        continue_final_message: request.continue_final_message.unwrap_or(false),
        kwargs: request.chat_template_kwargs.unwrap_or_default(),
        add_special_tokens: false,
        context: Some(context),
        num_bytes,
    }
}

/// What `echo` puts before the answer: the last message, where the answer goes on with it.
fn final_answer(messages: &[ChatMessage]) -> String {
    match messages.last().map(|last| (last.role, &last.content)) {
        Some((Role::Assistant, Some(Content::Text(text)))) => text.clone(),
        _ => String::new(),
    }
}

/// Writes the answers to one chat.
struct ChatWire {
    head: Head,
    text: Arc<TextModel>,
    with_logprobs: bool,
    include_usage: bool,
    /// Choices whose role was sent.
    begun: Vec<bool>,
}

impl ChatWire {
    fn new(source: &Source, with_logprobs: bool) -> Self {
        Self {
            head: Head::new("chatcmpl", &source.model),
            text: Arc::clone(&source.model.text),
            with_logprobs,
            include_usage: source.params.include_usage,
            begun: vec![false; source.params.n as usize],
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
            system_fingerprint: fingerprint,
        }
    }

    fn piece(&self, index: u32, delta: ChatDelta, reason: Option<&str>) -> ChatChunkChoice {
        let finish_reason = reason.map(str::to_owned);
        ChatChunkChoice { index, delta, logprobs: None, finish_reason }
    }

    /// The role, if the choice has not begun.
    fn begin(&mut self, index: u32) -> Option<ChatChunk> {
        let begun = self.begun.get_mut(index as usize)?;
        if std::mem::replace(begun, true) {
            return None;
        }
        let delta = ChatDelta { role: Some(Role::Assistant), content: Some(String::new()) };
        Some(self.chunk(vec![self.piece(index, delta, None)], None))
    }

    fn logprobs(&self, tokens: &[Scored]) -> Option<ChatLogprobs> {
        let entry = |scored: &Scored| ChatTokenLogprob {
            token: self.text.token_text(scored.token),
            logprob: finite(scored.logprob.unwrap_or(0.0)),
            bytes: self.text.token_bytes(scored.token),
            top_logprobs: scored.top.iter().map(|top| self.top(*top)).collect(),
        };
        // An echoed message is not scored.
        let entries = tokens.iter().filter(|scored| scored.logprob.is_some()).map(entry);
        self.with_logprobs.then(|| ChatLogprobs { content: entries.collect(), refusal: None })
    }

    fn top(&self, (token, logprob): (u32, f32)) -> TopLogprob {
        let (text, bytes) = (self.text.token_text(token), self.text.token_bytes(token));
        TopLogprob { token: text, logprob: finite(logprob), bytes }
    }

    fn completion(self, answers: Vec<Answer>, usage: Usage) -> ChatCompletion {
        let choice = |(index, answer): (usize, Answer)| ChatChoice {
            index: index as u32,
            logprobs: self.logprobs(&answer.tokens),
            message: AssistantMessage {
                role: Role::Assistant,
                content: answer.text,
                refusal: None,
            },
            finish_reason: answer.reason.to_owned(),
        };
        let choices = answers.into_iter().enumerate().map(choice).collect();
        let Head { id, created, model, fingerprint } = self.head;
        ChatCompletion {
            id,
            object: "chat.completion".to_owned(),
            created,
            model,
            choices,
            usage,
            system_fingerprint: fingerprint,
        }
    }
}

impl Wire for ChatWire {
    type Chunk = ChatChunk;

    fn chunks(&mut self, output: Output) -> Vec<ChatChunk> {
        match output {
            Output::Delta { index, text, tokens } => {
                let mut chunks = Vec::from_iter(self.begin(index));
                let delta = ChatDelta { role: None, content: Some(text) };
                let mut piece = self.piece(index, delta, None);
                piece.logprobs = self.logprobs(&tokens);
                chunks.push(self.chunk(vec![piece], None));
                chunks
            }
            Output::End { index, reason } => {
                let mut chunks = Vec::from_iter(self.begin(index));
                let piece = self.piece(index, ChatDelta::default(), Some(reason));
                chunks.push(self.chunk(vec![piece], None));
                chunks
            }
            Output::Usage(usage) if self.include_usage => {
                vec![self.chunk(Vec::new(), Some(usage))]
            }
            Output::Usage(_) => Vec::new(),
        }
    }
}
