//! The functions of a chat: what is asked of the model, and what of the client.
//!
//! Invariant: past this module every function has a name and a schema, and a result of a call
//! follows that call.

use std::collections::HashSet;

use engine_grammar::{CallForm, Calls};
use engine_text::{AnswerParser, Family, TextModel};
use serde_json::{Value, json};
use server_api::{ChatMessage, ChatRequest, Role};

use crate::ApiError;
use crate::source::Source;

/// OpenAI's limits.
const MAX_TOOLS: usize = 128;
const MAX_NAME_CHARS: usize = 64;
/// All that such models write beside texts and calls.
const HERMES_MARKS: &str = "<think></think><tool_call></tool_call>";

/// A chat's functions, and which must be called.
#[derive(Debug)]
pub(crate) struct Tools {
    functions: Vec<Function>,
    choice: Choice,
    parallel: bool,
}

#[derive(Debug)]
struct Function {
    name: String,
    parameters: Value,
    /// Whether arguments must fit, also where the call is the model's choice.
    strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    None,
    Auto,
    Required,
    Named(String),
}

impl Tools {
    /// Those of a request; also checks what its messages say of calls.
    ///
    /// Functions that are not allowed to be called are taken out: the model is not told of them.
    pub(crate) fn of(request: &mut ChatRequest) -> Result<Self, ApiError> {
        check_results(&request.messages)?;
        let functions = request.tools.iter().flatten().enumerate();
        let mut functions: Vec<Function> =
            functions.map(function).collect::<Result<_, ApiError>>()?;
        if functions.len() > MAX_TOOLS {
            let message =
                format!("'tools' has {} entries, the limit is {MAX_TOOLS}.", functions.len());
            return Err(ApiError::invalid(Some("tools"), message));
        }
        let (choice, allowed) = choice(request.tool_choice.as_ref(), &functions)?;
        if let (Some(allowed), Some(tools)) = (allowed, &mut request.tools) {
            functions.retain(|function| allowed.contains(&function.name));
            tools.retain(|tool| allowed.iter().any(|name| tool["function"]["name"] == *name));
        }
        let parallel = request.parallel_tool_calls.unwrap_or(true);
        Ok(Self { functions, choice, parallel })
    }

    /// Whether the model is told of them and its calls are looked for.
    pub(crate) fn are_used(&self) -> bool {
        !self.functions.is_empty() && self.choice != Choice::None
    }

    /// Whether the model has no choice.
    pub(crate) fn must_be_called(&self) -> bool {
        matches!(self.choice, Choice::Required | Choice::Named(_))
    }

    /// Why an answer with calls ended: OpenAI says so only where calling was the model's choice.
    pub(crate) fn finish_reason(&self) -> &'static str {
        if matches!(self.choice, Choice::Named(_)) { "stop" } else { "tool_calls" }
    }

    /// How the model writes its calls: where it must call, in a form that a grammar can hold it to.
    pub(crate) fn family(&self, family: Family) -> Family {
        match self.choice {
            Choice::None | Choice::Auto => family,
            Choice::Required | Choice::Named(_) if family == Family::Hermes => family,
            Choice::Required | Choice::Named(_) => Family::Json,
        }
    }

    /// What finds thoughts and calls in an answer.
    pub(crate) fn parser(&self, source: &Source, opens_thought: bool) -> AnswerParser {
        let family = self.family(source.model.text.family());
        // What a grammar makes the model write is the answer.
        let reasons = opens_thought && !source.is_formed;
        // An answer of another form is no call, even if it looks like one.
        let may_call = self.are_used() && (!source.is_formed || self.must_be_called());
        let names = self.functions.iter().map(|function| function.name.clone()).collect();
        let parser = AnswerParser::new(family, may_call, reasons).with_names(names);
        parser.demanded(self.must_be_called())
    }

    /// The grammar that makes the model call, if it must; where it need not and a function is
    /// strict, one of the calls within what it says.
    pub(crate) fn grammar(&self, text: &TextModel) -> Option<Calls> {
        let is_hermes = text.family() == Family::Hermes;
        let is_within = self.choice == Choice::Auto
            && self.functions.iter().any(|function| function.strict)
            && is_hermes
            && is_plain(text, HERMES_MARKS);
        let is_called = |function: &&Function| match &self.choice {
            Choice::None => false,
            Choice::Auto => is_within,
            Choice::Required => true,
            Choice::Named(name) => *name == function.name,
        };
        let (begin, end, between) = match is_hermes {
            true if is_within => ("\n", "\n</tool_call>", ""),
            true => ("<tool_call>\n", "\n</tool_call>", "\n"),
            false => ("", "", "; "),
        };
        let form = |function: &Function| CallForm {
            before: format!("{begin}{{\"name\": {}, \"arguments\": ", json!(function.name)),
            schema: match is_within && !function.strict {
                true => json!({"type": "object"}),
                false => function.parameters.clone(),
            },
            after: format!("}}{end}"),
        };
        let forms: Vec<CallForm> = self.functions.iter().filter(is_called).map(form).collect();
        let several = self.parallel && matches!(self.choice, Choice::Auto | Choice::Required);
        let between = several.then(|| between.to_owned());
        let within = is_within.then(|| "<tool_call>".to_owned());
        (!forms.is_empty()).then_some(Calls { forms, between, within })
    }
}

