//! The name a model goes by.
//!
//! Invariant: a [`ModelName`] is safe as a segment of a URL, and what [`file_stem`] makes
//! of it as a file name on every platform's file system; no two names have one stem.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MAX_NAME_BYTES: usize = 128;

/// Between a base's name and an adapter's, and what stands for it in names of files, where a colon
/// is not safe.
pub(crate) const SEPARATOR: &str = ":";
const SEPARATOR_IN_FILES: &str = "@";

/// A model's local name: a letter or digit, then up to 127 of letters, digits, `.`, `_`, `-`,
/// without `..` and without a `.` at the end. An adapter's is its base's, a colon, and another such
/// name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// Why a text is no [`ModelName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a model name: use 1 to {MAX_NAME_BYTES} letters, digits, '.', '_' or '-', \
     starting with a letter or digit, without '..' and not ending in '.' (an adapter's is its \
     base's, ':' and another)"
)]
pub struct InvalidName(pub String);

impl ModelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of an adapter of the model that has this one.
    ///
    /// # Errors
    /// If `adapter` is no plain name, or this is an adapter's.
    pub fn with_adapter(&self, adapter: &str) -> Result<ModelName, InvalidName> {
        format!("{self}{SEPARATOR}{adapter}").parse()
    }

    /// Where this is an adapter's name: its base's, and its own.
    pub fn adapter(&self) -> Option<(ModelName, &str)> {
        let (base, adapter) = self.0.split_once(SEPARATOR)?;
        Some((ModelName(base.to_owned()), adapter))
    }
}

impl FromStr for ModelName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<ModelName, InvalidName> {
        let is_name = |text: &str| is_plain_name(text, MAX_NAME_BYTES) && !text.ends_with('.');
        let is_valid = match text.split_once(SEPARATOR) {
            Some((base, adapter)) => is_name(base) && is_name(adapter),
            None => is_name(text),
        };
        if is_valid {
            return Ok(ModelName(text.to_owned()));
        }
        // An error must not carry a megabyte of someone's input along.
        Err(InvalidName(text.chars().take(MAX_NAME_BYTES + 1).collect()))
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<ModelName, InvalidName> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> String {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What files of the model are called that has this name.
pub(crate) fn file_stem(name: &str) -> String {
    name.replace(SEPARATOR, SEPARATOR_IN_FILES)
}

/// The name of the model whose files are called so.
pub(crate) fn of_file_stem(stem: &str) -> String {
    stem.replace(SEPARATOR_IN_FILES, SEPARATOR)
}

/// `[A-Za-z0-9][A-Za-z0-9._-]*` of at most `max` bytes and without `..`: what model names, hub
/// organizations and hub repositories have in common.
pub(crate) fn is_plain_name(text: &str, max: usize) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= max
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(plain)
        && !text.contains("..")
}

/// The same, or such a name in a folder of such a name.
pub(crate) fn is_plain_path(text: &str, max: usize) -> bool {
    let (folder, name) = text.split_once('/').map_or((None, text), |(f, n)| (Some(f), n));
    text.len() <= max
        && is_plain_name(name, max)
        && folder.is_none_or(|folder| is_plain_name(folder, max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_are_taken_and_refused() {
        let long = "x".repeat(128);
        for good in ["a", "smollm2", "Llama-3.1_8B", "0", &long, "a:b", &format!("{long}:{long}")] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        for bad in
            ["", ".", "..", "-a", "_a", "a/b", "a..b", "a.", "a b", "é", "a\0", &"x".repeat(129)]
                .into_iter()
                .chain([":", "a:", ":b", "a:b:c", "a.:b", "a:-b", "a:../b", "a@b"])
        {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_safe_file_name_or_an_error(
            text in "\\PC{0,140}|[a-z0-9./:@_-]{0,140}",
        ) {
            if let Ok(name) = text.parse::<ModelName>() {
                let name = name.as_str();
                prop_assert_eq!(name, &text);
                let stem = file_stem(name);
                let path = std::path::Path::new(&stem);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(&*stem));
                prop_assert!(!stem.contains("..") && !stem.contains(':') && stem.len() <= 257);
                prop_assert_eq!(of_file_stem(&stem), text);
            }
        }

        #[test]
        fn every_name_of_the_grammar_is_taken(text in "[A-Za-z0-9]([A-Za-z0-9_-]|\\.[a-z]){0,60}") {
            let name = text.parse::<ModelName>().unwrap();
            prop_assert!(name.adapter().is_none());
            let adapter = name.with_adapter(&text).unwrap();
            prop_assert_eq!(adapter.adapter(), Some((name, &*text)));
            prop_assert!(adapter.with_adapter(&text).is_err());
        }
    }
}
