//! GGUF metadata: typed values by key, read in place.
//!
//! Invariant: parsing allocates per key, never per array element; arrays stay bytes, checked
//! once, and are decoded when asked for. Memory is therefore bounded by the file's own size.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::error::{Fault, Quoted};

const MAX_KEYS: u64 = 1 << 16;
/// The specification's limit.
const MAX_KEY_BYTES: u64 = u16::MAX as u64;
const MAX_ARRAY_DEPTH: u32 = 4;

/// One value; numbers are widened.
#[derive(Clone)]
pub enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(&'a [u8]),
    Array { element_type: u32, len: usize, elements: Cursor<'a> },
}

impl<'a> Value<'a> {
    /// Reads a value of the type that GGUF numbers `value_type`.
    fn read(cursor: &mut Cursor<'a>, value_type: u32, depth: u32) -> Result<Self, Fault> {
        Ok(match value_type {
            0 => Self::Unsigned(cursor.array::<1>()?[0].into()),
            1 => Self::Signed(i8::from_le_bytes(cursor.array()?).into()),
            2 => Self::Unsigned(u16::from_le_bytes(cursor.array()?).into()),
            3 => Self::Signed(i16::from_le_bytes(cursor.array()?).into()),
            4 => Self::Unsigned(cursor.u32()?.into()),
            5 => Self::Signed(i32::from_le_bytes(cursor.array()?).into()),
            6 => Self::Float(f32::from_le_bytes(cursor.array()?).into()),
            7 => match cursor.array::<1>()?[0] {
                0 => Self::Bool(false),
                1 => Self::Bool(true),
                byte => return Err(Fault::file(format!("{byte} is not a boolean"))),
            },
            8 => Self::String(cursor.string()?),
            9 => Self::read_array(cursor, depth)?,
            10 => Self::Unsigned(cursor.u64()?),
            11 => Self::Signed(i64::from_le_bytes(cursor.array()?)),
            12 => Self::Float(f64::from_le_bytes(cursor.array()?)),
            _ => return Err(Fault::file(format!("unknown value type {value_type}"))),
        })
    }

    /// Walks over an array's elements, so that decoding them later cannot fail.
    fn read_array(cursor: &mut Cursor<'a>, depth: u32) -> Result<Self, Fault> {
        if depth == MAX_ARRAY_DEPTH {
            return Err(Fault::file(format!("arrays nested deeper than {MAX_ARRAY_DEPTH}")));
        }
        let element_type = cursor.u32()?;
        // An element takes at least a byte.
        let len = cursor.length("an array's length", cursor.remaining() as u64)?;
        let elements = cursor.clone();
        for _ in 0..len {
            Self::read(cursor, element_type, depth + 1)?;
        }
        Ok(Self::Array { element_type, len, elements })
    }
}

impl<'a> Value<'a> {
    /// Hands an array's elements to `take` until it gives none; none for what is no array.
    pub(super) fn for_each(&self, mut take: impl FnMut(&Self) -> Option<()>) -> Option<()> {
        let Self::Array { element_type, len, elements } = self else { return None };
        let mut elements = elements.clone();
        // The array was walked over when the file was read: `len` elements are there.
        (0..*len).try_for_each(|_| take(&Self::read(&mut elements, *element_type, 0).ok()?))
    }
}

/// All metadata of a file.
pub struct Metadata<'a>(BTreeMap<&'a str, Value<'a>>);

/// What a caller can ask a field to be.
pub trait FromValue<'a>: Sized {
    /// As in "a string".
    fn kind() -> String;

    /// `None` if the value is of another kind or out of range.
    fn from_value(value: &Value<'a>) -> Option<Self>;
}

impl<'a> Metadata<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, num_keys: u64) -> Result<Self, Fault> {
        if num_keys > MAX_KEYS {
            let what = format!("{num_keys} metadata keys, more than the {MAX_KEYS} accepted");
            return Err(Fault::file(what));
        }
        let mut values = BTreeMap::new();
        for _ in 0..num_keys {
            let key = cursor.name("a metadata key", MAX_KEY_BYTES)?;
            let value_type = cursor.u32().map_err(|fault| in_field(key, fault))?;
            let value = Value::read(cursor, value_type, 0).map_err(|fault| in_field(key, fault))?;
            if values.insert(key, value).is_some() {
                return Err(Fault::field(key, "is there twice"));
            }
        }
        Ok(Self(values))
    }

    /// The field, if it is there.
    ///
    /// # Errors
    /// If it is of another kind, or a number out of range.
    pub fn get<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, Fault> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match T::from_value(value) {
            Some(got) => Ok(Some(got)),
            None => {
                let what = format!("{} where {} is wanted", value_text(value), T::kind());
                Err(Fault::field(key, what))
            }
        }
    }

    /// What the field holds, if it is there, as text for a message.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(value_text)
    }

    /// The field, which must be there.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if it is missing.
    pub fn require<T: FromValue<'a>>(&self, key: &str) -> Result<T, Fault> {
        self.get(key)?.ok_or_else(|| Fault::field(key, "is missing"))
    }
}

