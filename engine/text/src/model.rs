//! One model's text side: ids from text, text from ids, prompts from conversations.
//! Invariant: immutable once built, so that all requests share it.

use tokenizers::Tokenizer;

use crate::bpe::Bpe;
use crate::chat::{ChatInput, ChatTemplate, CompiledTemplates};
use crate::frame::Frames;
use crate::gguf::GgufVocab;
use crate::limits::{MAX_RUN_CHARS, MAX_TEXT_BYTES};
use crate::pieces::{Pieces, char_of};
use crate::unigram::Unigram;
use crate::wordpiece::WordPiece;
use crate::{Family, TextError, chat};

/// Tokenizer, end tokens and chat template of one model.
#[derive(Debug)]
pub struct TextModel {
    tokens: Tokens,
    frames: Frames,
    pieces: Pieces,
    eos: Vec<u32>,
    templates: Option<CompiledTemplates>,
    family: Family,
    /// Whether the template tells the model of tools.
    has_tools: bool,
}

/// How text becomes ids.
#[derive(Debug)]
pub(crate) enum Tokens {
    /// Byte-pair encoding, as most GGUF files have it.
    Bpe(Box<Bpe>),
    /// SentencePiece's unigram model, of a GGUF file.
    Unigram(Box<Unigram>),
    /// WordPiece, of a GGUF file.
    WordPiece(Box<WordPiece>),
    /// Everything else.
    Library(Box<Tokenizer>),
}

/// What the file formats give.
pub(crate) struct Parts {
    pub(crate) tokens: Tokens,
    pub(crate) pieces: Pieces,
    pub(crate) eos: Vec<u32>,
    pub(crate) template: Option<ChatTemplate>,
}

impl TextModel {
    pub(crate) fn new(parts: Parts) -> Result<Self, TextError> {
        let Parts { tokens, pieces, eos, template } = parts;
        let texts = template.iter().flat_map(|template| {
            let named = template.named.iter().map(|(_, source)| source);
            std::iter::once(&template.default).chain(named)
        });
        let texts: Vec<&String> = texts.collect();
        let families = texts.iter().map(|text| Family::of_template(text));
        let family = families.max_by_key(|family| *family != Family::default()).unwrap_or_default();
        let has_tools = texts.iter().any(|text| text.contains("tools"));
        let templates = template.map(CompiledTemplates::new).transpose()?;
        let frames = Frames::of(&tokens);
        Ok(Self { tokens, frames, pieces, eos, templates, family, has_tools })
    }

    /// A tokenizer for tests and the mock engine: ids 0 to 255 are the bytes, then `<bos>`,
    /// `<eos>`, `<|im_start|>` and `<|im_end|>`; the chat template is plain ChatML.
    ///
    /// # Panics
    /// Never: the vocabulary is fixed and a test builds it.
    pub fn byte_level() -> Self {
        Self::byte_level_with(chat::CHATML).expect("the fixed byte vocabulary is valid")
    }

    /// The same with this chat template.
    ///
    /// # Errors
    /// The template does not compile.
    pub fn byte_level_with(chat_template: &str) -> Result<Self, TextError> {
        let special = ["<bos>", "<eos>", "<|im_start|>", "<|im_end|>"];
        let bytes = (0..=255u8).map(|byte| char_of(byte).to_string().into());
        let vocab = GgufVocab {
            model: "gpt2".to_owned(),
            pre: Some("gpt-2".to_owned()),
            tokens: bytes.chain(special.map(Into::into)).collect(),
            token_types: [vec![1; 256], vec![3; 4]].concat(),
            bos: Some(256),
            eos: Some(257),
            add_bos: Some(true),
            chat_template: Some(chat_template.to_owned()),
            ..GgufVocab::default()
        };
        Self::from_gguf(vocab)
    }

