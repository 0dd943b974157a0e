//! Tokens that are found in a text as they are written, before anything else looks at it.
//!
//! Invariant: what lies between two of them is handed on as it is, but for the white space that a
//! token takes with it.

use aho_corasick::{AhoCorasick, MatchKind};

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fragment<'a> {
    /// Text to tokenize, never empty.
    Text(&'a str),
    Token(u32),
}

/// One such token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddedToken<'a> {
    pub(crate) text: &'a str,
    pub(crate) id: u32,
    /// White space before it belongs to it.
    pub(crate) lstrip: bool,
    /// White space after it belongs to it.
    pub(crate) rstrip: bool,
}

/// Tokens to find, the longest first.
#[derive(Debug)]
pub(crate) struct Added {
    texts: AhoCorasick,
    /// The id of each text, and which white space it takes: before, after.
    tokens: Vec<(u32, bool, bool)>,
}

/// What C's `isspace` knows.
const SPACE: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

impl Added {
    /// None if there are no tokens.
    pub(crate) fn new(tokens: &[AddedToken<'_>]) -> Result<Option<Self>, aho_corasick::BuildError> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let texts = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| token.text))?;
        let tokens = tokens.iter().map(|token| (token.id, token.lstrip, token.rstrip)).collect();
        Ok(Some(Self { texts, tokens }))
    }

    /// Whether some token takes white space with it.
    pub(crate) fn drops_space(&self) -> bool {
        self.tokens.iter().any(|(_, lstrip, rstrip)| *lstrip || *rstrip)
    }
}

/// Hands on the pieces of `text` in order.
pub(crate) fn fragments<E>(
    added: Option<&Added>,
    text: &str,
    each: &mut dyn FnMut(Fragment<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = text;
    if let Some(added) = added {
        let mut start = 0;
        for found in added.texts.find_iter(text) {
            let (id, lstrip, rstrip) = added.tokens[found.pattern().as_usize()];
            // What a token took before cannot be taken again.
            let mut before = text.get(start..found.start()).unwrap_or_default();
            if lstrip {
                before = before.trim_end_matches(SPACE);
            }
            if !before.is_empty() {
                each(Fragment::Text(before))?;
            }
            each(Fragment::Token(id))?;
            start = found.end();
            if rstrip {
                start = text.len() - text[start..].trim_start_matches(SPACE).len();
            }
            rest = &text[start..];
        }
    }
    if rest.is_empty() { Ok(()) } else { each(Fragment::Text(rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_to_the_tokens_that_take_it() {
        let token = |text, id, lstrip, rstrip| AddedToken { text, id, lstrip, rstrip };
        let tokens = [
            token("<a>", 1, false, true),
            token("<b>", 2, true, false),
            token("<a>x", 3, false, false),
        ];
        let added = Added::new(&tokens).unwrap();
        let cut = |text: &str| {
            let mut found = Vec::new();
            let result: Result<(), ()> = fragments(added.as_ref(), text, &mut |fragment| {
                found.push(match fragment {
                    Fragment::Text(text) => text.to_owned(),
                    Fragment::Token(id) => id.to_string(),
                });
                Ok(())
            });
            result.unwrap();
            found
        };
        assert_eq!(cut("x <a> \n y <b> z"), ["x ", "1", "y", "2", " z"]);
        assert_eq!(cut("<a>  <b>"), ["1", "2"]);
        assert_eq!(cut("<a>x<a>"), ["3", "1"]);
        assert!(cut("").is_empty());
    }
}
