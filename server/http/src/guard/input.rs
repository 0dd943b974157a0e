//! What is asked: every text of a chat or a completion that its prompt is made of.
//!
//! Invariant: a prompt holds only texts that have passed here, but for ids of calls and names of
//! functions and of their parameters, which a mask would break.

use std::sync::Arc;

use engine_text::TextModel;
use serde_json::Value;
use server_api::{ChatMessage, ChatRequest, Content, ContentPart, Prompt};
use server_guard::{Guards, Verdict};

use super::INPUT;
use crate::blocking::run_sized;
use crate::names::place;
use crate::{ApiError, AppState, Metrics};

/// Fields of tools that say how, not what: a schema without them is another schema.
const KEPT: [&str; 6] = ["type", "name", "format", "pattern", "required", "$ref"];

/// A chat as its guards let it through.
pub(crate) async fn chat(
    state: &AppState,
    mut request: ChatRequest,
    num_bytes: usize,
) -> Result<ChatRequest, ApiError> {
    let Some(checks) = Checks::of(state) else { return Ok(request) };
    let work = move || {
        for (idx, message) in request.messages.iter_mut().enumerate() {
            checks.message(message, &format!("messages[{idx}]"))?;
        }
        for (idx, tool) in request.tools.iter_mut().flatten().enumerate() {
            checks.values(tool, &format!("tools[{idx}]"))?;
        }
        for value in request.chat_template_kwargs.iter_mut().flat_map(|kwargs| kwargs.values_mut())
        {
            checks.values(value, "chat_template_kwargs")?;
        }
        Ok(request)
    };
    run_sized(state, num_bytes, work).await?
}

/// Prompts as their guards let them through. Those of tokens are read as text; what is rewritten
/// becomes tokens again. Errors call them by `field`.
pub(crate) async fn prompt(
    state: &AppState,
    text: &Arc<TextModel>,
    prompt: Prompt,
    field: &'static str,
) -> Result<Prompt, ApiError> {
    let Some(checks) = Checks::of(state) else { return Ok(prompt) };
    match prompt {
        Prompt::Texts(mut texts) => {
            let size = texts.iter().map(String::len).sum();
            let work = move || {
                let num = texts.len();
                for (idx, text) in texts.iter_mut().enumerate() {
                    checks.text(text, &place(field, idx, num))?;
                }
                Ok(Prompt::Texts(texts))
            };
            run_sized(state, size, work).await?
        }
        Prompt::Tokens(mut many) => {
            let size = many.iter().map(Vec::len).sum();
            let text = Arc::clone(text);
            let work = move || {
                let num = many.len();
                for (idx, tokens) in many.iter_mut().enumerate() {
                    let name = place(field, idx, num);
                    let Some(new) = checks.rewritten(&text.decode(tokens, false), &name)? else {
                        continue;
                    };
                    let new = text.encode(&new, false);
                    *tokens = new.map_err(|error| ApiError::from_text(&error, &name))?;
                }
                Ok(Prompt::Tokens(many))
            };
            run_sized(state, size, work).await?
        }
    }
}

/// The same of texts alone.
pub(crate) async fn texts(
    state: &AppState,
    text: &Arc<TextModel>,
    texts: Vec<String>,
    field: &'static str,
) -> Result<Vec<String>, ApiError> {
    match prompt(state, text, Prompt::Texts(texts), field).await? {
        Prompt::Texts(texts) => Ok(texts),
        // Texts stay texts.
        Prompt::Tokens(_) => Err(ApiError::internal()),
    }
}

struct Checks {
    guards: Arc<Guards>,
    metrics: Arc<Metrics>,
}

impl Checks {
    /// `None` where there is nothing to check by.
    fn of(state: &AppState) -> Option<Self> {
        let guards = state.guards();
        let this = || Self { guards: Arc::clone(guards), metrics: Arc::clone(state.metrics()) };
        (!guards.input.is_empty()).then(this)
    }

    fn message(&self, message: &mut ChatMessage, path: &str) -> Result<(), ApiError> {
        let content = format!("{path}.content");
        match &mut message.content {
            Some(Content::Text(text)) => self.text(text, &content)?,
            Some(Content::Parts(parts)) => self.parts(parts, &content)?,
            None => {}
        }
        for (text, field) in
            [(&mut message.name, "name"), (&mut message.reasoning_content, "reasoning_content")]
        {
            if let Some(text) = text {
                self.text(text, &format!("{path}.{field}"))?;
            }
        }
        for call in message.tool_calls.iter_mut().flatten() {
            if let Some(function) = call.get_mut("function") {
                self.values(function, &format!("{path}.tool_calls"))?;
            }
        }
        Ok(())
    }

    /// Each part, and all of them as templates put them together, whatever images are between: the
    /// texts as one if they need it.
    fn parts(&self, parts: &mut Vec<ContentPart>, path: &str) -> Result<(), ApiError> {
        for (idx, part) in parts.iter_mut().enumerate() {
            if let Some(text) = &mut part.text {
                self.text(text, &format!("{path}[{idx}].text"))?;
            }
        }
        let texts: Vec<_> = parts.iter().filter(|part| part.kind == "text").collect();
        let num_images = parts.iter().filter(|part| part.kind == "image_url").count();
        if texts.len() < 2 || texts.len() + num_images < parts.len() {
            return Ok(());
        }
        let joined: String = texts.iter().filter_map(|part| part.text.as_deref()).collect();
        let mut joined = self.rewritten(&joined, path)?;
        if joined.is_some() {
            parts.retain_mut(|part| {
                let is_first = part.kind == "text" && joined.is_some();
                if is_first {
                    part.text = joined.take();
                }
                is_first || part.kind != "text"
            });
        }
        Ok(())
    }

    /// All texts in a value.
    fn values(&self, value: &mut Value, path: &str) -> Result<(), ApiError> {
        match value {
            Value::String(text) => self.text(text, path),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.values(item, path)),
            Value::Object(fields) => {
                let checked = fields.iter_mut().filter(|(key, _)| !KEPT.contains(&key.as_str()));
                checked.map(|(_, value)| value).try_for_each(|value| self.values(value, path))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn text(&self, text: &mut String, path: &str) -> Result<(), ApiError> {
        if let Some(new) = self.rewritten(text, path)? {
            *text = new;
        }
        Ok(())
    }

    /// What stands in the text's place, if it may not pass as it is.
    fn rewritten(&self, text: &str, path: &str) -> Result<Option<String>, ApiError> {
        let mut rewritten: Option<String> = None;
        for guard in &self.guards.input {
            match guard.check(rewritten.as_deref().unwrap_or(text)) {
                Verdict::Pass => {}
                Verdict::Rewrite { text, num_edits } => {
                    self.metrics.guarded((guard.name(), INPUT, "mask"), num_edits);
                    rewritten = Some(text);
                }
                Verdict::Stop(stop) => {
                    self.metrics.guarded((guard.name(), INPUT, "stop"), 1);
                    let message = format!(
                        "'{path}' was refused by the content policy of this server ({}).",
                        stop.category
                    );
                    return Err(ApiError::invalid(Some(path), message).code("content_filter"));
                }
            }
        }
        Ok(rewritten)
    }
}
