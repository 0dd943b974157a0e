//! What a client asks an answer to be.

use llguidance::api::TopLevelGrammar;
use serde_json::Value;

use crate::{CompileError, ebnf, json};

/// At most so many bytes of a grammar, a regular expression or all choices.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// As many as its values an `enum` has.
const MAX_CHOICES: usize = 5_000;
const MAX_LINES: usize = 2000;

/// A grammar as clients write it.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Any JSON object.
    JsonObject,
    /// What a JSON schema (draft 2020-12 unless it says another) describes.
    JsonSchema(Value),
    /// What a regular expression matches as a whole.
    Regex(String),
    /// One of several texts.
    Choice(Vec<String>),
    /// A grammar in Lark's notation or, where it has `::=`, in EBNF as llama.cpp writes it (GBNF).
    Grammar(String),
    /// Calls of tools.
    Calls(Calls),
    /// Those, or what another source describes.
    CallsOr(Calls, Box<Source>),
}

/// Calls of tools, one or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Calls {
    /// The tools to choose from.
    pub forms: Vec<CallForm>,
    /// What stands between calls; absent where there is only one.
    pub between: Option<String>,
    /// The mark of a call, where calls are the model's choice: what stands before marks and after
    /// calls is free, and nothing need be called.
    pub within: Option<String>,
}

/// How one tool is called.
#[derive(Clone, Debug, PartialEq)]
pub struct CallForm {
    /// What comes before the arguments.
    pub before: String,
    /// The arguments' schema.
    pub schema: Value,
    /// What comes after them.
    pub after: String,
}

impl Source {
    /// The same for the library.
    pub(crate) fn to_library(&self) -> Result<TopLevelGrammar, CompileError> {
        match self {
            Self::JsonObject => json::object().map(TopLevelGrammar::from_json_schema),
            Self::JsonSchema(schema) => {
                json::prepare(schema).map(TopLevelGrammar::from_json_schema)
            }
            Self::Regex(regex) => {
                check_len("the regular expression", regex.len())?;
                Ok(TopLevelGrammar::from_regex(regex))
            }
            Self::Choice(choices) => choice(choices).map(TopLevelGrammar::from_lark),
            Self::Calls(calls) => calls.to_lark("").map(TopLevelGrammar::from_lark),
            Self::CallsOr(calls, other) => {
                let mut other = other.to_library()?;
                for grammar in &mut other.grammars {
                    grammar.name = Some("other".to_owned());
                }
                let calls = TopLevelGrammar::from_lark(calls.to_lark(" | @other")?);
                other.grammars.splice(0..0, calls.grammars);
                Ok(other)
            }
            Self::Grammar(text) => {
                check_len("the grammar", text.len())?;
                let lark = if text.contains("::=") { ebnf::to_lark(text)? } else { text.clone() };
                check_options(&lark)?;
                Ok(TopLevelGrammar::from_lark(lark))
            }
        }
    }
}

impl Calls {
    /// `or`: what an answer may be instead.
    fn to_lark(&self, or: &str) -> Result<String, CompileError> {
        let calls: Vec<String> = (0..self.forms.len()).map(|i| format!("call_{i}")).collect();
        let mut lark = match (&self.within, &self.between) {
            (Some(mark), between) => {
                let calls = if between.is_some() { "marked* rest?" } else { "rest? | marked" };
                // As little as it can, so that what comes after a mark can only be a call.
                let free = format!("before[lazy]: /(.|\\n)*{}/\nrest: /(.|\\n)+/", escape(mark));
                format!("start: {calls}{or}\nmarked: before call\n{free}\n")
            }
            (None, Some(between)) => format!("start: call ({} call)*{or}\n", quote(between)),
            (None, None) => format!("start: call{or}\n"),
        };
        lark += &format!("call: {}\n", calls.join(" | "));
        for (i, CallForm { before, schema, after }) in self.forms.iter().enumerate() {
            let (before, after, schema) = (quote(before), quote(after), json::prepare(schema)?);
            lark += &format!("call_{i}: {before} args_{i} {after}\nargs_{i}: %json {schema}\n");
        }
        Ok(lark)
    }
}

fn check_len(what: &str, len: usize) -> Result<(), CompileError> {
    if len > MAX_TEXT_BYTES {
        let message = format!("{what} has {len} bytes, the limit is {MAX_TEXT_BYTES}");
        return Err(CompileError::TooLarge(message));
    }
    Ok(())
}

fn choice(choices: &[String]) -> Result<String, CompileError> {
    if choices.is_empty() || choices.iter().any(String::is_empty) {
        let message = "there must be at least one choice, and none may be empty".to_owned();
        return Err(CompileError::Invalid(message));
    }
    if choices.len() > MAX_CHOICES {
        let message = format!("there are {} choices, the limit is {MAX_CHOICES}", choices.len());
        return Err(CompileError::TooLarge(message));
    }
    check_len("all choices together", choices.iter().map(String::len).sum())?;
    let quoted: Vec<String> = choices.iter().map(|choice| quote(choice)).collect();
    // A terminal: of rules only so many can be followed at once.
    Ok(format!("start: CHOICE\nCHOICE: {}\n", quoted.join(" | ")))
}

/// A text as a part of a regular expression of Lark's.
fn escape(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '<' | '>');
    let escaped = |c: char| if is_plain(c) { c.to_string() } else { format!("\\{c}") };
    text.chars().map(escaped).collect()
}

/// A text as a literal of Lark's.
pub(crate) fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// Refuses what would let an answer be less than its grammar says, and more rules than can be gone
/// through one from another.
fn check_options(lark: &str) -> Result<(), CompileError> {
    if lark.lines().count() > MAX_LINES {
        return Err(CompileError::TooLarge(format!("the grammar has more than {MAX_LINES} lines")));
    }
    if lark.contains("%llguidance") || (lark.contains("%json") && lark.contains("\\u")) {
        let message = "'%llguidance', and '\\u' beside '%json', are not allowed".to_owned();
        return Err(CompileError::Invalid(message));
    }
    for option in ["x-guidance", "lenient", "allow_invalid_utf8"] {
        if lark.contains(&format!("\"{option}\"")) {
            return Err(CompileError::Invalid(format!("the option '{option}' is not allowed")));
        }
    }
    Ok(())
}
