//! The tokenizer that a GGUF file carries, as plain data.
//!
//! Invariant: one token per row of the embedding; lists beside the tokens are as long as they.

use super::metadata::{FromValue, Metadata, Value};
use crate::error::Fault;

/// A list of texts in one piece of memory: a vocabulary has a hundred thousand of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextList {
    joined: String,
    /// Text `i` ends before byte `ends[i]`.
    ends: Vec<usize>,
}

impl TextList {
    /// The texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.joined[std::mem::replace(&mut start, *end)..*end])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl FromValue<'_> for TextList {
    fn kind() -> String {
        Vec::<String>::kind()
    }

    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut list = Self::default();
        value.for_each(|element| {
            list.joined.push_str(<&str>::from_value(element)?);
            list.ends.push(list.joined.len());
            Some(())
        })?;
        Some(list)
    }
}

/// `tokenizer.ggml.*` and the chat template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufVocab {
    /// The algorithm: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), …
    pub model: String,
    /// What the model is called, `general.name`.
    pub name: Option<String>,
    /// The pre-tokenizer's name.
    pub pre: Option<String>,
    /// Text of each token.
    pub tokens: TextList,
    /// Score of each token; empty if the file has none.
    pub scores: Vec<f32>,
    /// Kind of each token (`llama_token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined,
    /// 5 unused, 6 byte); empty if the file has none.
    pub token_types: Vec<i32>,
    /// Merges of byte-level BPE, best first, each "left right"; empty if the file has none.
    pub merges: TextList,
    /// Beginning of a sequence.
    pub bos: Option<u32>,
    /// End of a sequence.
    pub eos: Option<u32>,
    /// Stands for text that no token covers.
    pub unk: Option<u32>,
    /// Fills up batches; never computed here.
    pub pad: Option<u32>,
    /// Parts two texts, and ends one in BERT's form.
    pub sep: Option<u32>,
    /// End of a turn.
    pub eot: Option<u32>,
    /// End of a message.
    pub eom: Option<u32>,
    /// Whether prompts begin with `bos`; `None` leaves it to the algorithm.
    pub add_bos: Option<bool>,
    /// Whether prompts end with `eos`; `None` leaves it to the algorithm.
    pub add_eos: Option<bool>,
    /// Whether SentencePiece puts a space before the text; `None` leaves it to the algorithm.
    pub add_space_prefix: Option<bool>,
    /// Whether SentencePiece joins white space.
    pub remove_extra_whitespaces: Option<bool>,
    /// SentencePiece's map of characters; empty if the file has none.
    pub charsmap: Vec<u8>,
    /// Whether BERT's form makes letters small.
    pub lowercase: Option<bool>,
    /// Whether BERT's form takes accents away.
    pub strip_accents: Option<bool>,
    /// Jinja template of a conversation.
    pub chat_template: Option<String>,
    /// Further templates by name, as "tool_use".
    pub named_templates: Vec<(String, String)>,
}

/// Reads the vocabulary of a model whose embedding has `vocab_size` rows.
pub fn vocab(metadata: &Metadata<'_>, vocab_size: usize) -> Result<GgufVocab, Fault> {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let tokens: TextList = metadata.require(TOKENS)?;
    if tokens.len() != vocab_size {
        let found = tokens.len();
        let what = format!("{found} tokens, but token_embd.weight has {vocab_size} rows");
        return Err(Fault::field(TOKENS, what));
    }
    let id = |key: &str| -> Result<Option<u32>, Fault> {
        let key = format!("tokenizer.ggml.{key}");
        match metadata.get::<u32>(&key)? {
            Some(id) if id as usize >= vocab_size => {
                Err(Fault::field(&key, format!("{id} is outside the {vocab_size} tokens")))
            }
            id => Ok(id),
        }
    };
    Ok(GgufVocab {
        model: metadata.require("tokenizer.ggml.model")?,
        // Only what some families read into it hangs on this.
        name: metadata.get("general.name").unwrap_or_default(),
        pre: metadata.get("tokenizer.ggml.pre")?,
        scores: beside_tokens(metadata, "tokenizer.ggml.scores", vocab_size)?,
        token_types: beside_tokens(metadata, "tokenizer.ggml.token_type", vocab_size)?,
        merges: metadata.get("tokenizer.ggml.merges")?.unwrap_or_default(),
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        unk: id("unknown_token_id")?,
        pad: id("padding_token_id")?,
        sep: id("seperator_token_id")?,
        eot: id("eot_token_id")?,
        eom: id("eom_token_id")?,
        add_bos: metadata.get("tokenizer.ggml.add_bos_token")?,
        add_eos: metadata.get("tokenizer.ggml.add_eos_token")?,
        add_space_prefix: metadata.get("tokenizer.ggml.add_space_prefix")?,
        remove_extra_whitespaces: metadata.get("tokenizer.ggml.remove_extra_whitespaces")?,
        charsmap: charsmap(metadata)?,
        lowercase: metadata.get("tokenizer.ggml.normalizer.lowercase")?,
        strip_accents: metadata.get("tokenizer.ggml.normalizer.strip_accents")?,
        chat_template: metadata.get("tokenizer.chat_template")?,
        named_templates: named_templates(metadata)?,
        tokens,
    })
}

/// Bytes, which some files store with a sign.
fn charsmap(metadata: &Metadata<'_>) -> Result<Vec<u8>, Fault> {
    const KEY: &str = "tokenizer.ggml.precompiled_charsmap";
    let values: Vec<i32> = metadata.get(KEY)?.unwrap_or_default();
    let byte = |value: &i32| match value {
        -128..=255 => Ok(value.to_le_bytes()[0]),
        other => Err(Fault::field(KEY, format!("{other} is no byte"))),
    };
    values.iter().map(byte).collect()
}

fn named_templates(metadata: &Metadata<'_>) -> Result<Vec<(String, String)>, Fault> {
    let names: Vec<String> = metadata.get("tokenizer.chat_templates")?.unwrap_or_default();
    let with_template = |name: String| {
        let template = metadata.require(&format!("tokenizer.chat_template.{name}"))?;
        Ok((name, template))
    };
    names.into_iter().map(with_template).collect()
}

fn beside_tokens<T>(metadata: &Metadata<'_>, key: &str, len: usize) -> Result<Vec<T>, Fault>
where
    T: for<'a> FromValue<'a>,
{
    let values: Vec<T> = metadata.get(key)?.unwrap_or_default();
    if !values.is_empty() && values.len() != len {
        let found = values.len();
        return Err(Fault::field(key, format!("{found} entries for {len} tokens")));
    }
    Ok(values)
}
