//! Ids that people choose.
//!
//! Invariant: what is chosen can stand in a path, a table and a script as it is. What was chosen
//! before this held is still found by its name.

use server_metering::MAX_ID_BYTES;

/// An id for something new.
///
/// # Errors
/// If it is none; the message says what one is.
pub(super) fn chosen(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && text.len() <= MAX_ID_BYTES && text.bytes().all(is_fine) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "give it 1 to {MAX_ID_BYTES} letters, digits, `-`, `_` or `.`, of which the first is a \
         letter or a digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_stand_in_a_path() {
        for text in ["a", "7", "search", "org-alpha", "A_b.c-9", &"x".repeat(MAX_ID_BYTES)] {
            assert_eq!(chosen(text).as_deref(), Ok(text));
        }
        let too_long = "x".repeat(MAX_ID_BYTES + 1);
        for text in [
            "",
            ".",
            "..",
            "-",
            "-a",
            ".a",
            "_a",
            "a/b",
            "a b",
            " a",
            "a\n",
            "a\0",
            "a\u{1b}[1m",
            "ä",
            "a%2f",
            "a?b",
            "a#b",
            &too_long,
        ] {
            let error = chosen(text).unwrap_err();
            assert!(error.contains("letters, digits"), "{text:?}: {error}");
        }
    }
}
