//! The Jinja dialect that chat templates are written in, set up as transformers does. Invariant:
//! one rendering spends at most the fuel, depth and output of [`crate::limits`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value, json};

use super::json::{Bounded, tojson};
use super::repr::{formatted, indent, string};
use super::rewrite::{COPY, plain_copy, prepared};
use crate::limits::{
    MAX_RENDERED_BYTES, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_FUEL, MAX_TEMPLATE_RECURSION,
    TEMPLATE_STACK_BYTES,
};
use crate::{TextError, stack};

const NAME: &str = "chat_template";

/// A template and the environment it was compiled for.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    takes_parts: bool,
    wants_parts: bool,
    asks_for_null: bool,
}

impl Compiled {
    pub(super) fn new(source: &str) -> Result<Self, TextError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let problem = format!("has {} bytes, over {MAX_TEMPLATE_BYTES}", source.len());
            return Err(TextError::Template(problem));
        }
        let mut environment = environment()?;
        // A template that looks into a message's parts names their `text`.
        let takes_parts = ["'text'", "\"text\"", ".text"].iter().any(|mark| source.contains(mark));
        let asks = |what: &str| {
            let marks = ["content'] is", "content\"] is", "content is"];
            marks.iter().any(|mark| source.contains(&format!("{mark} {what}")))
        };
        let asks_for_null = asks("none") || asks("not none");
        let source = prepared(source, environment.syntax().clone());
        source
            .and_then(|source| environment.add_template_owned(NAME, source))
            .map_err(|err| describe(&err))?;
        Ok(Self { environment, takes_parts, wants_parts: false, asks_for_null })
    }

    /// Finds out whether the template shows contents that are lists of parts only, as those of
    /// models that see do: `variables` are the model's.
    pub(super) fn probed(mut self, variables: &BTreeMap<String, String>) -> Self {
        const SAID: &str = "said";
        let shows = |content: Value| {
            let mut all: Map<String, Value> = Map::new();
            all.extend(variables.iter().map(|(name, text)| (name.clone(), text.as_str().into())));
            all.insert("messages".to_owned(), json!([{"role": "user", "content": content}]));
            all.insert("add_generation_prompt".to_owned(), false.into());
            self.render(&all).is_ok_and(|prompt| prompt.contains(SAID))
        };
        self.wants_parts = self.takes_parts
            && !shows(SAID.into())
            && shows(json!([{"type": "text", "text": SAID}]));
        self
    }

    /// Whether the template handles a content that is a list of parts.
    pub(super) fn takes_parts(&self) -> bool {
        self.takes_parts
    }

    /// Whether the template shows no other content.
    pub(super) fn wants_parts(&self) -> bool {
        self.wants_parts
    }

    /// Whether the template does something else where a content is null.
    pub(super) fn asks_for_null(&self) -> bool {
        self.asks_for_null
    }

    /// Renders where the stack has room for the deepest value and recursion that the limits allow:
    /// here, or on a thread of its own.
    pub(super) fn render(&self, variables: &Map<String, Value>) -> Result<String, TextError> {
        let failed = |what: String| TextError::Template(format!("could not be rendered: {what}"));
        let panicked = |_| failed("the template engine panicked".to_owned());
        if stack::has_room() {
            let render = AssertUnwindSafe(|| self.render_here(variables));
            return std::panic::catch_unwind(render).map_err(panicked)?;
        }
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("chat-template".to_owned())
                .stack_size(TEMPLATE_STACK_BYTES)
                .spawn_scoped(scope, || self.render_here(variables))
                .map_err(|err| failed(err.to_string()))?
                .join()
                .map_err(panicked)?
        })
    }

    fn render_here(&self, variables: &Map<String, Value>) -> Result<String, TextError> {
        let template = self.environment.get_template(NAME).map_err(|err| describe(&err))?;
        let mut out = Bounded::new(MAX_RENDERED_BYTES);
        let done = template.render_captured_to(minijinja::value::Serde(variables), &mut out);
        if out.is_full {
            return Err(TextError::RenderedTooLong { max: MAX_RENDERED_BYTES });
        }
        done.map_err(|err| describe(&err))?;
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
    environment.set_formatter(formatted);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", string);
    environment.add_filter("indent", indent);
    // As Python has it: nothing is not iterable, and texts and objects have a length and items.
    environment.add_test("iterable", |value: &minijinja::Value| {
        !value.is_none() && (value.as_str().is_some() || value.try_iter().is_ok())
    });
    environment.add_test("sequence", |value: &minijinja::Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
    });
    environment.add_filter(COPY, plain_copy);
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
