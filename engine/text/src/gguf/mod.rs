//! Builds a tokenizer from a GGUF file's metadata. Invariant: token ids equal llama.cpp's; what we
//! cannot reproduce exactly (an unknown model or pre-tokenizer) is an error, never a guess.
//!
//! Source of the rules: llama.cpp `src/llama-vocab.cpp` and the GGUF specification.

mod bpe;
mod end_of_turn;
mod fields;
mod patterns;
mod pre;
mod spm;
mod unigram;
mod wordpiece;

use std::collections::HashMap;

use ahash::RandomState;

pub use fields::GgufVocab;

use crate::added::AddedToken;
use crate::model::{Parts, TextModel, Tokens};
use crate::pieces::{Pieces, SPACE, fallback_byte};
use crate::{TextError, chat::ChatTemplate};

/// `tokenizer.ggml.token_type` of ordinary text.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// What `tokenizer.ggml.model` may be, and what we know of but do not read.
const MODELS: &str = "gpt2, gemma4, llama, t5 and bert";
const OTHER_MODELS: [(&str, &str); 6] = [
    ("rwkv", "RWKV's tries of bytes"),
    ("plamo2", "PLaMo's tables of suffixes"),
    ("hybriddna", "DNA beside text"),
    ("whitespace", "words parted by white space"),
    ("no_vocab", "a file without a vocabulary"),
    ("none", "a file without a vocabulary"),
];

impl TextModel {
    /// Builds the tokenizer and chat template that a GGUF file describes.
    ///
    /// # Errors
    /// A field is missing, contradicts another, or asks for what we do not support.
    pub fn from_gguf(mut vocab: GgufVocab<'_>) -> Result<Self, TextError> {
        vocab.check()?;
        let (vocab, ends) = Checked::new(&vocab)?;
        let model = vocab.fields.model.as_str();
        let (tokens, pieces) = match model {
            "gpt2" | "gemma4" => {
                let (bpe, pieces) = bpe::build(&vocab, model)?;
                (Tokens::Bpe(Box::new(bpe)), pieces)
            }
            "llama" => {
                let (bpe, pieces) = spm::build(&vocab)?;
                (Tokens::Bpe(Box::new(bpe)), pieces)
            }
            "t5" => {
                let (unigram, pieces) = unigram::build(&vocab)?;
                (Tokens::Unigram(Box::new(unigram)), pieces)
            }
            "bert" => {
                let (wordpiece, pieces) = wordpiece::build(&vocab)?;
                (Tokens::WordPiece(Box::new(wordpiece)), pieces)
            }
            other => return Err(field("model", refused(other))),
        };
        TextModel::new(Parts { tokens, pieces, eos: ends, template: vocab.template() })
    }
}

/// Why a model of tokenizing is not read.
fn refused(model: &str) -> String {
    let known = OTHER_MODELS.iter().find(|(name, _)| *name == model);
    let what = known.map(|(_, what)| format!(" ({what})")).unwrap_or_default();
    format!("`{model}`{what} is not supported; known are {MODELS}")
}

/// A vocabulary whose ids and kinds are known.
struct Checked<'a> {
    fields: &'a GgufVocab<'a>,
    ids: HashMap<&'a str, u32, RandomState>,
    /// By id.
    kinds: Vec<i32>,
}

impl<'a> Checked<'a> {
    /// The vocabulary, and the tokens that end a generation.
    fn new(fields: &'a GgufVocab<'_>) -> Result<(Self, Vec<u32>), TextError> {
        let tokens = &fields.tokens;
        let mut ids = HashMap::with_capacity_and_hasher(tokens.len(), RandomState::default());
        for (token, id) in tokens.iter().zip(0..) {
            if ids.insert(&**token, id).is_some() {
                return Err(field("tokens", format!("token {id} is there twice")));
            }
        }
        let mut kinds = fields.token_types.clone();
        kinds.resize(tokens.len(), NORMAL);
        let own: Vec<u32> = [fields.eos, fields.eot, fields.eom].into_iter().flatten().collect();
        let ends = end_of_turn::mark(&ids, &mut kinds, &own);
        Ok((Self { fields, ids, kinds }, ends))
    }

