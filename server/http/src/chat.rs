//! A chat, whichever API it came by: checked, made into tokens and submitted.

use std::sync::Arc;

use server_api::{ChatMessage, ChatRequest, Content, Role};
use server_metering::{Meter, Usage};

use crate::generation::Generation;
use crate::images::{self, Images};
use crate::json::Generate;
use crate::meter::{self, Wanted};
use crate::prompt::{Chat, ChatPrompt, chat_tokens};
use crate::source::{PromptTokens, Source};
use crate::tools::Tools;
use crate::{ApiError, AppState, Caller, accepted, guard, params, refused, source};

/// A chat whose answer is under way.
pub(crate) struct Started {
    pub(crate) source: Source,
    pub(crate) tools: Tools,
    /// Whether the answer begins within a thought.
    pub(crate) opens_thought: bool,
    pub(crate) num_prompt: usize,
    pub(crate) generation: Generation,
}

/// Checks a chat and submits it.
pub(crate) async fn start(
    state: &AppState,
    caller: Caller,
    mut body: Generate<ChatRequest>,
    num_bytes: usize,
) -> Result<Started, ApiError> {
    refused::refuse(&body.unsupported)?;
    accepted::tell_template(&mut body)?;
    let logprobs = check(&body.request)?;
    body.request = guard::chat(state, body.request, num_bytes).await?;
    let tools = Tools::of(&mut body.request)?;
    let mut source = source::new(state, caller, *body.options, logprobs, "messages")?;
    source::follow(state, &mut source, Some(&tools)).await?;
    source::predict(state, &mut source).await?;
    if tools.must_be_called() {
        // What the client would stop at is for what is said; a call is whole.
        let params = Arc::make_mut(&mut source.params);
        params.stop_texts.clear();
        params.stop.stop_token_ids.clear();
    }
    show_marks(&mut source, &tools);
    let echo = source.params.echo.then(|| final_answer(&body.request.messages));
    let context = source.model.handle.limits().max_sequence_len();
    let images = images::gather(state, &source.model, &mut body.request.messages).await?;
    let mut chat = chat(body.request, &tools, context, num_bytes);
    chat.sight = images.as_ref().map(Images::sight);
    let ChatPrompt { tokens, opens_thought } = chat_tokens(state, &source.model.text, chat).await?;
    let (num_prompt, max_tokens) = (tokens.len(), source::max_tokens(&source, tokens.len(), None)?);
    let mut prompts = vec![PromptTokens { tokens, insets: Vec::new(), echo, max_tokens }];
    source::check_size(&source, &prompts, state.limits())?;
    let num_images = images.as_ref().map_or(0, Images::num);
    let other = Usage::NONE.with(Meter::Images, num_images);
    let metered = meter::admit(state, Wanted::answers(&source, &prompts, other)).await?;
    // Last, as it takes longest.
    if let Some(images) = images {
        prompts[0].insets = Box::pin(images.insets(state, &source, &prompts[0].tokens)).await?;
    }
    let generation = Generation::start(state, &source, prompts, metered).await?;
    Ok(Started { source, tools, opens_thought, num_prompt, generation })
}

/// The prompt's tokens, of a chat that is only counted.
pub(crate) async fn count(
    state: &AppState,
    mut body: Generate<ChatRequest>,
    num_bytes: usize,
) -> Result<usize, ApiError> {
    let tools = Tools::of(&mut body.request)?;
    let model = state.model_or_only(body.options.model.as_deref())?;
    let images = images::gather(state, &model, &mut body.request.messages).await?;
    let mut chat = chat(body.request, &tools, u32::MAX, num_bytes);
    chat.sight = images.as_ref().map(Images::sight);
    Ok(chat_tokens(state, &model.text, chat).await?.tokens.len())
}

/// Checks what only a chat has; how many alternatives to each token are asked for.
fn check(request: &ChatRequest) -> Result<Option<u32>, ApiError> {
    let modalities = request.modalities.iter().flatten();
    if let Some(other) = modalities.into_iter().find(|modality| *modality != "text") {
        let message = format!("The modality '{other}' is not supported.");
        return Err(ApiError::unsupported("modalities", message));
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

fn chat(request: ChatRequest, tools: &Tools, context: u32, num_bytes: usize) -> Chat {
    Chat {
        messages: request.messages,
        sight: None,
        tools: request.tools.filter(|_| tools.are_used()),
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

/// Shows special tokens where they are what the answer is parted by.
fn show_marks(source: &mut Source, tools: &Tools) {
    let family = tools.family(source.model.text.family());
    if family.is_parted_by_special_tokens() || (tools.are_used() && family.needs_special_tokens()) {
        Arc::make_mut(&mut source.params).skip_special = false;
    }
}
