//! Text as Python and Jinja2 make it, which templates were written for: lists and objects print as
//! `{'a': [1, 'b']}`. Invariant: what is made is bounded, as a template can build values that hold
//! themselves many times over.

use std::fmt::Write as _;
use std::io::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::json::Bounded;
use crate::limits::MAX_RENDERED_BYTES;

/// What `{{ value }}` prints.
pub(super) fn formatted(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if !is_container(value) {
        return minijinja::escape_formatter(out, state, value);
    }
    let text = printed(state, value)?;
    out.write_str(&text).map_err(Error::from)
}

/// The `string` filter.
pub(super) fn string(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    match is_container(value) {
        true => printed(state, value).map(Value::from),
        false if value.as_str().is_some() => Ok(value.clone()),
        false => Ok(Value::from(value.to_string())),
    }
}

/// The `indent` filter as Jinja2 has it, which keeps a line end at the end.
pub(super) fn indent(
    state: &State<'_, '_>,
    text: &str,
    width: Option<usize>,
    first: Option<bool>,
    args: Kwargs,
) -> Result<String, Error> {
    let width = width.or(args.get("width")?).unwrap_or(4);
    let first = first.or(args.get("first")?).unwrap_or(false);
    let blank = args.get::<Option<bool>>("blank")?.unwrap_or(false);
    args.assert_all_used()?;
    let num_lines = text.split('\n').count();
    if num_lines.saturating_mul(width).saturating_add(text.len()) > MAX_RENDERED_BYTES {
        let problem = format!("indent: the text is over {MAX_RENDERED_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidOperation, problem));
    }
    let space = " ".repeat(width);
    let mut out = String::with_capacity(text.len() + num_lines * width);
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i > 0 || first) && (!line.is_empty() || blank || i == 0) {
            out.push_str(&space);
        }
        out.push_str(line);
    }
    state.consume_fuel(out.len() as u64 / 64)?;
    Ok(out)
}

fn is_container(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map)
}

fn printed(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut out = Bounded::new(MAX_RENDERED_BYTES);
    let done = print(&mut out, value);
    state.consume_fuel(out.bytes.len() as u64 / 4)?;
    done.map_err(|err| Error::new(ErrorKind::BadSerialization, err.to_string()))?;
    String::from_utf8(out.bytes)
        .map_err(|err| Error::new(ErrorKind::BadSerialization, err.to_string()))
}

fn print(out: &mut Bounded, value: &Value) -> std::io::Result<()> {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Seq => {
            out.write_all(b"[")?;
            for (i, item) in items().enumerate() {
                out.write_all(between(i))?;
                print(out, &item)?;
            }
            out.write_all(b"]")
        }
        ValueKind::Map => {
            out.write_all(b"{")?;
            for (i, key) in items().enumerate() {
                out.write_all(between(i))?;
                print(out, &key)?;
                out.write_all(b": ")?;
                print(out, &value.get_item(&key).unwrap_or_default())?;
            }
            out.write_all(b"}")
        }
        _ => match value.as_str() {
            Some(text) => out.write_all(quoted(text).as_bytes()),
            None => write!(out, "{value}"),
        },
    }
}

/// What stands before an item.
fn between(place: usize) -> &'static [u8] {
    if place > 0 { b", " } else { b"" }
}

/// A text in Python's quotes and escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c == quote => write!(out, "\\{c}"),
            c if is_printed(c) => out.write_char(c),
            c => match u32::from(c) {
                code @ ..=0xFF => write!(out, "\\x{code:02x}"),
                code @ ..=0xFFFF => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            },
        };
    }
    out.push(quote);
    out
}

/// Whether Python shows a character as it is: all but control and format characters and spaces
/// other than the usual one.
fn is_printed(c: char) -> bool {
    let is_hidden = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_hidden)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_and_escapes_are_pythons() {
        for (text, expected) in [
            ("é 漢😀", "'é 漢😀'"),
            ("it's", "\"it's\""),
            ("\"it's\"", "'\"it\\'s\"'"),
            ("a\n\\\u{1}\u{a0}\u{200b}", r"'a\n\\\x01\xa0\u200b'"),
            ("\u{10ffff}", r"'\U0010ffff'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