    /// Token ids of a text. Special tokens written out in the text become those tokens. With
    /// `add_special_tokens` the model's own are put around it (a rendered chat has them already).
    ///
    /// # Errors
    /// The text is over [`MAX_TEXT_BYTES`] or has a run over [`MAX_RUN_CHARS`].
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TextError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TextError::TextTooLong { len: text.len(), max: MAX_TEXT_BYTES });
        }
        if has_long_run(text) {
            return Err(TextError::RunTooLong { len: text.len(), max: MAX_RUN_CHARS });
        }
        match &self.tokens {
            Tokens::Bpe(bpe) => bpe.encode(text, add_special_tokens),
            Tokens::Unigram(unigram) => unigram.encode(text, add_special_tokens),
            Tokens::WordPiece(wordpiece) => wordpiece.encode(text, add_special_tokens),
            Tokens::Library(tokenizer) => {
                let encoding = tokenizer
                    .encode_fast(text, add_special_tokens)
                    .map_err(|err| TextError::Encode(err.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            }
        }
    }

    /// At least so many tokens any text of `num_bytes` has; 0 if that is not known without
    /// tokenizing it, as where a tokenizer may drop or join characters.
    pub fn min_tokens(&self, num_bytes: usize) -> usize {
        match &self.tokens {
            Tokens::Bpe(bpe) if bpe.keeps_all() => num_bytes.div_ceil(self.pieces.longest().max(1)),
            _ => 0,
        }
    }

    /// The token that this model puts before a text, if it does.
    ///
    /// # Errors
    /// The tokenizer fails on any text.
    pub fn bos_token_id(&self) -> Result<Option<u32>, TextError> {
        let (plain, whole) = (self.encode("a", false)?, self.encode("a", true)?);
        // What differs at the start was put there; a token put at the end leaves it alone.
        Ok(whole.first().copied().filter(|first| plain.first() != Some(first)))
    }

    /// Text of token ids; unknown ids are nothing, bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> String {
        let mut bytes = Vec::new();
        for piece in ids.iter().filter_map(|&id| self.pieces.shown(id, skip_special_tokens)) {
            bytes.extend_from_slice(piece);
        }
        String::from_utf8_lossy(self.pieces.without_start_marker(&bytes)).into_owned()
    }

    /// Text of one token, for logprobs; a part of a character becomes U+FFFD.
    pub fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.pieces.get(id)).into_owned()
    }

    /// Exact bytes of one token; empty if there is no such token.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.pieces.get(id).to_vec()
    }

    /// Whether a token is no text but a mark, as that of an end of a message.
    pub fn is_special(&self, id: u32) -> bool {
        self.pieces.is_special(id)
    }

    /// The prompt of a conversation.
    ///
    /// # Errors
    /// There is no template, or it fails or runs over a limit.
    pub fn render_chat(&self, chat: &ChatInput<'_>) -> Result<String, TextError> {
        chat::render(self.templates.as_ref(), chat)
    }

    /// Largest token id plus one.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// All tokens that end a generation.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.eos
    }

    /// How the model writes thoughts and calls of tools, judged by its template.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether the template tells the model of tools.
    pub fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// Whether conversations can be rendered.
    pub fn has_chat_template(&self) -> bool {
        self.templates.is_some()
    }

    /// Checks that each token has a row in an embedding of `model_vocab_size` rows.
    ///
    /// # Errors
    /// [`TextError::VocabTooLarge`] with both numbers.
    pub fn check_vocab(&self, model_vocab_size: usize) -> Result<(), TextError> {
        if self.vocab_size() > model_vocab_size {
            let tokenizer = self.vocab_size();
            return Err(TextError::VocabTooLarge { tokenizer, model: model_vocab_size });
        }
        Ok(())
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(crate) fn pieces(&self) -> &Pieces {
        &self.pieces
    }
}

/// Whether some run of one class is longer than [`MAX_RUN_CHARS`].
fn has_long_run(text: &str) -> bool {
    if text.len() <= MAX_RUN_CHARS {
        return false;
    }
    let class = |c: char| (c.is_whitespace(), c.is_alphanumeric());
    let mut last = None;
    let mut len = 0;
    text.chars().any(|c| {
        len = if last == Some(class(c)) { len + 1 } else { 1 };
        last = Some(class(c));
        len > MAX_RUN_CHARS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_fewer_tokens_than_are_foretold() {
        let model = TextModel::byte_level();
        for text in ["", "a", "<|im_start|>", "<|im_start|><|im_start|>", "<|im_start|>a"] {
            let num_tokens = model.encode(text, false).unwrap().len();
            let foretold = model.min_tokens(text.len());
            assert!(foretold <= num_tokens && (foretold > 0 || text.is_empty()), "{text}");
        }
        assert_eq!(model.min_tokens(12_000_001), 1_000_001);
    }

    #[test]
    fn the_token_before_a_text_is_known() {
        let model = TextModel::byte_level();
        assert_eq!(model.encode("a", true).unwrap()[0], 256);
        assert_eq!(model.bos_token_id().unwrap(), Some(256));
        let vocab = |add_bos, add_eos| GgufVocab {
            model: "gpt2".to_owned(),
            tokens: (0..=255)
                .map(|b| char_of(b).to_string().into())
                .chain(["<s>".into()])
                .collect(),
            token_types: [vec![1; 256], vec![3]].concat(),
            bos: Some(256),
            eos: Some(256),
            add_bos: Some(add_bos),
            add_eos: Some(add_eos),
            ..GgufVocab::default()
        };
        for (add_bos, add_eos) in [(true, true), (true, false), (false, true), (false, false)] {
            let model = TextModel::from_gguf(vocab(add_bos, add_eos)).unwrap();
            let want = add_bos.then_some(256);
            assert_eq!(model.bos_token_id().unwrap(), want, "{add_bos} {add_eos}");
        }
    }
}
