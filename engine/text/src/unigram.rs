//! SentencePiece's unigram model: of all ways to make up a text of tokens, the likeliest.
//!
//! Invariant: ids are sentencepiece's for the same vocabulary and map of characters; work is linear
//! in the text, times the longest token.
//!
//! Source: Kudo 2018, and sentencepiece `src/unigram_model.cc` (`EncodeOptimized`).

use crate::TextError;
use crate::added::{Added, Fragment, fragments};
use crate::charsmap::Charsmap;
use crate::pieces::SPACE;

/// An unknown character costs this much more than the unlikeliest token.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A unigram tokenizer.
#[derive(Debug)]
pub(crate) struct Unigram {
    pub(crate) added: Option<Added>,
    pub(crate) charsmap: Option<Charsmap>,
    /// A space is put before each text.
    pub(crate) space_prefix: bool,
    /// White space at the ends goes, and that between words is one space.
    pub(crate) joins_spaces: bool,
    pub(crate) lattice: Lattice,
    /// What to put before and after a text when special tokens are asked for.
    pub(crate) around: [Option<u32>; 2],
}

impl Unigram {
    /// Token ids of a text; see [`TextModel::encode`](crate::TextModel::encode).
    pub(crate) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        let [before, after] = if special { self.around } else { [None; 2] };
        let mut ids: Vec<u32> = before.into_iter().collect();
        fragments(self.added.as_ref(), text, &mut |fragment| -> Result<(), TextError> {
            match fragment {
                Fragment::Text(text) => self.lattice.encode(&self.normal(text)?, &mut ids),
                Fragment::Token(id) => ids.push(id),
            }
            Ok(())
        })?;
        ids.extend(after);
        Ok(ids)
    }

    /// The text as the vocabulary writes it.
    fn normal(&self, text: &str) -> Result<String, TextError> {
        let mut normal = String::with_capacity(text.len() + text.len() / 4);
        let (mut has_begun, mut in_word) = (false, false);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.charsmap.as_ref().and_then(|map| map.normal(rest.as_bytes()));
            let (piece, len) = match found.filter(|(_, len)| rest.is_char_boundary(*len)) {
                Some((bytes, len)) => (std::str::from_utf8(bytes).ok(), len),
                None => (rest.get(..first.len_utf8()), first.len_utf8()),
            };
            let piece = piece.ok_or_else(|| {
                TextError::Encode("the map of characters is not UTF-8".to_owned())
            })?;
            for c in piece.chars() {
                if c == ' ' {
                    in_word = false;
                    if !self.joins_spaces {
                        normal.push_str(SPACE);
                    }
                    continue;
                }
                if !in_word && (self.joins_spaces || self.space_prefix && !has_begun) {
                    normal.push_str(SPACE);
                    has_begun = true;
                }
                in_word = true;
                normal.push(c);
            }
            rest = &rest[len..];
        }
        Ok(normal)
    }
}

/// Tokens and their scores.
#[derive(Debug)]
pub(crate) struct Lattice {
    /// By text.
    tokens: Vec<Token>,
    /// Where the tokens that begin with each byte lie.
    starts: [usize; 257],
    unk: u32,
    unk_score: f64,
}

#[derive(Debug)]
struct Token {
    text: Box<[u8]>,
    id: u32,
    score: f64,
}

/// The best way to a place in the text: its last token, where that began, the whole score.
#[derive(Clone, Copy)]
struct Best {
    id: u32,
    start: usize,
    score: f64,
}

impl Lattice {
    /// Texts, ids and scores; `worst` is the lowest score of an ordinary token.
    pub(crate) fn new<'a>(
        tokens: impl Iterator<Item = (&'a [u8], u32, f64)>,
        unk: u32,
        worst: f64,
    ) -> Self {
        let mut tokens: Vec<Token> =
            tokens.map(|(text, id, score)| Token { text: text.into(), id, score }).collect();
        tokens.sort_by(|a, b| a.text.cmp(&b.text));
        let starts = std::array::from_fn(|byte| {
            tokens.partition_point(|token| usize::from(token.text[0]) < byte)
        });
        Self { tokens, starts, unk, unk_score: worst - UNKNOWN_PENALTY }
    }

    /// Appends the ids of a text.
    fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let nothing = Best { id: self.unk, start: 0, score: f64::NEG_INFINITY };
        let mut best = vec![nothing; text.len() + 1];
        best[0].score = 0.0;
        for (start, c) in text.char_indices() {
            let here = best[start].score;
            let mut has_char = false;
            let mut offer = |len: usize, id: u32, score: f64| {
                let end = &mut best[start + len];
                if here + score > end.score {
                    *end = Best { id, start, score: here + score };
                }
            };
            self.each_prefix(&text.as_bytes()[start..], &mut |token| {
                has_char |= token.text.len() == c.len_utf8();
                offer(token.text.len(), token.id, token.score);
            });
            if !has_char {
                offer(c.len_utf8(), self.unk, self.unk_score);
            }
        }
        let first = ids.len();
        let mut end = text.len();
        while end > 0 {
            let Best { id, start, .. } = best[end];
            // A run of unknown characters is one token.
            if id != self.unk || ids.len() == first || ids.last() != Some(&self.unk) {
                ids.push(id);
            }
            end = start;
        }
        ids[first..].reverse();
    }

    /// The tokens that a text begins with, the shortest first.
    fn each_prefix(&self, text: &[u8], each: &mut dyn FnMut(&Token)) {
        let Some(&first) = text.first() else { return };
        let (mut low, mut high) =
            (self.starts[usize::from(first)], self.starts[usize::from(first) + 1]);
        // All of these share the first `len` bytes with the text.
        for len in 1..=text.len() {
            let Some(token) = self.tokens[low..high].first() else { return };
            if token.text.len() == len {
                each(token);
                low += 1;
            }
            let Some(next) = text.get(len) else { return };
            let range = &self.tokens[low..high];
            high = low + range.partition_point(|token| token.text[len] <= *next);
            low += range.partition_point(|token| token.text[len] < *next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lattice;

    fn ids(text: &str) -> Vec<u32> {
        let tokens: [(&[u8], u32, f64); 5] = [
            (b"a", 1, -2.0),
            (b"b", 2, -2.0),
            (b"ab", 3, -3.0),
            (b"abc", 4, -9.0),
            (b"ba", 5, -1.0),
        ];
        let lattice = Lattice::new(tokens.into_iter(), 0, -9.0);
        let mut ids = vec![0];
        lattice.encode(text, &mut ids);
        ids.split_off(1)
    }

    #[test]
    fn the_likeliest_tokens_win() {
        assert_eq!(ids("ab"), [3]);
        assert_eq!(ids("aba"), [1, 5]);
        assert_eq!(ids("abc"), [4]);
        assert_eq!(ids("ébxyb"), [0, 2, 0, 2]);
        assert_eq!(ids("xy"), [0]);
        assert_eq!(ids(""), [0u32; 0]);
    }
}
