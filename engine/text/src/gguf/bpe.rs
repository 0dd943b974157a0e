//! Byte-level BPE (`gpt2` in GGUF): split by the family's patterns, map bytes to GPT-2's alphabet,
//! merge by rank; or the same on characters, as `gemma4` does. Invariant: each merge's parts and
//! result are tokens.

use std::collections::HashMap;

use ahash::RandomState;

use super::pre::{self, Bos};
use super::{Checked, field};
use crate::TextError;
use crate::added::Added;
use crate::bpe::{Bpe, Chars, Merge, Merges, Symbols};
use crate::pieces::{Pieces, bytes_of, char_of};

/// The tokenizer, with the bytes of its tokens.
pub(super) fn build(vocab: &Checked<'_>, model: &str) -> Result<(Bpe, Pieces), TextError> {
    let rule = match model {
        "gemma4" => pre::GEMMA4,
        _ => {
            let name = vocab.fields.pre.as_deref().unwrap_or("default");
            pre::rule(name).ok_or_else(|| {
                let problem =
                    format!("the pre-tokenizer `{name}` is unknown: its splits would be guesses");
                field("pre", problem)
            })?
        }
    };
    let added = vocab.added(rule.mask_strips);
    let byte_of_gpt2 = |byte: usize| {
        let mut text = [0; 4];
        let text: &str = char_of(byte as u8).encode_utf8(&mut text);
        vocab.ids.get(text).copied()
    };
    let mut bpe = Bpe {
        added: Added::new(&added).map_err(|err| field("token_type", err.to_string()))?,
        space_prefix: false,
        escapes_spaces: rule.is_sentencepiece,
        splits: rule.splits().map_err(|err| field("pre", err.to_string()))?,
        symbols: match rule.is_sentencepiece {
            true => Symbols::Chars(Box::new(chars(vocab, None))),
            false => Symbols::Bytes(Box::new(std::array::from_fn(byte_of_gpt2))),
        },
        merges: merges(vocab)?,
        whole: HashMap::default(),
        around: match rule.bos {
            Bos::Always => [vocab.fields.bos, vocab.around(false)?[1]],
            usual => vocab.around(usual == Bos::Usual)?,
        },
    };
    let tokens = vocab.fields.tokens.iter().zip(0..);
    if rule.is_sentencepiece {
        // Line ends have no merges in the published files.
        let lines = tokens.filter(|(token, _)| token.chars().all(|c| c == '\n'));
        bpe.whole = lines.map(|(token, id)| (token.as_bytes().into(), id)).collect();
        return Ok((bpe, vocab.sentencepiece_pieces(false)?));
    }
    if rule.ignore_merges {
        bpe.whole = tokens.filter_map(|(token, id)| Some((bytes_of(token)?.into(), id))).collect();
    }
    Ok((bpe, vocab.byte_level_pieces()?))
}

/// The characters that are tokens, and the bytes for others.
pub(super) fn chars(vocab: &Checked<'_>, unk: Option<u32>) -> Chars {
    let mut ids = HashMap::default();
    for (token, id) in vocab.fields.tokens.iter().zip(0..) {
        let mut chars = token.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            ids.insert(c, id);
        }
    }
    let byte = |byte: usize| vocab.ids.get(format!("<0x{byte:02X}>").as_str()).copied();
    Chars { ids, bytes: std::array::from_fn(byte), unk }
}

