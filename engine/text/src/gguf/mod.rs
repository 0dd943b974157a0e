//! Builds a tokenizer from a GGUF file's metadata. Invariant: token ids equal llama.cpp's; what we
//! cannot reproduce exactly (an unknown model or pre-tokenizer) is an error, never a guess.
//!
//! Source of the rules: llama.cpp `src/llama-vocab.cpp` and the GGUF specification.

mod bpe;
mod end_of_turn;
mod pre;
mod spm;

use std::collections::HashSet;

use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::limits::{MAX_TOKEN_BYTES, MAX_VOCAB_SIZE};
use crate::model::{Parts, TextModel};
use crate::{TextError, chat::ChatTemplate};

/// `tokenizer.ggml.token_type` of ordinary text.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// The tokenizer fields of a GGUF file, as plain data. Keys are under `tokenizer.ggml.`.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab {
    /// `model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE by score).
    pub model: String,
    /// `pre`: the rule that splits text into words; `gpt2` only.
    pub pre: Option<String>,
    /// `tokens`, by id.
    pub tokens: Vec<String>,
    /// `scores`, by id; `llama` needs them.
    pub scores: Vec<f32>,
    /// `token_type`, by id; empty means all normal.
    pub token_types: Vec<i32>,
    /// `merges`, best first; `gpt2` needs them.
    pub merges: Vec<String>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unk: Option<u32>,
    /// `padding_token_id`.
    pub pad: Option<u32>,
    /// `add_bos_token`; without it the tokenizer's kind decides.
    pub add_bos: Option<bool>,
    /// `add_eos_token`; default false.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`; without it the tokenizer's kind decides.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
}

impl TextModel {
    /// Builds the tokenizer and chat template that a GGUF file describes.
    ///
    /// # Errors
    /// A field is missing, contradicts another, or asks for what we do not support.
    pub fn from_gguf(vocab: GgufVocab) -> Result<Self, TextError> {
        let mut vocab = vocab;
        vocab.check()?;
        let ends = end_of_turn::mark(&mut vocab);
        let (mut tokenizer, add_bos) = match vocab.model.as_str() {
            "gpt2" => bpe::build(&vocab)?,
            "llama" => (spm::build(&vocab)?, true),
            other => {
                let problem = format!("`{other}` is not supported; known are gpt2 and llama");
                return Err(field("model", problem));
            }
        };
        add_special_tokens(&mut tokenizer, &vocab)?;
        let add_bos = vocab.wants("bos", vocab.add_bos, add_bos, vocab.bos)?;
        let add_eos = vocab.wants("eos", vocab.add_eos, false, vocab.eos)?;
        add_template(&mut tokenizer, [add_bos, add_eos])?;
        let name = |id: Option<u32>| id.and_then(|id| vocab.tokens.get(id as usize).cloned());
        let template = vocab.chat_template.as_ref().map(|source| ChatTemplate {
            default: source.clone(),
            tool_use: None,
            variables: [("bos_token", vocab.bos), ("eos_token", vocab.eos)]
                .into_iter()
                .chain([("unk_token", vocab.unk), ("pad_token", vocab.pad)])
                .filter_map(|(key, id)| Some((key.to_owned(), name(id)?)))
                .collect(),
        });
        TextModel::new(Parts { tokenizer, eos: ends, template })
    }
}

impl GgufVocab {
    fn check(&mut self) -> Result<(), TextError> {
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
                *token = format!("[EMPTY_{id}]");
            }
        }
        let mut seen = HashSet::with_capacity(count);
        match self.tokens.iter().position(|token| !seen.insert(token.as_str())) {
            Some(id) => Err(field("tokens", format!("token {id} is there twice"))),
            None => Ok(()),
        }
    }

    fn kind(&self, id: usize) -> i32 {
        self.token_types.get(id).copied().unwrap_or(NORMAL)
    }

    /// The token to put at an end of the text, if the file (or else `default`) asks for it.
    fn wants(
        &self,
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
}

/// Control and user-defined tokens are found in the text before anything else looks at it.
fn add_special_tokens(tokenizer: &mut Tokenizer, vocab: &GgufVocab) -> Result<(), TextError> {
    let added = vocab.tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = match vocab.kind(id) {
            CONTROL | UNKNOWN => true,
            USER_DEFINED => false,
            _ => return None,
        };
        Some(AddedToken::from(token.clone(), special).normalized(false))
    });
    let added: Vec<AddedToken> = added.collect();
    tokenizer.add_special_tokens(added).map_err(|err| field("token_type", err.to_string()))?;
    Ok(())
}

/// Puts the given tokens `[before, after]` each text when special tokens are asked for.
pub(crate) fn add_template(
    tokenizer: &mut Tokenizer,
    around: [Option<u32>; 2],
) -> Result<(), TextError> {
    let bad = |err: String| TextError::field("add_bos_token", err);
    // Names of our own: token texts may hold characters that the template language reserves.
    let names = ["BEFORE", "AFTER"];
    let mut special = Vec::new();
    for (name, id) in names.into_iter().zip(around) {
        let Some(id) = id else { continue };
        let text = tokenizer.id_to_token(id).unwrap_or_default();
        let token = tokenizers::processors::template::SpecialToken::new(
            name.to_owned(),
            vec![id],
            vec![text],
        );
        special.push(token.map_err(|err| bad(err.to_string()))?);
    }
    let [before, after] = around.map(|id| id.is_some());
    let single = [before.then_some(names[0]), Some("$A"), after.then_some(names[1])];
    let single: Vec<&str> = single.into_iter().flatten().collect();
    let template = TemplateProcessing::builder()
        .try_single(single.join(" "))
        .map_err(bad)?
        .special_tokens(special)
        .build()
        .map_err(|err| bad(err.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}

fn field(name: &str, problem: impl Into<String>) -> TextError {
    TextError::field(&format!("tokenizer.ggml.{name}"), problem)
}
