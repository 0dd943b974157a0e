//! One text, or two that an encoder reads together, with the tokens that the model puts around and
//! between them: `[CLS] a [SEP] b [SEP]`, `<s> a </s></s> b </s>`.
//!
//! Invariant: what is cut are the texts, never the tokens around them; the work is linear in what
//! is given, however little of it is left.

use tokenizers::{Encoding, Token, Tokenizer};

use crate::TextError;
use crate::model::{TextModel, Tokens};

/// Stand for the texts when a tokenizer is asked what it puts around them; no token has such an id.
const FIRST: u32 = u32::MAX;
const SECOND: u32 = u32::MAX - 1;

/// Of a text that is too long, which end is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Its beginning.
    #[default]
    Start,
    /// Its end.
    End,
}

/// What is cut, to what length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of all together. Of two texts the longer one is cut first.
    pub max_tokens: Option<usize>,
    /// Tokens of the second text, cut before that.
    pub max_second: Option<usize>,
    /// Which end is left.
    pub keep: Keep,
}

/// What an encoder reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framed {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// Which of the two texts each belongs to, as the tokenizer says; empty if all are 0.
    pub type_ids: Vec<u8>,
    /// Where the first text begins.
    pub first_at: usize,
}

/// A form: tokens, and places for texts, each with its type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame(Vec<(u32, u8)>);

/// How one text is framed, and how two are, if they can be.
#[derive(Debug)]
pub(crate) struct Frames {
    one: Frame,
    two: Option<Frame>,
}

impl Frames {
    pub(crate) fn of(tokens: &Tokens) -> Self {
        match tokens {
            Tokens::Library(tokenizer) => {
                let plain = || Frame(vec![(FIRST, 0)]);
                let one = library(tokenizer, false).unwrap_or_else(plain);
                Self { one, two: library(tokenizer, true) }
            }
            // As BERT has it: a type for each text.
            Tokens::WordPiece(wordpiece) => {
                let [before, after] = wordpiece.around;
                let one = vec![(before, 0), (FIRST, 0), (after, 0)];
                let two = [one.clone(), vec![(SECOND, 1), (after, 1)]].concat();
                Self { one: Frame(one), two: Some(Frame(two)) }
            }
            Tokens::Unigram(unigram) => Self::around(unigram.around),
            Tokens::Bpe(bpe) => Self::around(bpe.around),
        }
    }

    /// As RoBERTa and llama.cpp have it: the end, twice, parts two texts. Without an end nothing
    /// does.
    fn around([before, after]: [Option<u32>; 2]) -> Self {
        let end = after.map(|after| (after, 0));
        let start = before.map(|before| (before, 0)).into_iter().chain([(FIRST, 0)]);
        let one: Vec<_> = start.chain(end).collect();
        let two = end.map(|end| Frame([one.clone(), vec![end, (SECOND, 0), end]].concat()));
        Self { one: Frame(one), two }
    }
}

/// What the library puts around; `None` if it does not say.
fn library(tokenizer: &Tokenizer, is_pair: bool) -> Option<Frame> {
    let of = |id: u32, type_id: u32| {
        let token = Token { id, value: String::new(), offsets: (0, 0) };
        Encoding::from_tokens(vec![token], type_id)
    };
    let second = is_pair.then(|| of(SECOND, 1));
    let framed = tokenizer.post_process(of(FIRST, 0), second, true).ok()?;
    let types = framed.get_type_ids().iter().map(|id| u8::try_from(*id).ok());
    let slots = framed.get_ids().iter().zip(types).map(|(id, kind)| Some((*id, kind?)));
    let slots: Vec<_> = slots.collect::<Option<_>>()?;
    let count = |text: u32| slots.iter().filter(|(id, _)| *id == text).count();
    ((count(FIRST), count(SECOND)) == (1, usize::from(is_pair))).then_some(Frame(slots))
}

impl TextModel {
    /// Puts the model's own tokens around a text, or around and between two, whose tokens are
    /// those of [`encode`](Self::encode) without special tokens.
    ///
    /// # Errors
    /// [`TextError::NoPairs`] for two texts, if the tokenizer does not say how they are put
    /// together.
    pub fn frame(
        &self,
        first: &[u32],
        second: Option<&[u32]>,
        cut: Cut,
    ) -> Result<Framed, TextError> {
        let frames = self.frames();
        let (frame, second) = match second {
            None => (&frames.one, &[][..]),
            Some(second) => (frames.two.as_ref().ok_or(TextError::NoPairs)?, second),
        };
        let second = kept(second, cut.max_second.unwrap_or(usize::MAX), cut.keep);
        let num_texts = frame.0.iter().filter(|(id, _)| [FIRST, SECOND].contains(id)).count();
        let num_around = frame.0.len() - num_texts;
        let max = cut.max_tokens.map_or(usize::MAX, |max| max.saturating_sub(num_around));
        // The library stops reading each text there, which decides who gets an odd token.
        let whole = cut.max_tokens.unwrap_or(usize::MAX);
        let (first, second) = (kept(first, whole, cut.keep), kept(second, whole, cut.keep));
        let (max_first, max_second) = shares(first.len(), second.len(), max);
        let (first, second) =
            (kept(first, max_first, cut.keep), kept(second, max_second, cut.keep));
        Ok(fill(frame, first, second))
    }
}

/// How much of two texts is left of `max` tokens: all of the shorter one as long as the other
/// can make room, and half each where it cannot (the `tokenizers` library's `longest_first`).
fn shares(first: usize, second: usize, max: usize) -> (usize, usize) {
    if first.saturating_add(second) <= max {
        return (first, second);
    }
    let (shorter, half) = (first.min(second), max / 2);
    // An odd token goes to the longer one.
    let shorter = shorter.min(half);
    let longer = max - shorter;
    if first <= second { (shorter, longer) } else { (longer, shorter) }
}

fn kept(tokens: &[u32], max: usize, keep: Keep) -> &[u32] {
    let len = tokens.len().min(max);
    match keep {
        Keep::Start => &tokens[..len],
        Keep::End => &tokens[tokens.len() - len..],
    }
}

fn fill(frame: &Frame, first: &[u32], second: &[u32]) -> Framed {
    let mut framed = Framed::default();
    for slot in &frame.0 {
        let (id, kind) = *slot;
        let tokens = match id {
            FIRST => first,
            SECOND => second,
            _ => std::slice::from_ref(&slot.0),
        };
        if id == FIRST {
            framed.first_at = framed.tokens.len();
        }
        framed.tokens.extend_from_slice(tokens);
        framed.type_ids.resize(framed.tokens.len(), kind);
    }
    if framed.type_ids.iter().all(|kind| *kind == 0) {
        framed.type_ids.clear();
    }
    framed
}
