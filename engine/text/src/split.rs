//! Cutting a text into the words that byte-pair encoding merges within.
//!
//! Invariant: the words joined are the text, and none is empty.

use fancy_regex::{Match, Regex};

/// What most patterns end with: white space, but for its last character where a word follows.
const SPACES: &str = r"|\s+(?!\S)|\s+";

/// One way to cut; each applies to the pieces that the one before left.
#[derive(Debug)]
pub(crate) enum Split {
    /// Each match is a piece of its own, and so is what lies between.
    Pattern(Box<Pattern>),
    /// Digits go in threes, counted from the right; what stands before the first digits stays with
    /// them.
    Thousands {
        /// What is a digit.
        is_digit: fn(char) -> bool,
    },
}

/// What pieces look like.
#[derive(Debug)]
pub(crate) struct Pattern {
    exact: Regex,
    /// The same but for white space, if that is all that looks ahead: looking ahead takes a slower
    /// engine, and few pieces are white space alone.
    quick: Option<Regex>,
}

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, Box<fancy_regex::Error>> {
        let words = pattern.strip_suffix(SPACES);
        let quick = words.map(|words| Regex::new(&format!(r"{words}|\s+"))).transpose()?;
        Ok(Self { exact: Regex::new(pattern)?, quick })
    }

    /// Hands on all matches in order.
    fn find(
        &self,
        text: &str,
        each: &mut dyn FnMut(Match<'_>) -> Result<(), Box<fancy_regex::Error>>,
    ) -> Result<(), Box<fancy_regex::Error>> {
        let Some(quick) = &self.quick else {
            return self.exact.find_iter(text).try_for_each(|found| each(found?));
        };
        let mut from = 0;
        while let Some(found) = quick.find_from_pos(text, from)? {
            // Both match at the same places, and of a word the same: what comes first counts.
            let found = match found.as_str().chars().all(char::is_whitespace) {
                false => Some(found),
                true => self.exact.find_from_pos(text, found.start())?,
            };
            let Some(found) = found.filter(|found| found.end() > from) else { break };
            from = found.end();
            each(found)?;
        }
        Ok(())
    }
}

/// Cuts a text and hands on the pieces in order, none of them empty.
pub(crate) fn split(
    text: &str,
    splits: &[Split],
    each: &mut dyn FnMut(&str),
) -> Result<(), Box<fancy_regex::Error>> {
    if text.is_empty() {
        return Ok(());
    }
    match splits.split_first() {
        None => each(text),
        Some((Split::Pattern(pattern), rest)) => {
            let mut start = 0;
            pattern.find(text, &mut |found| {
                split(&text[start..found.start()], rest, each)?;
                start = found.end();
                split(&text[found.range()], rest, each)
            })?;
            split(&text[start..], rest, each)?;
        }
        Some((Split::Thousands { is_digit }, rest)) => {
            let mut from = 0;
            for end in thousands(text, *is_digit) {
                split(&text[from..end], rest, each)?;
                from = end;
            }
            split(&text[from..], rest, each)?;
        }
    }
    Ok(())
}

/// Where the groups of digits end.
fn thousands(text: &str, is_digit: fn(char) -> bool) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while let Some(start) = text[at..].find(is_digit) {
        let start = at + start;
        let run = &text[start..];
        let run = &run[..run.find(|c| !is_digit(c)).unwrap_or(run.len())];
        let num_digits = run.chars().count();
        let inner = run.char_indices().enumerate().skip(1);
        ends.extend(
            inner
                .filter(|(i, _)| (num_digits - i).is_multiple_of(3))
                .map(|(_, (at, _))| start + at),
        );
        at = start + run.len();
        ends.push(at);
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ends as most do; the middle one takes line ends with the white space before them.
    const PATTERNS: [&str; 3] = [
        r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"\p{N}{1,3}|\s+(?!\S)|\s+",
    ];

    proptest! {
        #[test]
        fn the_quick_way_finds_the_same(text in "[ab1'!é中 \n\r\t\u{a0}\u{3000}]{0,24}") {
            for source in PATTERNS {
                let pattern = Pattern::new(source).unwrap();
                prop_assert!(pattern.quick.is_some());
                let found = |pattern: &Pattern| {
                    let mut all = Vec::new();
                    pattern.find(&text, &mut |found| {
                        all.push(found.range());
                        Ok(())
                    }).unwrap();
                    all
                };
                let exact = Pattern { exact: Regex::new(source).unwrap(), quick: None };
                prop_assert_eq!(found(&pattern), found(&exact));
            }
        }
    }

    #[test]
    fn digits_go_in_threes_from_the_right() {
        let cut = |text: &str| {
            let mut pieces = Vec::new();
            let splits = [Split::Thousands { is_digit: char::is_numeric }];
            split(text, &splits, &mut |piece: &str| pieces.push(piece.to_owned())).unwrap();
            pieces
        };
        assert_eq!(cut("1234567"), ["1", "234", "567"]);
        assert_eq!(cut("a 123456b12"), ["a 123", "456", "b12"]);
        assert_eq!(cut("٠١٢٣x"), ["٠", "١٢٣", "x"]);
        assert_eq!(cut("none"), ["none"]);
    }
}
