//! Makes a template's source safe and plain before it is compiled. Invariant: no variable ever
//! holds a value nested deeper than [`MAX_DEPTH`].
//!
//! Fuel bounds how much a template makes, but not how deep: a list put into itself a hundred
//! thousand times would overflow the stack when it is printed or dropped, and end the process. So
//! each `{% set %}` stores a copy that is plain data of bounded depth.

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// Deepest nesting of lists and objects in a variable.
const MAX_DEPTH: usize = 64;
/// Fuel for each item copied, about what the engine takes to build one.
const ITEM_FUEL: u64 = 4;
/// The filter that [`prepared`] puts behind each assigned value.
pub(super) const COPY: &str = "_plain_copy";

/// The source with [`COPY`] at each assignment, and with transformers' `{% generation %}` marks
/// (they matter for training only) as blocks that are always shown.
pub(super) fn prepared(source: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut tag: Vec<(Token<'_>, Span)> = Vec::new();
    for token in tokenize(source, false, syntax) {
        let (token, span) = token?;
        match token {
            Token::BlockStart => tag.clear(),
            Token::BlockEnd => edit_tag(&tag, &mut edits),
            token => tag.push((token, span)),
        }
    }
    let mut out = String::with_capacity(source.len() + 32 * edits.len());
    let mut from = 0;
    for (start, end, text) in edits {
        out.push_str(source.get(from..start).unwrap_or_default());
        out.push_str(&text);
        from = end;
    }
    out.push_str(source.get(from..).unwrap_or_default());
    Ok(out)
}

fn edit_tag(tag: &[(Token<'_>, Span)], edits: &mut Vec<(usize, usize, String)>) {
    let [(Token::Ident(name), span), rest @ ..] = tag else { return };
    let mut replace = |text: &str| {
        edits.push((span.start_offset as usize, span.end_offset as usize, text.to_owned()));
    };
    match (*name, rest) {
        ("generation", []) => replace("if true"),
        ("endgeneration", []) => replace("endif"),
        ("set", [.., (_, last)]) => {
            let ends_target = |token: &Token<'_>| matches!(token, Token::Assign | Token::Pipe);
            let Some(at) = rest.iter().position(|(token, _)| ends_target(token)) else { return };
            let shared = rest[..at].iter().any(|(token, _)| matches!(token, Token::Dot));
            let end = last.end_offset as usize;
            if matches!(rest[at].0, Token::Assign) {
                let start = rest[at].1.end_offset as usize;
                edits.push((start, start, "(".to_owned()));
                edits.push((end, end, format!(")|{COPY}({shared})")));
            } else {
                edits.push((end, end, format!("|{COPY}({shared})")));
            }
        }
        _ => {}
    }
}

/// A copy that holds nothing but data: a namespace or macro within becomes a plain object. Only
/// outside a namespace (not `shared`) may a variable be such a thing itself: what a namespace holds
/// lives on from turn to turn of a loop, and macros keep alive what they see.
pub(super) fn plain_copy(
    state: &State<'_, '_>,
    value: &Value,
    shared: bool,
) -> Result<Value, Error> {
    let plain = copy(state, value, shared, 0)?;
    // A namespace, macro or loop is only useful as what it is; it was looked through above.
    Ok(if is_live(value) && !shared { value.clone() } else { plain })
}

/// Whether a value is one of the engine's own objects rather than data.
fn is_live(value: &Value) -> bool {
    let kinds = ["::Namespace", "::Macro", "::Loop"];
    let name = value.as_object().map(|object| object.type_name());
    name.is_some_and(|name| kinds.iter().any(|kind| name.ends_with(kind)))
}

fn copy(state: &State<'_, '_>, value: &Value, shared: bool, depth: usize) -> Result<Value, Error> {
    let refused = |what: &str| Err(Error::new(ErrorKind::InvalidOperation, what.to_owned()));
    if depth > MAX_DEPTH {
        return refused("a variable holds too deeply nested lists or objects");
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                state.consume_fuel(ITEM_FUEL)?;
                items.push(copy(state, &item, shared, depth + 1)?);
            }
            Ok(Value::from(items))
        }
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()? {
                state.consume_fuel(ITEM_FUEL)?;
                let item = value.get_item(&key)?;
                pairs.push((key, copy(state, &item, shared, depth + 1)?));
            }
            Ok(Value::from_pairs(pairs))
        }
        ValueKind::Plain if shared || depth > 0 => refused("a variable holds a function or macro"),
        _ => Ok(value.clone()),
    }
}
