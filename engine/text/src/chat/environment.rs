//! The Jinja dialect that chat templates are written in, set up as transformers does. Invariant:
//! one rendering spends at most the fuel, depth and output of [`crate::limits`].

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value};

use super::json::{Bounded, tojson};
use crate::TextError;
use crate::limits::{
    MAX_RENDERED_BYTES, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_FUEL, MAX_TEMPLATE_RECURSION,
};

const NAME: &str = "chat_template";

/// A template and the environment it was compiled for.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    takes_parts: bool,
}

impl Compiled {
    pub(super) fn new(source: &str) -> Result<Self, TextError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let problem = format!("has {} bytes, over {MAX_TEMPLATE_BYTES}", source.len());
            return Err(TextError::Template(problem));
        }
        let mut environment = environment()?;
        // A template that looks into a message's parts names their `text`.
        let takes_parts =
            ["'text'", "\"text\"", ".text"].iter().any(|mark| source.contains(mark));
        environment
            .add_template_owned(NAME, without_generation_marks(source))
            .map_err(|err| describe(&err))?;
        Ok(Self { environment, takes_parts })
    }

    /// Whether the template handles a content that is a list of parts.
    pub(super) fn takes_parts(&self) -> bool {
        self.takes_parts
    }

    pub(super) fn render(&self, variables: Map<String, Value>) -> Result<String, TextError> {
        let template = self.environment.get_template(NAME).map_err(|err| describe(&err))?;
        let mut out = Bounded { bytes: Vec::new(), max: MAX_RENDERED_BYTES };
        template
            .render_captured_to(minijinja::value::Serde(variables), &mut out)
            .map_err(|err| describe(&err))?;
        String::from_utf8(out.bytes).map_err(|err| TextError::Template(err.to_string()))
    }
}

fn environment() -> Result<Environment<'static>, TextError> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|err| describe(&err))?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(MAX_TEMPLATE_FUEL));
    environment.set_recursion_limit(MAX_TEMPLATE_RECURSION);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    Ok(environment)
}

/// The date now, in UTC: a server has no place whose local time a prompt should tell.
fn strftime_now(format: &str) -> Result<String, Error> {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let mut text = String::new();
    // Formatting fails only on a bad format; `to_string` would panic there.
    write!(text, "{}", now.format(format)).map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now: bad format `{format}`"))
    })?;
    Ok(text)
}

/// transformers marks the assistant's text for training by `{% generation %}` blocks. They mean
/// nothing for a prompt, so each becomes a block that is always shown.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start..].find("%}") else { break };
        let (before, tag) = (&rest[..start], &rest[start..start + len]);
        let body = tag[2..].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        out.push_str(before);
        match body {
            "generation" => out.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(tag),
        }
        rest = &rest[start + len..];
    }
    out.push_str(rest);
    out
}

/// The message and line of a template error, with what lay beneath.
fn describe(err: &Error) -> TextError {
    if err.kind() == ErrorKind::OutOfFuel {
        return TextError::Template(format!(
            "stopped after {MAX_TEMPLATE_FUEL} units of work: it loops, or the chat is too large"
        ));
    }
    let mut message = match err.detail() {
        Some(detail) => detail.to_owned(),
        None => err.kind().to_string(),
    };
    if let Some(line) = err.line() {
        message.push_str(&format!(" (line {line})"));
    }
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    TextError::Template(message)
}
