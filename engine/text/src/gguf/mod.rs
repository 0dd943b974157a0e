//! Builds a tokenizer from a GGUF file's metadata. Invariant: token ids equal llama.cpp's; what we
//! cannot reproduce exactly (an unknown model or pre-tokenizer) is an error, never a guess.
//!
//! Source of the rules: llama.cpp `src/llama-vocab.cpp` and the GGUF specification.

mod bpe;
mod end_of_turn;
mod pre;
mod spm;

use std::borrow::Cow;
use std::collections::HashMap;

use ahash::RandomState;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::limits::{MAX_TOKEN_BYTES, MAX_VOCAB_SIZE};
use crate::model::{Parts, TextModel, Tokens};
use crate::pieces::Pieces;
use crate::{TextError, chat::ChatTemplate};

/// `tokenizer.ggml.token_type` of ordinary text.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// The tokenizer fields of a GGUF file, as plain data. Keys are under `tokenizer.ggml.`.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab<'a> {
    /// `model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE by score).
    pub model: String,
    /// `pre`: the rule that splits text into words; `gpt2` only.
    pub pre: Option<String>,
    /// `tokens`, by id.
    pub tokens: Vec<Cow<'a, str>>,
    /// `scores`, by id; `llama` needs them.
    pub scores: Vec<f32>,
    /// `token_type`, by id; empty means all normal.
    pub token_types: Vec<i32>,
    /// `merges`, best first; `gpt2` needs them.
    pub merges: Vec<Cow<'a, str>>,
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
    pub fn from_gguf(mut vocab: GgufVocab<'_>) -> Result<Self, TextError> {
        vocab.check()?;
        let (vocab, ends) = Checked::new(&vocab)?;
        let (tokens, pieces) = match vocab.fields.model.as_str() {
            "gpt2" => {
                let (mut bpe, add_bos) = bpe::build(&vocab)?;
                bpe.around = vocab.around(add_bos)?;
                (Tokens::Bpe(Box::new(bpe)), vocab.byte_level_pieces()?)
            }
            "llama" => {
                let mut tokenizer = spm::build(&vocab)?;
                add_special_tokens(&mut tokenizer, &vocab)?;
                add_template(&mut tokenizer, vocab.around(true)?)?;
                let pieces = Pieces::of(&tokenizer)?;
                (Tokens::Library(Box::new(tokenizer)), pieces)
            }
            other => {
                let problem = format!("`{other}` is not supported; known are gpt2 and llama");
                return Err(field("model", problem));
            }
        };
        TextModel::new(Parts { tokens, pieces, eos: ends, template: vocab.template() })
    }
}

impl GgufVocab<'_> {
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
                *token = format!("[EMPTY_{id}]").into();
            }
        }
        Ok(())
    }
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
        let ends = end_of_turn::mark(&ids, &mut kinds, fields.eos);
        Ok((Self { fields, ids, kinds }, ends))
    }

    /// Tokens found in a text as they are written, and whether they are special.
    fn added(&self) -> impl Iterator<Item = (u32, &'a str, bool)> {
        let tokens = self.fields.tokens.iter().zip(&self.kinds).zip(0..);
        tokens.filter_map(|((token, kind), id)| match *kind {
            CONTROL | UNKNOWN => Some((id, &**token, true)),
            USER_DEFINED => Some((id, &**token, false)),
            _ => None,
        })
    }

    fn byte_level_pieces(&self) -> Result<Pieces, TextError> {
        let tokens = self.fields.tokens.iter().zip(&self.kinds);
        Pieces::byte_level(tokens.map(|(token, kind)| match *kind {
            CONTROL | UNKNOWN => (&**token, true, true),
            kind => (&**token, kind == USER_DEFINED, false),
        }))
    }

    /// What to put before and after a text; `add_bos` where the file does not say.
    fn around(&self, add_bos: bool) -> Result<[Option<u32>; 2], TextError> {
        let GgufVocab { add_eos, bos, eos, .. } = *self.fields;
        Ok([wants("bos", self.fields.add_bos, add_bos, bos)?, wants("eos", add_eos, false, eos)?])
    }

    fn template(&self) -> Option<ChatTemplate> {
        let GgufVocab { bos, eos, unk, pad, .. } = *self.fields;
        let name = |id: Option<u32>| Some(self.fields.tokens.get(id? as usize)?.to_string());
        let variables = [("bos_token", bos), ("eos_token", eos), ("unk_token", unk)];
        self.fields.chat_template.as_ref().map(|source| ChatTemplate {
            default: source.clone(),
            tool_use: None,
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

/// Control and user-defined tokens are found in the text before anything else looks at it.
fn add_special_tokens(tokenizer: &mut Tokenizer, vocab: &Checked<'_>) -> Result<(), TextError> {
    let added = vocab
        .added()
        .map(|(_, token, special)| AddedToken::from(token.to_owned(), special).normalized(false));
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