/// Whether the model writes these marks in tokens of text, which alone a grammar can let pass.
fn is_plain(text: &TextModel, marks: &str) -> bool {
    let tokens = text.encode(marks, false);
    tokens.is_ok_and(|tokens| !tokens.iter().any(|token| text.is_special(*token)))
}

fn function((idx, tool): (usize, &Value)) -> Result<Function, ApiError> {
    let invalid = |field: &str, what: &str| {
        let param = format!("tools[{idx}]{field}");
        Err(ApiError::invalid(Some(&param), format!("Invalid value for '{param}': {what}.")))
    };
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return invalid(".type", "only 'function' is supported");
    }
    let Some(function) = tool.get("function").filter(|function| function.is_object()) else {
        return Err(ApiError::missing(&format!("tools[{idx}].function")));
    };
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        return Err(ApiError::missing(&format!("tools[{idx}].function.name")));
    };
    let is_well = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !name.chars().all(is_well) {
        let what = format!("a name has 1 to {MAX_NAME_CHARS} letters, digits, '_' and '-'");
        return invalid(".function.name", &what);
    }
    let parameters = match function.get("parameters") {
        None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
        Some(parameters) if parameters.is_object() => parameters.clone(),
        Some(_) => return invalid(".function.parameters", "a JSON schema is an object"),
    };
    let strict = function.get("strict").and_then(Value::as_bool).unwrap_or(false);
    Ok(Function { name: name.to_owned(), parameters, strict })
}

/// The choice, and the functions that it is among where it is not among all.
fn choice(
    choice: Option<&Value>,
    functions: &[Function],
) -> Result<(Choice, Option<Vec<String>>), ApiError> {
    let invalid = |message: String| Err(ApiError::invalid(Some("tool_choice"), message));
    let name = |tool: &Value, param: &str| match tool.pointer("/function/name") {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err(ApiError::missing(&format!("{param}.function.name"))),
    };
    let (choice, allowed) = match choice {
        None | Some(Value::Null) => return Ok((Choice::Auto, None)),
        Some(Value::String(word)) => match word.as_str() {
            "none" => return Ok((Choice::None, None)),
            "auto" => return Ok((Choice::Auto, None)),
            "required" => (Choice::Required, None),
            _ => {
                let message = "'tool_choice' must be 'none', 'auto', 'required' or a function.";
                return invalid(message.to_owned());
            }
        },
        Some(object) if object["type"] == "allowed_tools" => {
            let allowed = &object["allowed_tools"];
            let choice = match allowed["mode"].as_str() {
                Some("auto") => Choice::Auto,
                Some("required") => Choice::Required,
                _ => {
                    let param = "tool_choice.allowed_tools.mode";
                    let message = format!("'{param}' must be 'auto' or 'required'.");
                    return Err(ApiError::invalid(Some(param), message));
                }
            };
            let param = "tool_choice.allowed_tools.tools";
            let tools = allowed["tools"].as_array().filter(|tools| !tools.is_empty());
            let tools = tools.ok_or_else(|| ApiError::missing(param))?;
            let names = tools.iter().enumerate();
            let names = names.map(|(idx, tool)| name(tool, &format!("{param}[{idx}]")));
            (choice, Some(names.collect::<Result<Vec<_>, _>>()?))
        }
        Some(object) => (Choice::Named(name(object, "tool_choice")?), None),
    };
    if functions.is_empty() {
        let message = "'tool_choice' is only allowed when 'tools' are specified.";
        return invalid(message.to_owned());
    }
    let named = match &choice {
        Choice::Named(name) => Some(name),
        _ => None,
    };
    let is_known = |name: &&String| functions.iter().any(|function| function.name == **name);
    match named.into_iter().chain(allowed.iter().flatten()).find(|name| !is_known(name)) {
        Some(name) => {
            invalid(format!("The function '{}' of 'tool_choice' is not in 'tools'.", clip(name)))
        }
        None => Ok((choice, allowed)),
    }
}

/// Each result must answer a call of the assistant's message before it.
fn check_results(messages: &[ChatMessage]) -> Result<(), ApiError> {
    let mut open: HashSet<&str> = HashSet::new();
    for (idx, message) in messages.iter().enumerate() {
        match message.role {
            Role::Assistant => {
                let calls = message.tool_calls.iter().flatten();
                open = calls.filter_map(|call| call.get("id")?.as_str()).collect();
            }
            Role::Tool => {
                let param = format!("messages[{idx}].tool_call_id");
                let Some(id) = message.tool_call_id.as_deref() else {
                    return Err(ApiError::missing(&param));
                };
                if !open.contains(id) {
                    let message = format!(
                        "Invalid value for '{param}': '{}' is no call of the assistant's message \
                         before it.",
                        clip(id)
                    );
                    return Err(ApiError::invalid(Some(&param), message));
                }
            }
            _ => open.clear(),
        }
    }
    Ok(())
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_NAME_CHARS).map_or(text, |(end, _)| &text[..end])
}
