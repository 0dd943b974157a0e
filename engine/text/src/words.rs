//! Tokens as words: what is heard is told word by word.
//!
//! openai-whisper's rules, which transformers has too: a token begins a word where its text begins
//! with a space or is punctuation; in languages without spaces each character that is whole does;
//! quotes and brackets that open belong to the word after them, other punctuation to that before.
//! Invariant: the words together are the tokens' text, and each token is in one word.

use std::ops::Range;

use crate::TextModel;

/// Belong to the word after them, where a space comes before.
const OPENING: &str = "\"'“¡¿([{-";
/// Belong to the word before them, unless that ends with a space.
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// What stands for bytes that are no character.
const BROKEN: char = '\u{fffd}';

/// A word, and the places of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// With the space before it.
    pub text: String,
    /// Never empty.
    pub tokens: Range<usize>,
}

impl TextModel {
    /// The words of text tokens, of a language that has spaces between them or has not.
    pub fn words(&self, ids: &[u32], has_spaces: bool) -> Vec<Word> {
        let mut words = self.characters(ids);
        if has_spaces {
            words = joined(words);
        }
        open(&mut words);
        close(&mut words);
        words.retain(|word| !word.text.is_empty());
        words
    }

    /// Tokens as they become whole characters.
    fn characters(&self, ids: &[u32]) -> Vec<Word> {
        let whole: Vec<char> = self.decode(ids, true).chars().collect();
        let (mut words, mut first, mut offset) = (Vec::new(), 0, 0);
        for end in 1..=ids.len() {
            let text = self.decode(&ids[first..end], true);
            let broken = text.chars().position(|c| c == BROKEN);
            // What is broken in the whole text will not become whole.
            let is_whole =
                broken.is_none_or(|at| whole.get(offset + at).is_none_or(|c| *c == BROKEN));
            if is_whole {
                offset += text.chars().count();
                words.push(Word { text, tokens: first..end });
                first = end;
            }
        }
        words
    }
}

/// Without white space at its ends, to which Python counts separators of files and records.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn joined(parts: Vec<Word>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for part in parts {
        let begins = part.text.starts_with(' ') || PUNCTUATION.contains(bare(&part.text));
        match words.last_mut() {
            Some(last) if !begins => {
                last.text += &part.text;
                last.tokens.end = part.tokens.end;
            }
            _ => words.push(part),
        }
    }
    words
}

/// Gives what opens to the word after it; what is left of it has no text.
fn open(words: &mut [Word]) {
    let last = words.len().saturating_sub(1);
    let mut to = last;
    for from in (0..last).rev() {
        let text = &words[from].text;
        if text.starts_with(' ') && OPENING.contains(bare(text)) {
            let text = std::mem::take(&mut words[from].text);
            words[to].text.insert_str(0, &text);
            words[to].tokens.start = words[from].tokens.start;
        } else {
            to = from;
        }
    }
}

/// Gives what closes to the word before it.
fn close(words: &mut [Word]) {
    let mut to = 0;
    for from in 1..words.len() {
        let ends_open = words[to].text.ends_with(' ');
        if !ends_open && CLOSING.contains(words[from].text.as_str()) {
            let text = std::mem::take(&mut words[from].text);
            if !text.is_empty() {
                words[to].text += &text;
                words[to].tokens.end = words[from].tokens.end;
            }
        } else {
            to = from;
        }
    }
}
