//! What a GGUF file says of its tokenizer. Invariant: once checked, lists are as long as they must
//! be, ids are within the vocabulary, and no token is empty or over the limit.

use std::borrow::Cow;

use super::field;
use crate::TextError;
use crate::limits::{MAX_TOKEN_BYTES, MAX_VOCAB_SIZE};

/// The tokenizer fields of a GGUF file, as plain data. Keys are under `tokenizer.ggml.`.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab<'a> {
    /// `model`: `gpt2` (byte-level BPE), `gemma4` (the same on characters), `llama` (SentencePiece
    /// BPE by score), `t5` (SentencePiece unigram) or `bert` (WordPiece).
    pub model: String,
    /// `general.name` of the file: that of Phi-3 decides about white space after special tokens.
    pub name: Option<String>,
    /// `pre`: the rule that splits text into words; `gpt2` only.
    pub pre: Option<String>,
    /// `tokens`, by id.
    pub tokens: Vec<Cow<'a, str>>,
    /// `scores`, by id; `llama` and `t5` need them.
    pub scores: Vec<f32>,
    /// `token_type`, by id; empty means all normal.
    pub token_types: Vec<i32>,
    /// `merges`, best first; `gpt2` and `gemma4` need them.
    pub merges: Vec<Cow<'a, str>>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unk: Option<u32>,
    /// `padding_token_id`.
    pub pad: Option<u32>,
    /// `seperator_token_id` (spelt so): what `bert` puts after a text.
    pub sep: Option<u32>,
    /// `eot_token_id`: ends a turn, and so a generation.
    pub eot: Option<u32>,
    /// `eom_token_id`: ends a message, and so a generation.
    pub eom: Option<u32>,
    /// `add_bos_token`; without it the tokenizer's kind decides.
    pub add_bos: Option<bool>,
    /// `add_eos_token`; without it the tokenizer's kind decides.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`; without it the tokenizer's kind decides.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`; `t5` only, default false.
    pub remove_extra_whitespaces: Option<bool>,
    /// `precompiled_charsmap`; `t5` only, empty if there is none.
    pub charsmap: Vec<u8>,
    /// `normalizer.lowercase`; `bert` only, default true.
    pub lowercase: Option<bool>,
    /// `normalizer.strip_accents`; `bert` only, by default as `lowercase`.
    pub strip_accents: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// `tokenizer.chat_template.NAME`, by name.
    pub named_templates: Vec<(String, String)>,
}

impl GgufVocab<'_> {
    pub(super) fn check(&mut self) -> Result<(), TextError> {
        let count = self.tokens.len();
        if count == 0 || count > MAX_VOCAB_SIZE {
            let problem = format!("has {count} tokens; 1 to {MAX_VOCAB_SIZE} are possible");
            return Err(field("tokens", problem));
        }
        for (name, len) in [("scores", self.scores.len()), ("token_type", self.token_types.len())] {
            if len != 0 && len != count {
                return Err(field(name, format!("has {len} entries for {count} tokens")));
            }
        }
        for (name, id) in [
            ("bos_token_id", self.bos),
            ("eos_token_id", self.eos),
            ("unknown_token_id", self.unk),
            ("padding_token_id", self.pad),
            ("seperator_token_id", self.sep),
            ("eot_token_id", self.eot),
            ("eom_token_id", self.eom),
        ] {
            if let Some(id) = id.filter(|&id| id as usize >= count) {
                return Err(field(name, format!("is {id}, but there are {count} tokens")));
            }
        }
        for (id, token) in self.tokens.iter_mut().enumerate() {
            if token.len() > MAX_TOKEN_BYTES {
                return Err(field("tokens", format!("token {id} has {} bytes", token.len())));
            }
            if token.is_empty() {
                // As llama.cpp does: an empty token can never be met, but keeps its id.
                *token = format!("[EMPTY_{id}]").into();
            }
        }
        Ok(())
    }
}
