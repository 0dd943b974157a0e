//! From items to the messages of a chat.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use server_api::{ChatMessage, Content, ContentPart, ImageUrl, Role};

use crate::ApiError;

/// The messages of all items.
pub(super) fn of_items(instructions: Option<&str>, items: &[Value]) -> Vec<ChatMessage> {
    said(instructions, items).map(|said| said.message).collect()
}

/// The item that a message of [`of_items`] comes from, or the first of them; none of instructions.
pub(super) fn item_of(
    instructions: Option<&str>,
    items: &[Value],
    message: usize,
) -> Option<usize> {
    said(instructions, items).nth(message)?.item
}

fn said(instructions: Option<&str>, items: &[Value]) -> impl Iterator<Item = Said> {
    let outputs = items.iter().filter(|item| item["type"] == "function_call_output");
    let answered = outputs.filter_map(|item| item["call_id"].as_str()).collect();
    let mut chat = Chat { answered, ..Chat::default() };
    if let Some(instructions) = instructions {
        chat.push(message(Role::System, Content::Text(instructions.to_owned())));
    }
    for (i, item) in items.iter().enumerate() {
        chat.item = Some(i);
        chat.add(item);
    }
    chat.turns.into_iter().flat_map(|turn| std::iter::once(turn.said).chain(turn.results))
}

/// A message, and the item that it comes from.
struct Said {
    message: ChatMessage,
    item: Option<usize>,
}

/// Each result must answer a call that came before it, and each call must have one; the last
/// `num_new` items are the request's own.
pub(super) fn check_results(items: &[Value], num_new: usize) -> Result<(), ApiError> {
    let (mut called, mut open) = (HashSet::new(), HashSet::new());
    for (idx, item) in items.iter().enumerate() {
        let call_id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str() {
            Some("function_call") => {
                called.insert(call_id);
                // Another of its id cannot be told from it.
                if !is_cut(item) && !open.insert(call_id) {
                    return Err(no_output(call_id));
                }
            }
            Some("function_call_output") if !called.contains(call_id) => {
                let message = format!(
                    "No tool call found for function call output with call_id {}.",
                    clip(call_id)
                );
                let num_before = items.len() - num_new;
                let param = format!("input[{}].call_id", idx.saturating_sub(num_before));
                return Err(ApiError::invalid(Some(&param), message));
            }
            Some("function_call_output") => {
                open.remove(call_id);
            }
            _ => {}
        }
    }
    let calls = items.iter().filter(|item| item["type"] == "function_call");
    let mut ids = calls.filter_map(|item| item["call_id"].as_str());
    ids.find(|id| open.contains(id)).map_or(Ok(()), |id| Err(no_output(id)))
}

/// In OpenAI's words.
fn no_output(call_id: &str) -> ApiError {
    let message = format!("No tool output found for function call {}.", clip(call_id));
    ApiError::invalid(Some("input"), message)
}

fn clip(call_id: &str) -> String {
    call_id.chars().take(64).collect()
}

/// A call of a response that was cut before it was whole: nobody can answer it.
fn is_cut(call: &Value) -> bool {
    call["status"] == "incomplete"
}

/// A message, and the results of its calls: in a chat they come right after it, wherever they stand
/// among the items.
struct Turn {
    said: Said,
    results: Vec<Said>,
}

/// The messages so far.
#[derive(Default)]
struct Chat<'a> {
    turns: Vec<Turn>,
    /// Which one is added.
    item: Option<usize>,
    /// Which of these has a call.
    called: HashMap<&'a str, usize>,
    /// The calls that have results.
    answered: HashSet<&'a str>,
    /// What was thought goes with what is said or called next.
    thought: Option<String>,
}

impl<'a> Chat<'a> {
    fn push(&mut self, message: ChatMessage) {
        let said = Said { message, item: self.item };
        self.turns.push(Turn { said, results: Vec::new() });
    }

    fn add(&mut self, item: &'a Value) {
        match item["type"].as_str() {
            Some("message") => self.say(item),
            Some("function_call") => self.call(item),
            Some("function_call_output") => self.answer(item),
            Some("reasoning") => {
                let parts = ["content", "summary"].map(|field| &item[field]);
                let texts =
                    parts.into_iter().flat_map(|parts| parts.as_array().into_iter().flatten());
                let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
                self.thought = Some(texts.join("\n")).filter(|text| !text.is_empty());
            }
            _ => {}
        }
    }

    fn say(&mut self, item: &Value) {
        let role = match item["role"].as_str() {
            Some("assistant") => Role::Assistant,
            Some("system" | "developer") => Role::System,
            _ => Role::User,
        };
        let mut message = message(role, content(&item["content"]));
        if role == Role::Assistant {
            message.reasoning_content = self.thought.take();
        }
        self.push(message);
    }

    fn call(&mut self, item: &'a Value) {
        let [id, name, arguments] =
            ["call_id", "name", "arguments"].map(|field| item[field].as_str().unwrap_or_default());
        if is_cut(item) && !self.answered.contains(id) {
            return;
        }
        let call = json!({"id": id, "type": "function",
            "function": {"name": name, "arguments": arguments}});
        // Calls belong to what was said just before them, and to each other.
        let last = self
            .turns
            .last_mut()
            .filter(|last| last.said.message.role == Role::Assistant && last.results.is_empty());
        match last.filter(|_| self.thought.is_none()) {
            Some(last) => last.said.message.tool_calls.get_or_insert_default().push(call),
            None => {
                let reasoning_content = self.thought.take();
                self.push(ChatMessage {
                    tool_calls: Some(vec![call]),
                    reasoning_content,
                    ..message(Role::Assistant, Content::Text(String::new()))
                });
            }
        }
        self.called.insert(id, self.turns.len() - 1);
    }

    fn answer(&mut self, item: &Value) {
        let output = match &item["output"] {
            Value::String(text) => Content::Text(text.clone()),
            parts => content(parts),
        };
        let id = item["call_id"].as_str().unwrap_or_default();
        let result =
            ChatMessage { tool_call_id: Some(id.to_owned()), ..message(Role::Tool, output) };
        match self.called.get(id).and_then(|turn| self.turns.get_mut(*turn)) {
            Some(turn) => turn.results.push(Said { message: result, item: self.item }),
            None => self.push(result),
        }
    }
}

fn message(role: Role, content: Content) -> ChatMessage {
    ChatMessage {
        role,
        content: Some(content),
        name: None,
        tool_calls: None,
        tool_call_id: None,
        reasoning_content: None,
    }
}

/// One part that is a text is one; templates know how to join several.
fn content(parts: &Value) -> Content {
    let parts = parts.as_array().into_iter().flatten();
    let mut parts: Vec<ContentPart> = parts.filter_map(part).collect();
    if parts.iter().any(|part| part.text.is_none()) || parts.len() > 1 {
        return Content::Parts(parts);
    }
    Content::Text(parts.pop().and_then(|part| part.text).unwrap_or_default())
}

fn part(part: &Value) -> Option<ContentPart> {
    if part["type"] == "input_image" {
        let url = part["image_url"].as_str()?.to_owned();
        let detail = part["detail"].as_str().map(str::to_owned);
        let (kind, image_url) = ("image_url".to_owned(), Some(ImageUrl { url, detail }));
        return Some(ContentPart { kind, image_url, ..ContentPart::default() });
    }
    let (kind, text) = ("text".to_owned(), Some(part["text"].as_str()?.to_owned()));
    Some(ContentPart { kind, text, ..ContentPart::default() })
}