/// Keys and their values as they are stored in `file`, types first.
pub(super) fn read_raw<'a>(
    cursor: &mut Cursor<'a>,
    num_keys: u64,
    file: &'a [u8],
) -> Result<Vec<(&'a str, &'a [u8])>, Fault> {
    let mut raw = Vec::new();
    for _ in 0..num_keys {
        let key = cursor.name("a metadata key", MAX_KEY_BYTES)?;
        let start = file.len() - cursor.remaining();
        let value_type = cursor.u32()?;
        Value::read(cursor, value_type, 0)?;
        raw.push((key, &file[start..file.len() - cursor.remaining()]));
    }
    Ok(raw)
}

fn in_field(key: &str, fault: Fault) -> Fault {
    match fault {
        Fault::File(what) => Fault::field(key, what),
        fault => fault,
    }
}

fn value_text(value: &Value<'_>) -> String {
    match value {
        Value::Unsigned(x) => x.to_string(),
        Value::Signed(x) => x.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(x) => x.to_string(),
        Value::String(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Quoted(text).to_string(),
            Err(_) => "a string that is not UTF-8".into(),
        },
        Value::Array { len, .. } => format!("an array of {len}"),
    }
}

impl FromValue<'_> for usize {
    fn kind() -> String {
        "a non-negative integer".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::Unsigned(x) => x.try_into().ok(),
            Value::Signed(x) => x.try_into().ok(),
            _ => None,
        }
    }
}

impl FromValue<'_> for u32 {
    fn kind() -> String {
        "an integer of 32 bits, not negative".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        usize::from_value(value)?.try_into().ok()
    }
}

impl FromValue<'_> for i32 {
    fn kind() -> String {
        "an integer of 32 bits".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::Unsigned(x) => x.try_into().ok(),
            Value::Signed(x) => x.try_into().ok(),
            _ => None,
        }
    }
}

impl FromValue<'_> for f32 {
    fn kind() -> String {
        "a number".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::Float(x) => Some(x as f32),
            Value::Unsigned(x) => Some(x as f32),
            Value::Signed(x) => Some(x as f32),
            _ => None,
        }
    }
}

impl FromValue<'_> for bool {
    fn kind() -> String {
        "a boolean".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::Bool(x) => Some(x),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn kind() -> String {
        "a string in UTF-8".into()
    }

    fn from_value(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl FromValue<'_> for String {
    fn kind() -> String {
        "a string in UTF-8".into()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        <&str>::from_value(value).map(Into::into)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Vec<T> {
    fn kind() -> String {
        format!("an array, each element {}", T::kind())
    }

    fn from_value(value: &Value<'a>) -> Option<Self> {
        let mut got = Self::new();
        value.for_each(|element| {
            got.push(T::from_value(element)?);
            Some(())
        })?;
        Some(got)
    }
}
