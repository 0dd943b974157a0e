//! `POST /v1/completions`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use server_api::{
    Completion, CompletionChoice, CompletionLogprobs, CompletionRequest, Prompt, Usage,
};

use super::TokenNames;
use crate::choice::Scored;
use crate::generation::{Generation, Output};
use crate::json::{ApiJson, Generate};
use crate::meter::{self, Wanted};
use crate::openapi::{CompletionBody, Refusals};
use crate::prompt::{Prompts, Tokenized, prompt_tokens};
use crate::source::{PromptTokens, Source};
use crate::wire::{self, Answer, Head, Wire, finite};
use crate::{ApiError, AppState, Caller, guard, params, refused, source};

/// OpenAI's.
const DEFAULT_MAX_TOKENS: u32 = 16;

/// Continuations of prompts.
#[utoipa::path(post, path = "/v1/completions", tag = "Completions",
    operation_id = "create_completion",
    request_body = CompletionBody,
    responses(
        (status = 200, description = "With `stream`, events with a `Completion` each",
            content((Completion = "application/json"), (serde_json::Value = "text/event-stream"))),
        Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(body, _): ApiJson<Generate<CompletionRequest>>,
) -> Result<Response, ApiError> {
    let Started { source, num_choices, generation } = start(&state, caller, body).await?;
    let wire = CompletionWire::new(&source);
    if source.params.stream {
        return Ok(wire::stream(generation, wire, state.limits()));
    }
    let (answers, usage) = wire::collect(generation, num_choices).await?;
    Ok(Json(wire.completion(answers, usage)).into_response())
}

/// Continuations that are under way.
pub(crate) struct Started {
    source: Source,
    num_choices: usize,
    pub(crate) generation: Generation,
}

/// Checks a request and submits its prompts.
pub(crate) async fn start(
    state: &AppState,
    caller: Caller,
    body: Generate<CompletionRequest>,
) -> Result<Started, ApiError> {
    refused::refuse(&body.unsupported)?;
    let logprobs = params::logprobs("logprobs", body.request.logprobs)?;
    let mut source = source::new(state, caller, *body.options, logprobs, "prompt")?;
    source::follow(state, &mut source, None).await?;
    check(&body.request, &source, state.limits().max_choices)?;
    source.prompt_logprobs = prompt_logprobs(&source);
    let prompt = guard::prompt(state, &source.model.text, body.request.prompt, "prompt").await?;
    let prompts = Prompts {
        prompt,
        add_special_tokens: body.request.add_special_tokens.unwrap_or(true),
        decode: source.params.echo.then_some(source.params.skip_special),
        context: Some(source.model.handle.limits().max_sequence_len()),
    };
    let tokenized = prompt_tokens(state, &source.model.text, prompts).await?;
    let prompts = tokenized.into_iter().map(|prompt| to_generate(&source, prompt));
    let prompts: Vec<_> = prompts.collect::<Result<_, ApiError>>()?;
    source::check_size(&source, &prompts, state.limits())?;
    let num_choices = prompts.len() * source.params.n as usize;
    let wanted = Wanted::answers(&source, &prompts, server_metering::Usage::NONE);
    let metered = meter::admit(state, wanted).await?;
    let generation = Generation::start(state, &source, prompts, metered).await?;
    Ok(Started { source, num_choices, generation })
}

fn check(request: &CompletionRequest, source: &Source, max_choices: u32) -> Result<(), ApiError> {
    let (params, num_prompts) = (
        &source.params,
        match &request.prompt {
            Prompt::Texts(texts) => texts.len(),
            Prompt::Tokens(many) => many.len(),
        },
    );
    if num_prompts == 0 {
        return Err(ApiError::invalid(Some("prompt"), "'prompt' must not be empty."));
    }
    if num_prompts.saturating_mul(params.n as usize) > max_choices as usize {
        let message = format!(
            "{num_prompts} prompts with n = {} are more than {max_choices} choices.",
            params.n
        );
        return Err(ApiError::invalid(Some("prompt"), message));
    }
    if request.best_of.is_some_and(|best_of| best_of != i64::from(params.n)) {
        let message = "'best_of' other than 'n' is not supported.";
        return Err(ApiError::unsupported("best_of", message));
    }
    Ok(())
}

