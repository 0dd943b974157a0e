//! WordPiece (`bert` in GGUF). Invariant: what the file does not say is as llama.cpp takes it.

use super::{Checked, field};
use crate::TextError;
use crate::added::Added;
use crate::pieces::Pieces;
use crate::wordpiece::WordPiece;

/// Ids of BERT's own vocabulary, where a file names none.
const UNK: u32 = 100;
const CLS: u32 = 101;
const SEP: u32 = 102;

/// The tokenizer, with the bytes of its tokens.
pub(super) fn build(vocab: &Checked<'_>) -> Result<(WordPiece, Pieces), TextError> {
    let fields = vocab.fields;
    let named = |id: Option<u32>, usual: u32, name: &str| {
        id.or_else(|| vocab.known(usual)).ok_or_else(|| field(name, "is missing"))
    };
    let added = vocab.added(false);
    let lowercase = fields.lowercase.unwrap_or(true);
    let tokens = fields.tokens.iter().zip(0..).map(|(token, id)| (token.as_ref(), id));
    let mut wordpiece = WordPiece::new(
        tokens,
        named(fields.unk, UNK, "unknown_token_id")?,
        (lowercase, fields.strip_accents.unwrap_or(lowercase)),
    );
    wordpiece.added = Added::new(&added).map_err(|err| field("token_type", err.to_string()))?;
    wordpiece.around =
        [named(fields.bos, CLS, "bos_token_id")?, named(fields.sep, SEP, "seperator_token_id")?];
    Ok((wordpiece, vocab.sentencepiece_pieces(true)?))
}