fn merges(vocab: &Checked<'_>) -> Result<Merges, TextError> {
    let entries = &vocab.fields.merges;
    let mut merges = Merges::with_capacity_and_hasher(entries.len(), RandomState::default());
    let mut whole = String::new();
    for (rank, merge) in entries.iter().enumerate() {
        // A part may begin with a space, if it is all of it.
        let cut = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
        let parts = cut.map(|at| (&merge[..at], &merge[at + 1..]));
        let Some((left, right)) = parts.filter(|(_, right)| !right.is_empty()) else {
            return Err(field("merges", format!("entry {rank} is not two parts and a space")));
        };
        whole.clear();
        whole.push_str(left);
        whole.push_str(right);
        let id = |part: &str| {
            vocab.ids.get(part).copied().ok_or_else(|| {
                let problem = format!("entry {rank} makes or needs `{part}`, which is no token");
                field("merges", problem)
            })
        };
        // A file has fewer than 2³² entries of four bytes and more that fit its limits.
        let merge = Merge { rank: rank as u32, id: id(&whole)? };
        merges.insert((id(left)?, id(right)?), merge);
    }
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::models::bpe::BPE;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::pre_tokenizers::sequence::Sequence;
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

    use super::*;
    use crate::TextModel;
    use crate::gguf::{GgufVocab, end_of_turn};

    /// The same tokenizer, made of the library's parts.
    fn library(vocab: &Checked<'_>) -> Tokenizer {
        let rule = pre::rule(vocab.fields.pre.as_deref().expect("named")).expect("known");
        let ids = vocab.ids.iter().map(|(token, id)| ((*token).to_owned(), *id));
        let merges = vocab.fields.merges.iter().filter_map(|merge| merge.split_once(' '));
        let merges = merges.map(|(left, right)| (left.to_owned(), right.to_owned())).collect();
        let bpe = BPE::builder()
            .vocab_and_merges(ids.collect::<HashMap<_, _, RandomState>>(), merges)
            .ignore_merges(rule.ignore_merges)
            .build()
            .expect("every part is a token");
        let split = |step: &pre::Step| {
            let pre::Step::Pattern(pattern) = step else { panic!("the library has patterns only") };
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            PreTokenizerWrapper::Split(split.expect("compiles"))
        };
        let mut steps: Vec<_> = rule.steps.iter().map(split).collect();
        steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)));
        let mut tokenizer = Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        let added = vocab.added(false).into_iter().map(|token| {
            tokenizers::AddedToken::from(token.text.to_owned(), true).normalized(false)
        });
        tokenizer.add_special_tokens(added.collect::<Vec<_>>()).expect("adds");
        tokenizer
    }

    /// The bytes, a control token, and what random merges of earlier tokens make.
    fn vocab(pre: &str, pairs: &[(usize, usize)]) -> GgufVocab<'static> {
        // A few bytes are missing: nothing stands for them.
        let bytes = (0..=0xF0u8).map(|byte| char_of(byte).to_string());
        let mut tokens: Vec<String> = bytes.collect();
        let first: Vec<usize> = "abc \u{300}".bytes().map(usize::from).collect();
        let mut parts: Vec<String> = first.iter().map(|&byte| tokens[byte].clone()).collect();
        let mut merges = Vec::new();
        for (left, right) in pairs {
            let (left, right) = (&parts[left % parts.len()], &parts[right % parts.len()]);
            let whole = format!("{left}{right}");
            merges.push(format!("{left} {right}").into());
            if !tokens.contains(&whole) {
                tokens.push(whole.clone());
                parts.push(whole);
            }
        }
        tokens.push("<x>".to_owned());
        let mut token_types = vec![1; tokens.len()];
        token_types[tokens.len() - 1] = 3;
        GgufVocab {
            model: "gpt2".to_owned(),
            pre: Some(pre.to_owned()),
            tokens: tokens.into_iter().map(Into::into).collect(),
            token_types,
            merges,
            ..GgufVocab::default()
        }
    }

    proptest! {
        #[test]
        fn ids_are_those_of_the_library(
            pre in prop::sample::select(vec!["gpt-2", "smollm", "llama-bpe", "qwen2"]),
            pairs in prop::collection::vec((any::<usize>(), any::<usize>()), 0..40),
            text in "([abc ]{0,20}|<x>|\\PC|\u{300}){0,8}",
        ) {
            let vocab = vocab(pre, &pairs);
            let (checked, _) = Checked::new(&vocab).expect("no token twice");
            let expected = library(&checked).encode_fast(text.as_str(), false).expect("encodes");
            let model = TextModel::from_gguf(vocab.clone()).expect("loads");
            prop_assert_eq!(model.encode(&text, false).expect("short"), expected.get_ids());
        }
    }

    #[test]
    fn ends_are_marked_by_their_text() {
        let tokens = ["a", "<|end|>", "</s>", "<|return|>", "<|call|>"];
        let ids = tokens.into_iter().zip(0..).collect();
        let mut kinds = vec![1; 5];
        assert_eq!(end_of_turn::mark(&ids, &mut kinds, &[3]), [3, 2, 4]);
        assert_eq!(kinds, [1, 4, 3, 3, 3]);
    }
}
