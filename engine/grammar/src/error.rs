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
}

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

/// The first line of an error of the library; of a panic, only that there was one.
pub(crate) fn message(error: &str) -> String {
    if error.starts_with("panic:") {
        return "the grammar could not be processed".to_owned();
    }
    if error.contains("NoExtension") {
        return "nothing can match it".to_owned();
    }
    let end = ["\n<", "\n\n"].iter().filter_map(|mark| error.find(mark)).min();
    let error = error[..end.unwrap_or(error.len())].trim();
    match error.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_librarys_errors_the_cause_is_left() {
        let cases = [
            ("Unimplemented keys: [\"not\"]\n<non-verbose/>", "Unimplemented keys: [\"not\"]"),
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
