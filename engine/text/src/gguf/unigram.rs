//! SentencePiece unigram (`t5` in GGUF), as T5 and XLM-RoBERTa have it. Invariant: what the file
//! does not say is as llama.cpp takes it.

use super::{Checked, NORMAL, UNUSED, USER_DEFINED, field};
use crate::TextError;
use crate::added::Added;
use crate::charsmap::Charsmap;
use crate::pieces::Pieces;
use crate::unigram::{Lattice, Unigram};

/// Ids that T5 uses, where a file names none.
const EOS: u32 = 1;
const UNK: u32 = 2;

/// The tokenizer, with the bytes of its tokens.
pub(super) fn build(vocab: &Checked<'_>) -> Result<(Unigram, Pieces), TextError> {
    let fields = vocab.fields;
    if fields.scores.is_empty() {
        return Err(field("scores", "is missing, but a `t5` tokenizer chooses by score"));
    }
    let unk = fields.unk.or_else(|| vocab.known(UNK));
    let unk = unk.ok_or_else(|| field("unknown_token_id", "is missing"))?;
    let charsmap = match fields.charsmap.as_slice() {
        [] => None,
        bytes => {
            Some(Charsmap::new(bytes).map_err(|problem| field("precompiled_charsmap", problem))?)
        }
    };
    let score = |id: usize| match vocab.kinds[id] {
        // So that they are chosen: others' scores are logarithms of probabilities.
        USER_DEFINED => 0.0,
        _ => f64::from(fields.scores[id]),
    };
    let is_text = |id: usize| matches!(vocab.kinds[id], NORMAL | UNUSED | USER_DEFINED);
    let tokens = (0..fields.tokens.len()).filter(|&id| is_text(id));
    let tokens = tokens.map(|id| (fields.tokens[id].as_bytes(), id as u32, score(id)));
    let normal = (0..fields.tokens.len()).filter(|&id| vocab.kinds[id] == NORMAL);
    let worst = normal.map(|id| f64::from(fields.scores[id])).fold(f64::INFINITY, f64::min);
    let added = vocab.added(false);
    let eos = fields.eos.or_else(|| vocab.known(EOS));
    let around = vocab.around_with([fields.bos, eos], [false, true])?;
    let space_prefix = fields.add_space_prefix.unwrap_or(false);
    let unigram = Unigram {
        added: Added::new(&added).map_err(|err| field("token_type", err.to_string()))?,
        charsmap,
        space_prefix,
        joins_spaces: fields.remove_extra_whitespaces.unwrap_or(false),
        lattice: Lattice::new(tokens, unk, worst),
        around,
    };
    Ok((unigram, vocab.sentencepiece_pieces(space_prefix)?))
}
