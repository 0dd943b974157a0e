//! Byte-level BPE: from text to token ids by a family's splits and a vocabulary's merges.
//!
//! Invariant: the ids are those of the `tokenizers` library for the same vocabulary, merges and
//! patterns (a property test compares them). That library's tables of strings take five times as
//! long to fill, and a server that starts waits for them.
//!
//! Source: Sennrich et al. 2016, on bytes as in GPT-2 (Radford et al. 2019).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use ahash::RandomState;
use aho_corasick::{AhoCorasick, MatchKind};
use fancy_regex::Regex;

use crate::TextError;

/// What follows from two neighbours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Merge {
    /// Lower goes first.
    pub(crate) rank: u32,
    /// The token that both become.
    pub(crate) id: u32,
}

/// Merges by the ids of left and right.
pub(crate) type Merges = HashMap<(u32, u32), Merge, RandomState>;

/// A byte-level BPE tokenizer.
#[derive(Debug)]
pub(crate) struct Bpe {
    /// Tokens that are found in a text before anything else looks at it, the longest first.
    pub(crate) added: Option<Added>,
    /// Put a space before each text between added tokens.
    pub(crate) space_prefix: bool,
    /// Each makes its matches pieces of their own, in the pieces that the one before left.
    pub(crate) splits: Vec<Regex>,
    /// The token of each byte; a byte without one is left out.
    pub(crate) bytes: [Option<u32>; 256],
    pub(crate) merges: Merges,
    /// Pieces that are a token whatever the merges say.
    pub(crate) whole: HashMap<Box<[u8]>, u32, RandomState>,
    /// What to put before and after a text when special tokens are asked for.
    pub(crate) around: [Option<u32>; 2],
}

/// Tokens to find in a text as they are written.
#[derive(Debug)]
pub(crate) struct Added {
    texts: AhoCorasick,
    /// The id of each text.
    ids: Vec<u32>,
}

impl Added {
    /// None if there are no tokens.
    pub(crate) fn new(tokens: &[(&str, u32)]) -> Result<Option<Self>, aho_corasick::BuildError> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let texts = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|(text, _)| text))?;
        Ok(Some(Self { texts, ids: tokens.iter().map(|(_, id)| *id).collect() }))
    }
}

/// One part of a piece while it is merged; its neighbours by index.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    previous: u32,
    next: u32,
}

/// No neighbour, or no longer a part.
const NONE: u32 = u32::MAX;

/// A merge that was possible when it was noted: by rank, then from the left.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Possible {
    rank: u32,
    at: u32,
    left: u32,
    right: u32,
    id: u32,
}

/// Memory that the pieces of a text share.
#[derive(Default)]
struct Scratch {
    parts: Vec<Part>,
    possible: BinaryHeap<Reverse<Possible>>,
}

impl Bpe {
    /// Token ids of a text; see [`TextModel::encode`](crate::TextModel::encode).
    pub(crate) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        let [before, after] = if special { self.around } else { [None; 2] };
        let mut ids = Vec::with_capacity(text.len() / 4 + 2);
        let mut scratch = Scratch::default();
        ids.extend(before);
        let mut start = 0;
        if let Some(added) = &self.added {
            for found in added.texts.find_iter(text) {
                self.encode_plain(&text[start..found.start()], &mut scratch, &mut ids)?;
                ids.push(added.ids[found.pattern().as_usize()]);
                start = found.end();
            }
        }
        self.encode_plain(&text[start..], &mut scratch, &mut ids)?;
        ids.extend(after);
        Ok(ids)
    }

    /// A text without added tokens.
    fn encode_plain(
        &self,
        text: &str,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        let mut each = |piece: &str| self.encode_piece(piece.as_bytes(), scratch, ids);
        let split = match self.space_prefix && !text.is_empty() {
            true => split(&format!(" {text}"), &self.splits, &mut each),
            false => split(text, &self.splits, &mut each),
        };
        // Its words may quote the text.
        split.map_err(|_| TextError::Encode("the text takes too long to split".to_owned()))
    }

    fn encode_piece(&self, piece: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if let Some(id) = self.whole.get(piece) {
            ids.push(*id);
            return;
        }
        let Scratch { parts, possible } = scratch;
        parts.clear();
        for id in piece.iter().filter_map(|byte| self.bytes[usize::from(*byte)]) {
            let at = parts.len() as u32;
            parts.push(Part { id, previous: at.checked_sub(1).unwrap_or(NONE), next: at + 1 });
        }
        let Some(last) = parts.last_mut() else { return };
        last.next = NONE;
        for at in 1..parts.len() as u32 {
            self.note(parts, at - 1, possible);
        }
        while let Some(Reverse(merge)) = possible.pop() {
            self.merge(parts, &merge, possible);
        }
        ids.extend(parts.iter().map(|part| part.id).filter(|id| *id != NONE));
    }

    /// Notes the merge of part `at` with the next, if there is one.
    fn note(&self, parts: &[Part], at: u32, possible: &mut BinaryHeap<Reverse<Possible>>) {
        let Part { id: left, next, .. } = parts[at as usize];
        let Some(Part { id: right, .. }) = parts.get(next as usize).copied() else { return };
        if let Some(&Merge { rank, id }) = self.merges.get(&(left, right)) {
            possible.push(Reverse(Possible { rank, at, left, right, id }));
        }
    }

    /// Merges two parts if they are still what they were, and notes what that makes possible.
    fn merge(
        &self,
        parts: &mut [Part],
        merge: &Possible,
        possible: &mut BinaryHeap<Reverse<Possible>>,
    ) {
        let at = merge.at as usize;
        let Part { id, previous, next } = parts[at];
        let Some(right) = parts.get(next as usize).copied() else { return };
        if id != merge.left || right.id != merge.right {
            return;
        }
        parts[next as usize].id = NONE;
        parts[at] = Part { id: merge.id, previous, next: right.next };
        if let Some(after) = parts.get_mut(right.next as usize) {
            after.previous = merge.at;
        }
        self.note(parts, merge.at, possible);
        if previous != NONE {
            self.note(parts, previous, possible);
        }
    }
}

/// Cuts a text by the patterns and hands on the pieces in order, none of them empty.
fn split(
    text: &str,
    patterns: &[Regex],
    each: &mut dyn FnMut(&str),
) -> Result<(), Box<fancy_regex::Error>> {
    if text.is_empty() {
        return Ok(());
    }
    let Some((first, rest)) = patterns.split_first() else {
        each(text);
        return Ok(());
    };
    let mut start = 0;
    for found in first.find_iter(text) {
        let found = found.map_err(Box::new)?;
        split(&text[start..found.start()], rest, each)?;
        split(found.as_str(), rest, each)?;
        start = found.end();
    }
    split(&text[start..], rest, each)
}
