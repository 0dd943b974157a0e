//! The exact bytes of every token, worked out once from the tokenizer's decoder.
//!
//! Invariant: the bytes of a sequence are the bytes of its tokens joined, minus at most one start
//! marker. That makes decoding linear, incremental and exact, whatever the tokenizer's kind.

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::TextError;
use crate::limits::{MAX_TOKEN_BYTES, MAX_VOCAB_SIZE};

/// SentencePiece's visible space.
pub(crate) const SPACE: &str = "▁";

/// Bytes and flags by token id.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// Piece `id` is `bytes[ends[id - 1]..ends[id]]`.
    ends: Vec<u32>,
    special: Vec<bool>,
    strips_leading_space: bool,
}

impl Pieces {
    /// What a library's tokenizer makes of each token.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let decoding = Decoding::of(tokenizer)?;
        let vocab = tokenizer.get_vocab(true);
        let size = vocab.values().max().map_or(0, |&id| id as usize + 1);
        if size > MAX_VOCAB_SIZE {
            let problem = format!("token id {} is over the limit {MAX_VOCAB_SIZE}", size - 1);
            return Err(TextError::field("vocab", problem));
        }
        let mut pieces: Vec<(Vec<u8>, bool)> = vec![(Vec::new(), false); size];
        for (token, id) in vocab {
            if token.len() > MAX_TOKEN_BYTES {
                let problem = format!("token {id} has {} bytes of text", token.len());
                return Err(TextError::field("vocab", problem));
            }
            pieces[id as usize].0 = decoding.bytes(&token, false);
        }
        for (id, added) in tokenizer.get_added_tokens_decoder() {
            pieces[id as usize] = (decoding.bytes(&added.content, true), added.special);
        }
        Self::joined(pieces.into_iter(), decoding.strips_leading_space)
    }

    /// Tokens of a byte-level vocabulary by id: the text, whether it is an added token (and plain
    /// text), whether it is special.
    pub(crate) fn byte_level<'a>(
        tokens: impl ExactSizeIterator<Item = (&'a str, bool, bool)>,
    ) -> Result<Self, TextError> {
        let pieces = tokens.map(|(token, is_added, is_special)| {
            let bytes = if is_added { None } else { bytes_of(token) };
            (bytes.unwrap_or_else(|| token.as_bytes().to_vec()), is_special)
        });
        Self::joined(pieces, false)
    }

    /// Bytes of tokens by id, and whether they are special.
    pub(crate) fn joined(
        pieces: impl ExactSizeIterator<Item = (Vec<u8>, bool)>,
        strips_leading_space: bool,
    ) -> Result<Self, TextError> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(pieces.len()));
        let mut special = Vec::with_capacity(pieces.len());
        for (piece, is_special) in pieces {
            bytes.extend_from_slice(&piece);
            let end = u32::try_from(bytes.len())
                .map_err(|_| TextError::field("vocab", "the tokens' text is over 4 GiB"))?;
            ends.push(end);
            special.push(is_special);
        }
        Ok(Self { bytes, ends, special, strips_leading_space })
    }

    /// Largest id plus one.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the longest token.
    pub(crate) fn longest(&self) -> usize {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| (end - start) as usize).max().unwrap_or(0)
    }

    /// The bytes of one token; empty for an unknown id.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// The bytes to show for one token; none if it is special and those are skipped.
    pub(crate) fn shown(&self, id: u32, skip_special_tokens: bool) -> Option<&[u8]> {
        (!(skip_special_tokens && self.is_special(id))).then(|| self.get(id))
    }

    /// Whether a token is no text but a mark.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// The first bytes of a text, without the space that some tokenizers put before it.
    pub(crate) fn without_start_marker<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match bytes {
            [b' ', rest @ ..] if self.strips_leading_space => rest,
            _ => bytes,
        }
    }
}

/// What a tokenizer's decoder does to a single token.
struct Decoding {
    steps: Vec<Step>,
    strips_leading_space: bool,
}

enum Step {
    /// Each character stands for a byte, as in GPT-2.
    ByteLevel,
    /// `<0xE4>` is one byte.
    ByteFallback,
    Replace(String, String),
    /// Everything but a continuation (with this prefix) starts a new word.
    Words(Option<String>),
    /// No space before a mark of punctuation, and the like.
    Cleanup,
}

