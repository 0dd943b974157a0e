//! SentencePiece BPE (`llama` in GGUF): spaces become `▁`, the neighbours whose union has the best
//! score are merged, unknown characters fall back to bytes. Invariant: merges follow from the
//! vocabulary and its scores alone, as the file carries no others; of equal scores the leftmost
//! goes first, as in llama.cpp.

use std::collections::HashMap;

use super::{Checked, bpe, field};
use crate::TextError;
use crate::added::Added;
use crate::bpe::{Bpe, Merge, Merges, Symbols};
use crate::pieces::Pieces;

/// The tokenizer, with the bytes of its tokens.
pub(super) fn build(vocab: &Checked<'_>) -> Result<(Bpe, Pieces), TextError> {
    let fields = vocab.fields;
    if fields.scores.is_empty() {
        return Err(field("scores", "is missing, but a `llama` tokenizer merges by score"));
    }
    let space_prefix = fields.add_space_prefix.unwrap_or(true);
    let added = vocab.added(false);
    let bpe = Bpe {
        added: Added::new(&added).map_err(|err| field("token_type", err.to_string()))?,
        space_prefix,
        escapes_spaces: true,
        splits: Vec::new(),
        symbols: Symbols::Chars(Box::new(bpe::chars(vocab, Some(fields.unk.unwrap_or(0))))),
        merges: merges(vocab),
        whole: HashMap::default(),
        around: vocab.around(true)?,
    };
    Ok((bpe, vocab.sentencepiece_pieces(space_prefix)?))
}

/// Every way to make a token of two others, best score first.
fn merges(vocab: &Checked<'_>) -> Merges {
    let fields = vocab.fields;
    let score = |id: u32| fields.scores[id as usize];
    // A file has fewer than 2³² tokens within its limits.
    let mut order: Vec<u32> = (0..fields.tokens.len() as u32).collect();
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut merges = Merges::default();
    let mut rank = 0;
    for (place, &id) in order.iter().enumerate() {
        if place > 0 && score(order[place - 1]) != score(id) {
            rank += 1;
        }
        let token = &*fields.tokens[id as usize];
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if let (Some(&left), Some(&right)) = (vocab.ids.get(left), vocab.ids.get(right)) {
                merges.insert((left, right), Merge { rank, id });
            }
        }
    }
    merges
}
