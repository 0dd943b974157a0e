//! Invoking a model in the form of its maker.
//!
//! Invariant: the path names the model and says whether to stream, whatever the body says of it.
//! The last chunk of a stream, and no other, tells what was used.

use std::time::Instant;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use server_api::{
    ChatRequest, CompletionRequest, GenerationOptions, MessagesRequest, OneOrMany, Prompt, Usage,
};

use super::converse_wire::millis;
use super::text_wire::{Maker, TextWire};
use super::{errors, event_stream};
use crate::anthropic::{self, MessagesWire};
use crate::generation::{Generation, Output};
use crate::json::{FromJson, Generate, parse};
use crate::names::translated;
use crate::openai::{ChatWire, completions};
use crate::wire::{self, Answer, Wire};
use crate::{ApiError, AppState, Caller, HttpLimits, chat};

/// What a client sends who knows the model's maker.
pub(crate) enum InvokeBody {
    Anthropic(Box<MessagesRequest>),
    OpenAi(Box<Generate<ChatRequest>>),
    Text(Maker, Box<Generate<CompletionRequest>>),
}

/// The fields by which makers are told apart.
#[derive(Deserialize)]
struct Marks {
    anthropic_version: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    max_gen_len: Option<IgnoredAny>,
    prompt: Option<IgnoredAny>,
    max_tokens: Option<IgnoredAny>,
}

/// Meta's and Mistral's fields.
#[derive(Deserialize)]
struct TextBody {
    prompt: String,
    max_gen_len: Option<i64>,
    max_tokens: Option<i64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    stop: Option<Vec<String>>,
}

impl FromJson for InvokeBody {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        let marks: Marks = parse(json)?;
        if marks.anthropic_version.is_some() {
            return Ok(Self::Anthropic(Box::new(parse(json)?)));
        }
        if marks.messages.is_some() {
            return Ok(Self::OpenAi(Box::new(Generate::from_json(json)?)));
        }
        let maker = match (&marks.prompt, &marks.max_gen_len, &marks.max_tokens) {
            (Some(_), Some(_), _) => Maker::Meta,
            (Some(_), None, Some(_)) => Maker::Mistral,
            _ => {
                let message = "The body must have 'anthropic_version' and 'messages', 'messages', \
                               'prompt' and 'max_gen_len', or 'prompt' and 'max_tokens'.";
                return Err(ApiError::invalid(None, message));
            }
        };
        Ok(Self::Text(maker, Box::new(completion(parse(json)?))))
    }
}

fn completion(body: TextBody) -> Generate<CompletionRequest> {
    // Clients of these forms write the whole prompt, often with the token that begins it.
    let begins = ["<|begin_of_text|>", "<s>"].iter().any(|begin| body.prompt.starts_with(begin));
    Generate {
        request: CompletionRequest {
            prompt: Prompt::Texts(vec![body.prompt]),
            logprobs: None,
            best_of: None,
            add_special_tokens: Some(!begins),
        },
        options: Box::new(GenerationOptions {
            max_tokens: body.max_gen_len.or(body.max_tokens),
            temperature: body.temperature,
            top_p: body.top_p,
            top_k: body.top_k,
            stop: body.stop.map(OneOrMany),
            ..GenerationOptions::default()
        }),
        unsupported: Box::default(),
    }
}

impl InvokeBody {
    /// With what the path says.
    pub(super) fn named(mut self, model: String, stream: bool) -> Self {
        let (to_model, to_stream) = match &mut self {
            Self::Anthropic(request) => (&mut request.model, &mut request.stream),
            Self::OpenAi(body) => (&mut body.options.model, &mut body.options.stream),
            Self::Text(_, body) => (&mut body.options.model, &mut body.options.stream),
        };
        (*to_model, *to_stream) = (Some(model), Some(stream));
        self
    }
}

/// There are none, and whoever names one relies on it.
pub(super) fn refuse_guardrails(headers: &HeaderMap) -> Result<(), ApiError> {
    let name = "x-amzn-bedrock-guardrailidentifier";
    if headers.contains_key(name) {
        let message = "There are no guardrails here: 'guardrailIdentifier' is not supported.";
        return Err(ApiError::unsupported("guardrailIdentifier", message));
    }
    Ok(())
}

/// An answer that is under way.
pub(super) struct Invocation {
    generation: Generation,
    num_choices: usize,
    writer: Writer,
    begun: Instant,
}

