//! Cutting a text into the words that byte-pair encoding merges within.
//!
//! Invariant: the words joined are the text, and none is empty.

use fancy_regex::Regex;

/// One way to cut; each applies to the pieces that the one before left.
#[derive(Debug)]
pub(crate) enum Split {
    /// Each match is a piece of its own, and so is what lies between.
    Pattern(Regex),
    /// Digits go in threes, counted from the right; what stands before the first digits stays with
    /// them.
    Thousands {
        /// What is a digit.
        is_digit: fn(char) -> bool,
    },
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
            for found in pattern.find_iter(text) {
                let found = found.map_err(Box::new)?;
                split(&text[start..found.start()], rest, each)?;
                split(found.as_str(), rest, each)?;
                start = found.end();
            }
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
    use super::*;

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
