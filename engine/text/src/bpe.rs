//! Byte-pair encoding: from text to token ids by a family's splits and a vocabulary's merges.
//!
//! Invariant: the ids are those of the `tokenizers` library for the same vocabulary, merges and
//! patterns (a property test compares them). That library's tables of strings take five times as
//! long to fill, and a server that starts waits for them.
//!
//! Source: Sennrich et al. 2016, on bytes as in GPT-2 (Radford et al. 2019), or on characters as in
//! SentencePiece (Kudo and Richardson 2018).

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use ahash::RandomState;

use crate::TextError;
use crate::added::{Added, Fragment, fragments};
use crate::pieces::SPACE;
use crate::split::{Split, split};

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

/// What a text is before anything is merged.
#[derive(Debug)]
pub(crate) enum Symbols {
    /// The token of each byte; a byte without one is left out.
    Bytes(Box<[Option<u32>; 256]>),
    /// Tokens of characters.
    Chars(Box<Chars>),
}

/// Characters, with bytes for those that have no token.
#[derive(Debug)]
pub(crate) struct Chars {
    pub(crate) ids: HashMap<char, u32, RandomState>,
    pub(crate) bytes: [Option<u32>; 256],
    /// Stands for a run of characters that have no bytes either.
    pub(crate) unk: Option<u32>,
}

/// A tokenizer by byte-pair encoding.
#[derive(Debug)]
pub(crate) struct Bpe {
    /// Tokens that are found in a text before anything else looks at it, the longest first.
    pub(crate) added: Option<Added>,
    /// Put a space before each text between added tokens.
    pub(crate) space_prefix: bool,
    /// Spaces are [`SPACE`] in the vocabulary.
    pub(crate) escapes_spaces: bool,
    pub(crate) splits: Vec<Split>,
    pub(crate) symbols: Symbols,
    pub(crate) merges: Merges,
    /// Pieces that are a token whatever the merges say.
    pub(crate) whole: HashMap<Box<[u8]>, u32, RandomState>,
    /// What to put before and after a text when special tokens are asked for.
    pub(crate) around: [Option<u32>; 2],
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
    /// Whether the tokens of a text always cover all of it.
    pub(crate) fn keeps_all(&self) -> bool {
        let bytes = match &self.symbols {
            Symbols::Bytes(bytes) => &**bytes,
            Symbols::Chars(chars) => &chars.bytes,
        };
        bytes.iter().all(Option::is_some) && !self.added.as_ref().is_some_and(Added::drops_space)
    }

    /// Token ids of a text; see [`TextModel::encode`](crate::TextModel::encode).
    pub(crate) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        let [before, after] = if special { self.around } else { [None; 2] };
        let mut ids = Vec::with_capacity(text.len() / 4 + 2);
        let mut scratch = Scratch::default();
        ids.extend(before);
        fragments(self.added.as_ref(), text, &mut |fragment| match fragment {
            Fragment::Text(text) => self.encode_plain(text, &mut scratch, &mut ids),
            Fragment::Token(id) => {
                ids.push(id);
                Ok(())
            }
        })?;
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
        let mut text = Cow::Borrowed(text);
        if self.space_prefix {
            text = Cow::Owned(format!(" {text}"));
        }
        if self.escapes_spaces && text.contains(' ') {
            text = Cow::Owned(text.replace(' ', SPACE));
        }
        split(&text, &self.splits, &mut |piece| self.encode_piece(piece, scratch, ids))
            // Its words may quote the text.
            .map_err(|_| TextError::Encode("the text takes too long to split".to_owned()))
    }

    fn encode_piece(&self, piece: &str, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        if let Some(id) = self.whole.get(piece.as_bytes()) {
            ids.push(*id);
            return;
        }
        let Scratch { parts, possible } = scratch;
        parts.clear();
        self.symbols.each(piece, &mut |id| {
            let at = parts.len() as u32;
            parts.push(Part { id, previous: at.checked_sub(1).unwrap_or(NONE), next: at + 1 });
        });
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

impl Symbols {
    /// The tokens that a piece begins as.
    fn each(&self, piece: &str, push: &mut dyn FnMut(u32)) {
        match self {
            Self::Bytes(bytes) => {
                piece.bytes().filter_map(|byte| bytes[usize::from(byte)]).for_each(push);
            }
            Self::Chars(chars) => {
                let mut is_unknown = false;
                for c in piece.chars() {
                    is_unknown = chars.each(c, is_unknown, push);
                }
            }
        }
    }
}

impl Chars {
    /// The tokens of one character; whether it is unknown, as the one before was or not.
    fn each(&self, c: char, was_unknown: bool, push: &mut dyn FnMut(u32)) -> bool {
        if let Some(id) = self.ids.get(&c) {
            push(*id);
            return false;
        }
        let mut utf8 = [0; 4];
        let bytes = c.encode_utf8(&mut utf8).as_bytes();
        let ids = bytes.iter().map(|byte| self.bytes[usize::from(*byte)]);
        if ids.clone().all(|id| id.is_some()) {
            ids.flatten().for_each(push);
            return false;
        }
        if let Some(unk) = self.unk.filter(|_| !was_unknown) {
            push(unk);
        }
        true
    }
}