impl Invocation {
    pub(super) async fn start(
        state: &AppState,
        caller: Caller,
        body: InvokeBody,
        num_bytes: usize,
    ) -> Result<Self, ApiError> {
        let begun = Instant::now();
        let (generation, num_choices, writer) = match body {
            InvokeBody::Anthropic(request) => {
                anthropic::check_budget(request.thinking.as_ref(), request.max_tokens)?;
                let (chat, names) = anthropic::to_chat(*request)?;
                let started = chat::start(state, caller, chat, num_bytes).await;
                let started = started.map_err(|error| names.told(error))?;
                let writer = Writer::Anthropic(Box::new(anthropic::writer(&started)));
                (started.generation, 1, writer)
            }
            InvokeBody::OpenAi(body) => {
                let started = chat::start(state, caller, *body, num_bytes).await?;
                let wire = ChatWire::new(&started.source, &started.tools, started.opens_thought);
                let num_choices = started.source.params.n as usize;
                (started.generation, num_choices, Writer::OpenAi(Box::new(wire)))
            }
            InvokeBody::Text(maker, body) => {
                let started = completions::start(state, caller, *body).await;
                let started = started.map_err(|error| match maker {
                    Maker::Meta => {
                        error.in_words(|path| translated(path, &[("max_tokens", "max_gen_len")]))
                    }
                    Maker::Mistral => error,
                })?;
                (started.generation, 1, Writer::Text(TextWire::new(maker)))
            }
        };
        Ok(Self { generation, num_choices, writer, begun })
    }

    /// The answer in one piece.
    pub(super) async fn answer(self) -> Result<Response, ApiError> {
        let (answers, usage) = wire::collect(self.generation, self.num_choices).await?;
        let headers = [
            ("x-amzn-bedrock-input-token-count", usage.prompt_tokens.to_string()),
            ("x-amzn-bedrock-output-token-count", usage.completion_tokens.to_string()),
            ("x-amzn-bedrock-invocation-latency", millis(self.begun).to_string()),
        ];
        Ok((headers, Json(self.writer.whole(answers, usage))).into_response())
    }

    /// The answer in pieces.
    pub(super) fn stream(self, limits: &HttpLimits) -> Response {
        let Self { generation, writer, begun, .. } = self;
        let wire = InvokeWire { writer, begun, first_ms: None, held: Vec::new() };
        let response = wire::stream(generation, wire, limits);
        ([("x-amzn-bedrock-content-type", "application/json")], response).into_response()
    }
}

/// What writes the answer in each form.
enum Writer {
    Anthropic(Box<MessagesWire>),
    OpenAi(Box<ChatWire>),
    Text(TextWire),
}

impl Writer {
    fn whole(self, mut answers: Vec<Answer>, usage: Usage) -> Value {
        match self {
            Self::Anthropic(wire) => json!(wire.message(answers.remove(0), usage)),
            Self::OpenAi(wire) => json!(wire.completion(answers, usage)),
            Self::Text(wire) => wire.whole(&answers.remove(0), usage),
        }
    }

    fn chunks(&mut self, output: Output) -> Vec<Value> {
        match self {
            Self::Anthropic(wire) => wire.chunks(output),
            Self::OpenAi(wire) => wire.chunks(output).iter().map(|chunk| json!(chunk)).collect(),
            Self::Text(wire) => wire.chunks(output),
        }
    }
}

/// Writes the chunks of any form.
struct InvokeWire {
    writer: Writer,
    begun: Instant,
    /// When the first chunk came.
    first_ms: Option<u64>,
    /// The end of a choice waits for the usage: it may be the last chunk.
    held: Vec<Value>,
}

impl InvokeWire {
    fn metrics(&self, usage: Usage) -> Value {
        let latency = millis(self.begun);
        json!({
            "inputTokenCount": usage.prompt_tokens,
            "outputTokenCount": usage.completion_tokens,
            "invocationLatency": latency,
            "firstByteLatency": self.first_ms.unwrap_or(latency),
        })
    }
}

impl Wire for InvokeWire {
    type Chunk = Value;

    const CONTENT_TYPE: &'static str = event_stream::CONTENT_TYPE;
    const END: &'static [u8] = b"";

    fn chunks(&mut self, output: Output) -> Vec<Value> {
        self.first_ms.get_or_insert_with(|| millis(self.begun));
        let ends_choice = matches!(output, Output::End { .. });
        let usage = if let Output::Usage(usage) = &output { Some(*usage) } else { None };
        let mut chunks = std::mem::take(&mut self.held);
        chunks.extend(self.writer.chunks(output));
        if ends_choice {
            self.held = chunks;
            return Vec::new();
        }
        if let (Some(usage), Some(last)) = (usage, chunks.last_mut()) {
            last["amazon-bedrock-invocationMetrics"] = self.metrics(usage);
        }
        chunks
    }

    fn write(out: &mut Vec<u8>, chunk: &Value) {
        let bytes = STANDARD.encode(chunk.to_string());
        event_stream::event(out, "chunk", &json!({"bytes": bytes}));
    }

    fn write_error(&mut self, out: &mut Vec<u8>, error: &ApiError) {
        errors::write(out, error);
    }

    fn write_keep_alive(out: &mut Vec<u8>) {
        event_stream::keep_alive(out);
    }
}
