//! Why there is no grammar.

/// What stands in the way of a grammar. Messages say what to change; they repeat names of the
/// client's schema, never a prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is not well-formed, or asks for what cannot be honoured.
    #[error("{0}")]
    Invalid(String),
    /// It is more than the limits allow.
    #[error("{0}")]
    TooLarge(String),
    /// The model has no token that would end an answer.
    #[error("the model has no end-of-sequence token, so an answer could not end")]
    NoEnd,
    /// The arguments of this call, by its number.
    #[error("{error}")]
    OfCall {
        /// From 0.
        which: usize,
        /// What stands in the way of them.
        error: Box<CompileError>,
    },
}

/// What the library says of its own switches, in words of use to a client.
const WORDS: [(&str, &str); 3] = [
    (
        "oneOf constraints are not supported. Enable 'coerce_one_of' option to approximate oneOf \
         with anyOf",
        "'oneOf' is only supported where no value could match two of its schemas: use 'anyOf'",
    ),
    (" without 'referencing' feature", ""),
    ("schema too large", "the schema is too large"),
];

/// Longer than this no message of the library is of use to anyone.
const MAX_CHARS: usize = 300;

impl CompileError {
    /// What the library said, without its debugging notes.
    pub(crate) fn from_library(error: &str) -> Self {
        let message = message(error);
        let is_limit = ["too large", "too complex", "too big", "fuel", "limit", "too many"]
            .iter()
            .any(|sign| message.contains(sign));
        if is_limit { Self::TooLarge(message) } else { Self::Invalid(message) }
    }
}

/// An error of the library without the lines of the grammar that it shows, which may be ours; of a
/// panic, only that there was one.
pub(crate) fn message(error: &str) -> String {
    if error.starts_with("panic:") {
        return "the grammar could not be processed".to_owned();
    }
    if error.contains("NoExtension") {
        return "nothing can match it".to_owned();
    }
    let is_end = |at: &usize| {
        let rest = &error[at + 1..];
        let shown = rest.trim_start_matches(' ').trim_start_matches(|c: char| c.is_ascii_digit());
        rest.starts_with(['<', '\n']) || shown.starts_with(" | ")
    };
    let end = error.match_indices('\n').map(|(at, _)| at).find(is_end);
    let error = error[..end.unwrap_or(error.len())].trim().to_owned();
    let error = WORDS.iter().fold(error, |error, (theirs, ours)| error.replace(theirs, ours));
    match error.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_librarys_errors_the_cause_is_left() {
        let cases = [
            ("Unimplemented keys: [\"not\"]\n<non-verbose/>", "Unimplemented keys: [\"not\"]"),
            ("at 1(8): no rule\n   1 | start: x\n     |        ^", "at 1(8): no rule"),
            ("ref '#a' fails without 'referencing' feature", "ref '#a' fails"),
            ("NoExtensionBias", "nothing can match it"),
            ("panic: secret\n<backtrace>…", "the grammar could not be processed"),
        ];
        for (error, expect) in cases {
            assert_eq!(CompileError::from_library(error), CompileError::Invalid(expect.into()));
        }
        let long = CompileError::from_library(&format!("too large: {}", "é".repeat(1000)));
        assert!(matches!(&long, CompileError::TooLarge(m) if m.chars().count() == MAX_CHARS + 1));
    }
}