/// An echoed prompt is scored if scores are asked for; and scoring is all there is to do where
/// nothing is to be generated.
fn prompt_logprobs(source: &Source) -> Option<u32> {
    let nothing_to_generate = source.params.max_tokens == Some(0);
    let num_top = source.params.sampling.logprobs.or(nothing_to_generate.then_some(0));
    num_top.filter(|_| source.params.echo)
}

fn to_generate(source: &Source, prompt: Tokenized) -> Result<PromptTokens, ApiError> {
    let Tokenized { tokens, text } = prompt;
    let max_tokens = source::max_tokens(source, tokens.len(), Some(DEFAULT_MAX_TOKENS))?;
    let echo = text.filter(|_| source.params.echo);
    Ok(PromptTokens { tokens, insets: Vec::new(), echo, max_tokens })
}

/// Writes the answers to one request.
struct CompletionWire {
    head: Head,
    names: TokenNames,
    with_logprobs: bool,
    include_usage: bool,
}

impl CompletionWire {
    fn new(source: &Source) -> Self {
        Self {
            head: Head::new("cmpl", &source.model),
            names: TokenNames::of(source),
            with_logprobs: source.params.sampling.logprobs.is_some(),
            include_usage: source.params.include_usage,
        }
    }

    fn body(&self, choices: Vec<CompletionChoice>, usage: Option<Option<Usage>>) -> Completion {
        let Head { id, created, model, fingerprint } = self.head.clone();
        Completion {
            id,
            object: "text_completion".to_owned(),
            created,
            model,
            choices,
            usage,
            system_fingerprint: fingerprint,
        }
    }

    fn choice(&self, index: u32, answer: Answer) -> CompletionChoice {
        let finish_reason = (!answer.reason.is_empty()).then(|| answer.reason.to_owned());
        let logprobs = self.logprobs(&answer.tokens);
        CompletionChoice { index, text: answer.text, logprobs, finish_reason }
    }

    fn logprobs(&self, tokens: &[Scored]) -> Option<CompletionLogprobs> {
        if !self.with_logprobs {
            return None;
        }
        let mut logprobs = CompletionLogprobs::default();
        for scored in tokens {
            let token = self.names.key(scored.token);
            // The chosen token is among the likeliest even where it is not. Of several tokens with
            // its bytes it is told, of others with the same bytes the likeliest.
            let top = scored.logprob.map(|logprob| {
                let mut top = BTreeMap::from([(token.clone(), finite(logprob))]);
                for &(other, logprob) in &scored.top {
                    top.entry(self.names.key(other)).or_insert(finite(logprob));
                }
                top
            });
            logprobs.text_offset.push(scored.offset);
            logprobs.token_logprobs.push(scored.logprob.map(finite));
            logprobs.top_logprobs.push(top);
            logprobs.tokens.push(token);
        }
        Some(logprobs)
    }

    fn completion(&self, answers: Vec<Answer>, usage: Usage) -> Completion {
        let choices = answers.into_iter().enumerate();
        let choices = choices.map(|(index, answer)| self.choice(index as u32, answer)).collect();
        self.body(choices, Some(Some(usage)))
    }
}

impl Wire for CompletionWire {
    type Chunk = Completion;

    fn chunks(&mut self, output: Output) -> Vec<Completion> {
        let (index, answer) = match output {
            Output::Delta { index, text, tokens } => {
                (index, Answer { text, tokens, ..Answer::default() })
            }
            Output::End { index, reason, .. } => (index, Answer { reason, ..Answer::default() }),
            Output::Usage(usage) if self.include_usage => {
                return vec![self.body(Vec::new(), Some(Some(usage)))];
            }
            Output::Usage(_) => return Vec::new(),
        };
        vec![self.body(vec![self.choice(index, answer)], self.include_usage.then_some(None))]
    }
}
