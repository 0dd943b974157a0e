//! SentencePiece BPE (`llama` in GGUF): spaces become `▁`, the neighbours whose union has the best
//! score are merged, unknown characters fall back to bytes. Invariant: merges follow from the
//! vocabulary and its scores alone, as the file carries no others.

use std::cmp::Ordering;
use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::{DecoderWrapper, NormalizerWrapper, Tokenizer};

use super::{Checked, NORMAL, field};
use crate::TextError;

/// SentencePiece's visible space.
const SPACE: &str = "▁";

pub(super) fn build(checked: &Checked<'_>) -> Result<Tokenizer, TextError> {
    let vocab = checked.fields;
    if vocab.scores.is_empty() {
        return Err(field("scores", "is missing, but a `llama` tokenizer merges by score"));
    }
    let unk = vocab.unk.unwrap_or(0) as usize;
    let ids: Vocab = vocab.tokens.iter().map(|token| token.to_string()).zip(0..).collect();
    let mut bpe =
        BPE::builder().vocab_and_merges(ids, merges(checked)).byte_fallback(true).fuse_unk(true);
    if let Some(unk) = vocab.tokens.get(unk) {
        bpe = bpe.unk_token(unk.to_string());
    }
    let mut tokenizer =
        Tokenizer::new(bpe.build().map_err(|err| field("tokens", err.to_string()))?);
    install(&mut tokenizer, vocab.add_space_prefix.unwrap_or(true))
        .map_err(|err| field("model", err.to_string()))?;
    Ok(tokenizer)
}

fn install(tokenizer: &mut Tokenizer, add_space_prefix: bool) -> tokenizers::Result<()> {
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    let mut decoders: Vec<DecoderWrapper> =
        vec![Replace::new(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if add_space_prefix {
        normalizers.push(Prepend::new(SPACE.to_owned()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    normalizers.push(Replace::new(" ", SPACE)?.into());
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers)))?;
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    Ok(())
}

/// Every way to make a token of two others, best score first.
fn merges(checked: &Checked<'_>) -> Merges {
    let vocab = checked.fields;
    let normal = || (0..vocab.tokens.len()).filter(|&id| checked.kinds[id] == NORMAL);
    let ids: HashMap<&str, usize> = normal().map(|id| (&*vocab.tokens[id], id)).collect();
    let mut found: Vec<(f32, &str, &str)> = Vec::new();
    for id in normal() {
        let token = &*vocab.tokens[id];
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if ids.contains_key(left) && ids.contains_key(right) {
                found.push((vocab.scores[id], left, right));
            }
        }
    }
    found.sort_by(best_first);
    found.into_iter().map(|(_, left, right)| (left.to_owned(), right.to_owned())).collect()
}

/// Ties go to the longer left part, as in the published converters.
fn best_first(a: &(f32, &str, &str), b: &(f32, &str, &str)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| b.1.len().cmp(&a.1.len()))
}
