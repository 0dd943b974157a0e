//! Prompts from conversations, by the model's own Jinja template. Invariant: a template is
//! untrusted code; fuel bounds its work and memory, and every value it is given is plain data.

mod compat;
mod environment;
mod json;
mod repr;
mod rewrite;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::TextError;
use compat::Form;
use environment::Compiled;

/// The plain conversation form, for models without one of their own and for tests.
pub(crate) const CHATML: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A conversation to render.
#[derive(Debug, Clone)]
pub struct ChatInput<'a> {
    /// Array of messages, each an object with `role` and `content`.
    pub messages: &'a Value,
    /// Array of tool definitions, passed on as they are.
    pub tools: Option<&'a Value>,
    /// End with the header of the assistant's next message.
    pub add_generation_prompt: bool,
    /// End within the last message, so that the model carries it on.
    pub continue_final_message: bool,
    /// Further variables for the template (`chat_template_kwargs`).
    pub kwargs: Map<String, Value>,
}

impl<'a> ChatInput<'a> {
    /// A conversation without tools that asks for the assistant's next message.
    pub fn new(messages: &'a Value) -> Self {
        Self {
            messages,
            tools: None,
            add_generation_prompt: true,
            continue_final_message: false,
            kwargs: Map::new(),
        }
    }
}

/// A model's templates as its files give them.
pub(crate) struct ChatTemplate {
    pub(crate) default: String,
    /// Others by name: `tool_use` is used in place of `default` when there are tools, `rag` when
    /// there are documents.
    pub(crate) named: Vec<(String, String)>,
    /// Texts of the special tokens: `bos_token`, `eos_token`, ….
    pub(crate) variables: BTreeMap<String, String>,
}

/// A model's templates, compiled once.
#[derive(Debug)]
pub(crate) struct CompiledTemplates {
    default: Compiled,
    tool_use: Option<Compiled>,
    rag: Option<Compiled>,
    variables: BTreeMap<String, String>,
}

impl CompiledTemplates {
    pub(crate) fn new(template: ChatTemplate) -> Result<Self, TextError> {
        let ChatTemplate { default, named, variables } = template;
        let compiled =
            |source: &String| Compiled::new(source).map(|compiled| compiled.probed(&variables));
        let of_name = |name: &str| {
            let source = named.iter().find(|(other, _)| other == name);
            source.map(|(_, source)| compiled(source)).transpose()
        };
        let (tool_use, rag) = (of_name("tool_use")?, of_name("rag")?);
        let default = compiled(&default)?;
        Ok(Self { default, tool_use, rag, variables })
    }
}

/// Renders `chat` by the model's template.
pub(crate) fn render(
    model: Option<&CompiledTemplates>,
    chat: &ChatInput<'_>,
) -> Result<String, TextError> {
    if chat.add_generation_prompt && chat.continue_final_message {
        let problem = "add_generation_prompt and continue_final_message exclude each other";
        return Err(TextError::Template(problem.to_owned()));
    }
    let model = model.ok_or(TextError::NoChatTemplate)?;
    let has_documents = chat.kwargs.get("documents").is_some_and(|documents| !documents.is_null());
    let for_tools = model.tool_use.as_ref().filter(|_| chat.tools.is_some());
    let for_documents = model.rag.as_ref().filter(|_| has_documents);
    let template = for_tools.or(for_documents).unwrap_or(&model.default);
    let mut variables = Map::new();
    for (name, text) in &model.variables {
        variables.insert(name.clone(), Value::from(text.as_str()));
    }
    variables.insert("documents".to_owned(), Value::Null);
    variables.insert("tools".to_owned(), chat.tools.cloned().unwrap_or_default());
    variables.extend(chat.kwargs.clone());
    variables.insert("add_generation_prompt".to_owned(), chat.add_generation_prompt.into());
    let last = last_text(chat.messages);
    let mut prompt = render_messages(template, variables, chat.messages)?;
    if chat.continue_final_message {
        let end = end_of_message(&prompt, last.as_deref().unwrap_or_default())?;
        prompt.truncate(end);
    }
    Ok(prompt)
}

/// Renders messages in the first form that the template takes.
fn render_messages(
    template: &Compiled,
    mut variables: Map<String, Value>,
    given: &Value,
) -> Result<String, TextError> {
    let mut first_error = None;
    for form in Form::all(template.asks_for_null()) {
        let parts = (template.takes_parts(), template.wants_parts());
        let messages = compat::messages(given, parts, form);
        if first_error.is_some() && variables.get("messages") == Some(&messages) {
            continue;
        }
        variables.insert("messages".to_owned(), messages);
        match template.render(&variables) {
            Ok(prompt) => return Ok(prompt),
            Err(err @ TextError::RenderedTooLong { .. }) => return Err(err),
            Err(err) => first_error = first_error.or(Some(err)),
        }
    }
    Err(first_error.unwrap_or(TextError::NoChatTemplate))
}

/// The text of the last message.
fn last_text(messages: &Value) -> Option<String> {
    let content = &messages.as_array()?.last()?["content"];
    let part = || content.as_array()?.iter().rev().find_map(|part| part["text"].as_str());
    content.as_str().or_else(part).map(str::to_owned)
}

/// Where the last message's text ends in the prompt. Its trailing space counts only if the
/// template kept it, as in transformers.
fn end_of_message(prompt: &str, text: &str) -> Result<usize, TextError> {
    let trimmed = text.trim();
    let Some(start) = prompt.rfind(trimmed).filter(|_| !trimmed.is_empty()) else {
        let problem = "continue_final_message: the template does not show the last message's text";
        return Err(TextError::Template(problem.to_owned()));
    };
    let whole = text.trim_start();
    let len = if prompt[start..].starts_with(whole) { whole.len() } else { trimmed.len() };
    Ok(start + len)
}
