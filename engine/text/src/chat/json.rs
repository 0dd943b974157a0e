//! The `tojson` filter as transformers defines it: Python's `json.dumps` without escapes for HTML
//! or non-ASCII text. Invariant: output and depth are bounded, as a template can build values that
//! hold themselves many times over.

use std::io;

use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Error, ErrorKind, State};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::limits::MAX_RENDERED_BYTES;

pub(super) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    indent: Option<usize>,
    args: Kwargs,
) -> Result<Value, Error> {
    let indent = indent.or(args.get("indent")?);
    let ensure_ascii: Option<bool> = args.get("ensure_ascii")?;
    let sort_keys: Option<bool> = args.get("sort_keys")?;
    let separators: Option<(String, String)> = match args.get::<Option<Value>>("separators")? {
        None => None,
        Some(pair) => Some((part(&pair, 0)?, part(&pair, 1)?)),
    };
    args.assert_all_used()?;
    let bad = |err: String| Error::new(ErrorKind::BadSerialization, format!("tojson: {err}"));
    let mut out = Bounded::new(MAX_RENDERED_BYTES);
    let sorted;
    let value = match sort_keys {
        Some(true) => {
            // What fits as text is read back with its keys in order.
            write(value, &mut out, CompactFormatter).map_err(|err| bad(err.to_string()))?;
            let mut data: serde_json::Value =
                serde_json::from_slice(&out.bytes).map_err(|err| bad(err.to_string()))?;
            data.sort_all_objects();
            out.bytes.clear();
            sorted = Value::from(Serde(data));
            &sorted
        }
        _ => value,
    };
    let done = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            write(value, &mut out, PrettyFormatter::with_indent(indent.as_bytes()))
        }
        None => {
            let (item, key) = separators.unwrap_or((", ".to_owned(), ": ".to_owned()));
            write(value, &mut out, Python { item, key })
        }
    };
    state.consume_fuel(out.bytes.len() as u64 / 4)?;
    done.map_err(|err| bad(err.to_string()))?;
    let text = String::from_utf8(out.bytes).map_err(|err| bad(err.to_string()))?;
    Ok(Value::from_safe_string(match ensure_ascii {
        Some(true) => escaped(&text),
        _ => text,
    }))
}

/// JSON in ASCII: in a text's escapes, as nothing else holds other characters.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

fn part(pair: &Value, idx: usize) -> Result<String, Error> {
    Ok(pair.get_item_by_index(idx)?.to_string())
}

fn write(value: &Value, out: &mut Bounded, formatter: impl Formatter) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, formatter))
}

/// A value as Python's `json.dumps` writes it.
pub(super) fn python(value: &serde_json::Value) -> String {
    let mut out = Vec::new();
    let form = Python { item: ", ".to_owned(), key: ": ".to_owned() };
    // Values of JSON can always be written to memory.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, form));
    String::from_utf8(out).unwrap_or_default()
}

/// Python's spacing: `{"a": 1, "b": [2, 3]}`.
struct Python {
    item: String,
    key: String,
}

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> Written {
        if first { Ok(()) } else { out.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> Written {
        if first { Ok(()) } else { out.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> Written {
        out.write_all(self.key.as_bytes())
    }
}

type Written = io::Result<()>;

/// Collects bytes up to a limit, then fails.
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    /// More came than fits.
    pub(super) is_full: bool,
    max: usize,
}

impl Bounded {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), is_full: false, max }
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max {
            self.is_full = true;
            let problem = format!("the output is over {} bytes", self.max);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