    /// Tokens found in a text as they are written; `<mask>` may take the white space before it.
    fn added(&self, mask_strips: bool) -> Vec<AddedToken<'a>> {
        let name = self.fields.name.as_deref().unwrap_or_default().to_lowercase();
        let is_phi3 = name.contains("phi-3") || name.contains("phi3");
        let tokens = self.fields.tokens.iter().zip(&self.kinds).zip(0..);
        let is_added = |kind| matches!(kind, CONTROL | UNKNOWN | USER_DEFINED);
        tokens
            .filter(|((text, kind), _)| is_added(**kind) && !text.is_empty())
            .map(|((text, _), id)| AddedToken {
                text,
                id,
                lstrip: mask_strips && text == "<mask>",
                rstrip: is_phi3 && !matches!(&**text, "<unk>" | "<s>" | "<|endoftext|>"),
            })
            .collect()
    }

    /// An id that a kind of tokenizer has by custom, if there are so many.
    fn known(&self, id: u32) -> Option<u32> {
        ((id as usize) < self.fields.tokens.len()).then_some(id)
    }

    fn byte_level_pieces(&self) -> Result<Pieces, TextError> {
        let tokens = self.fields.tokens.iter().zip(&self.kinds);
        Pieces::byte_level(tokens.map(|(token, kind)| match *kind {
            CONTROL | UNKNOWN => (&**token, true, true),
            kind => (&**token, kind == USER_DEFINED, false),
        }))
    }

    /// Tokens of characters, where `▁` is a space and `<0xE4>` a byte.
    fn sentencepiece_pieces(&self, strips_leading_space: bool) -> Result<Pieces, TextError> {
        let has_kinds = !self.fields.token_types.is_empty();
        let tokens = self.fields.tokens.iter().zip(&self.kinds);
        let pieces = tokens.map(|(token, kind)| match *kind {
            CONTROL | UNKNOWN => (token.as_bytes().to_vec(), true),
            USER_DEFINED => (token.as_bytes().to_vec(), false),
            kind => match fallback_byte(token).filter(|_| kind == BYTE || !has_kinds) {
                Some(byte) => (vec![byte], false),
                None => (token.replace(SPACE, " ").into_bytes(), false),
            },
        });
        Pieces::joined(pieces, strips_leading_space)
    }

    /// What to put before and after a text; `add_bos` where the file does not say.
    fn around(&self, add_bos: bool) -> Result<[Option<u32>; 2], TextError> {
        self.around_with([self.fields.bos, self.fields.eos], [add_bos, false])
    }

    /// The same with these tokens, and what is usual for them.
    fn around_with(
        &self,
        [bos, eos]: [Option<u32>; 2],
        [add_bos, add_eos]: [bool; 2],
    ) -> Result<[Option<u32>; 2], TextError> {
        let asked = (self.fields.add_bos, self.fields.add_eos);
        Ok([wants("bos", asked.0, add_bos, bos)?, wants("eos", asked.1, add_eos, eos)?])
    }

    fn template(&self) -> Option<ChatTemplate> {
        let GgufVocab { bos, eos, unk, pad, .. } = *self.fields;
        let name = |id: Option<u32>| Some(self.fields.tokens.get(id? as usize)?.to_string());
        let variables = [("bos_token", bos), ("eos_token", eos), ("unk_token", unk)];
        self.fields.chat_template.as_ref().map(|source| ChatTemplate {
            default: source.clone(),
            named: self.fields.named_templates.clone(),
            variables: variables
                .into_iter()
                .chain([("pad_token", pad)])
                .filter_map(|(key, id)| Some((key.to_owned(), name(id)?)))
                .collect(),
        })
    }
}

/// The token to put at an end of the text, if the file (or else `default`) asks for it.
fn wants(
    name: &str,
    asked: Option<bool>,
    default: bool,
    id: Option<u32>,
) -> Result<Option<u32>, TextError> {
    if asked == Some(true) && id.is_none() {
        let problem = format!("is true, but there is no {name}_token_id");
        return Err(field(&format!("add_{name}_token"), problem));
    }
    Ok(id.filter(|_| asked.unwrap_or(default)))
}

fn field(name: &str, problem: impl Into<String>) -> TextError {
    TextError::field(&format!("tokenizer.ggml.{name}"), problem)
}

/// The names of each rule of pre-tokenizing.
#[cfg(test)]
pub(crate) fn rule_names() -> impl Iterator<Item = &'static [&'static str]> {
    pre::RULES.iter().map(|(names, _)| *names)
}
