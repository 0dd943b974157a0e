//! Byte-level BPE (`gpt2` in GGUF): split by the family's patterns, map bytes to GPT-2's alphabet,
//! merge by rank. Invariant: each merge's parts and result are tokens.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::{GgufVocab, field, pre};
use crate::TextError;

/// The tokenizer, and whether the family begins texts with BOS.
pub(super) fn build(vocab: &GgufVocab) -> Result<(Tokenizer, bool), TextError> {
    let name = vocab.pre.as_deref().unwrap_or("default");
    let rule = pre::rule(name).ok_or_else(|| {
        let problem = format!("the pre-tokenizer `{name}` is unknown: its splits would be guesses");
        field("pre", problem)
    })?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab.tokens.iter().cloned().zip(0..).collect::<Vocab>(), merges(vocab)?)
        .ignore_merges(rule.ignore_merges)
        .build()
        .map_err(|err| field("merges", err.to_string()))?;
    let mut steps = Vec::new();
    for pattern in rule.patterns {
        let split = split(pattern).map_err(|err| field("pre", err.to_string()))?;
        steps.push(PreTokenizerWrapper::Split(split));
    }
    steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)));
    let mut tokenizer = Tokenizer::new(bpe);
    if vocab.add_space_prefix == Some(true) {
        let prepend = tokenizers::normalizers::Prepend::new(" ".to_owned());
        tokenizer
            .with_normalizer(Some(prepend))
            .map_err(|err| field("add_space_prefix", err.to_string()))?;
    }
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok((tokenizer, rule.add_bos))
}

/// A step that makes each match of `pattern` a piece of its own.
pub(super) fn split(pattern: &str) -> tokenizers::Result<Split> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
}

fn merges(vocab: &GgufVocab) -> Result<Merges, TextError> {
    let ids: HashMap<&str, usize> =
        vocab.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges = Vec::with_capacity(vocab.merges.len());
    let mut whole = String::new();
    for (rank, merge) in vocab.merges.iter().enumerate() {
        let parts = merge.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let Some((left, right)) = parts else {
            return Err(field("merges", format!("entry {rank} is not two parts and a space")));
        };
        whole.clear();
        whole.push_str(left);
        whole.push_str(right);
        for part in [left, right, &whole] {
            if !ids.contains_key(part) {
                let problem = format!("entry {rank} makes or needs `{part}`, which is no token");
                return Err(field("merges", problem));
            }
        }
        merges.push((left.to_owned(), right.to_owned()));
    }
    Ok(merges)
}