/// What the `tokenizers` library's `cleanup` makes of a token, in its order.
const CLEANUP: [(&str, &str); 11] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

impl Decoding {
    fn of(tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let mut this = Self { steps: Vec::new(), strips_leading_space: false };
        match tokenizer.get_decoder() {
            None => this.add_words(None),
            Some(decoder) => {
                let decoder = serde_json::to_value(decoder)
                    .map_err(|err| TextError::field("decoder", err.to_string()))?;
                this.add(&decoder)?;
            }
        }
        Ok(this)
    }

    fn add(&mut self, decoder: &Value) -> Result<(), TextError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match decoder["type"].as_str().unwrap_or_default() {
            "Sequence" => {
                for part in decoder["decoders"].as_array().into_iter().flatten() {
                    self.add(part)?;
                }
            }
            "ByteLevel" => self.steps.push(Step::ByteLevel),
            "ByteFallback" => self.steps.push(Step::ByteFallback),
            "Fuse" => {}
            "Replace" if decoder["pattern"]["String"].is_string() => {
                let pattern = text(&decoder["pattern"]["String"]);
                self.steps.push(Step::Replace(pattern, text(&decoder["content"])));
            }
            "Metaspace" => {
                self.steps.push(Step::Replace(text(&decoder["replacement"]), " ".to_owned()));
                self.strips_leading_space = decoder["prepend_scheme"] != "never";
            }
            "Strip" if decoder["content"] == " " && decoder["stop"] == 0 => {
                self.strips_leading_space = decoder["start"] != 0;
            }
            "WordPiece" => {
                self.add_words(Some(text(&decoder["prefix"])));
                if decoder["cleanup"] == true {
                    self.steps.push(Step::Cleanup);
                }
            }
            other => {
                let problem = format!("the decoder `{other}` is not supported in this form");
                return Err(TextError::field("decoder", problem));
            }
        }
        Ok(())
    }

    fn add_words(&mut self, continuation: Option<String>) {
        self.steps.push(Step::Words(continuation));
        self.strips_leading_space = true;
    }

    fn bytes(&self, token: &str, added: bool) -> Vec<u8> {
        let mut text = token.to_owned();
        for step in &self.steps {
            match step {
                // An added token's text is plain; the byte alphabet is the vocabulary's.
                Step::ByteLevel if added => {}
                Step::ByteLevel => {
                    if let Some(bytes) = bytes_of(&text) {
                        return bytes;
                    }
                }
                Step::ByteFallback => {
                    if let Some(byte) = fallback_byte(&text) {
                        return vec![byte];
                    }
                }
                Step::Replace(from, to) => text = text.replace(from, to),
                Step::Words(prefix) => match prefix.as_ref().and_then(|p| text.strip_prefix(p)) {
                    Some(rest) => text = rest.to_owned(),
                    None => text.insert(0, ' '),
                },
                Step::Cleanup => {
                    for (from, to) in CLEANUP {
                        text = text.replace(from, to);
                    }
                }
            }
        }
        text.into_bytes()
    }
}

/// The byte that a token like `<0xE4>` stands for.
pub(crate) fn fallback_byte(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// The bytes that GPT-2's alphabet writes as themselves.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character that stands for `byte` in GPT-2's byte alphabet: itself if printable, else the
/// next free one from U+0100 on.
pub(crate) fn char_of(byte: u8) -> char {
    if is_plain(byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|&other| !is_plain(other)).count() as u32;
    char::from_u32(0x100 + place).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The bytes that a text in GPT-2's alphabet stands for; none if a character is not of it.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte_of).collect()
}

/// The byte that a character of GPT-2's alphabet stands for.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|&byte| is_plain(byte)),
        // The 68 bytes that are not plain: 0..=0x20, 0x7F..=0xA0, 0xAD.
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{byte_of, char_of};

    #[test]
    fn the_byte_alphabet_is_its_own_inverse() {
        for byte in 0..=255u8 {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!((char_of(b' '), char_of(b'\n'), char_of(0xAD)), ('Ġ', 'Ċ', 'Ń'));
        assert_eq!(byte_of(' '), None);
    }
}
