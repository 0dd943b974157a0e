//! The functions of a chat: what is asked of the model, and what of the client.
//!
//! Invariant: past this module every function has a name and a schema, a result of a call follows
//! that call, and no call is without one.

use engine_grammar::{CallForm, Calls, loosened};
use engine_text::{AnswerParser, CallsAre, Family, TextModel};
use serde_json::json;
use server_api::ChatRequest;

pub(crate) use self::checked::check_calls;
use self::checked::{Function, check_names, function};
use self::choice::Choice;
pub(crate) use self::paired::Unpaired;
use crate::ApiError;
use crate::source::{Form, Source};

mod checked;
mod choice;
mod paired;

/// OpenAI's limit.
const MAX_TOOLS: usize = 128;
/// All that such models write beside texts and calls.
const HERMES_MARKS: &str = "<think></think><tool_call></tool_call>";

/// A chat's functions, and which must be called.
#[derive(Debug)]
pub(crate) struct Tools {
    functions: Vec<Function>,
    choice: Choice,
    parallel: bool,
}

impl Tools {
    /// Those of a request; also checks what its messages say of calls.
    ///
    /// Functions that are not allowed to be called are taken out: the model is not told of them.
    pub(crate) fn of(request: &mut ChatRequest) -> Result<Self, ApiError> {
        paired::check(&request.messages)?;
        let functions = request.tools.iter().flatten().enumerate();
        let mut functions: Vec<Function> =
            functions.map(function).collect::<Result<_, ApiError>>()?;
        if functions.len() > MAX_TOOLS {
            let message =
                format!("'tools' has {} entries, the limit is {MAX_TOOLS}.", functions.len());
            return Err(ApiError::invalid(Some("tools"), message));
        }
        check_names(&functions)?;
        let (choice, allowed) = choice::read(request.tool_choice.as_ref(), &functions)?;
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
        let reasons = opens_thought && source.form == Form::Free;
        // An answer of another form is no call, even if it looks like one.
        let calls = match source.form {
            _ if !self.are_used() => CallsAre::Nowhere,
            Form::Free => CallsAre::Anywhere,
            Form::Calls => CallsAre::All,
            Form::CallsOrOther => CallsAre::AllOrNone,
            Form::Other => CallsAre::Nowhere,
        };
        let names = self.functions.iter().map(|function| function.name.clone()).collect();
        AnswerParser::new(family, calls, reasons).with_names(names).with_texts(self.texts())
    }

    /// Functions with those of their parameters that are texts by their schemas.
    fn texts(&self) -> std::sync::Arc<[(String, String)]> {
        let texts = self.functions.iter().flat_map(|function| {
            let properties = function.parameters["properties"].as_object();
            let texts = properties.into_iter().flatten().filter(|(_, of)| of["type"] == "string");
            texts.map(|(name, _)| (function.name.clone(), name.clone()))
        });
        texts.collect()
    }

    /// The grammar that makes the model call, if it must. Where it need not: one of calls instead
    /// of an answer that has a form, and else, if a function is strict, of calls within a text.
    /// With the fields that the schemas of the calls come from.
    pub(crate) fn grammar(&self, text: &TextModel, has_form: bool) -> Option<(Calls, Vec<String>)> {
        if self.functions.is_empty() {
            return None;
        }
        let is_hermes = text.family() == Family::Hermes;
        let is_auto = self.choice == Choice::Auto;
        let is_within = is_auto && !has_form;
        let may_call = is_hermes
            && is_plain(text, HERMES_MARKS)
            && (has_form || self.functions.iter().any(|function| function.strict));
        let is_called = |function: &&Function| match &self.choice {
            Choice::None => false,
            Choice::Auto => may_call,
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
            schema: match function.strict {
                true => function.parameters.clone(),
                false if is_auto => json!({"type": "object"}),
                false => loosened(&function.parameters),
            },
            after: format!("}}{end}"),
        };
        let called = self.functions.iter().filter(is_called);
        let (forms, fields): (Vec<CallForm>, _) =
            called.map(|function| (form(function), function.field.clone())).unzip();
        let several = self.parallel && (is_auto || self.choice == Choice::Required);
        let between = several.then(|| between.to_owned());
        let within = is_within.then(|| "<tool_call>".to_owned());
        (!forms.is_empty()).then_some((Calls { forms, between, within }, fields))
    }
}

/// Whether the model writes these marks in tokens of text, which alone a grammar can let pass.
fn is_plain(text: &TextModel, marks: &str) -> bool {
    let tokens = text.encode(marks, false);
    tokens.is_ok_and(|tokens| !tokens.iter().any(|token| text.is_special(*token)))
}
