//! WordPiece, as BERT has it: words are normalised, parted by white space and punctuation, and
//! each becomes the longest tokens that make it up. Invariant: a word that its tokens do not cover
//! is one unknown token; work is linear in the text for a given vocabulary.
//!
//! Source: Devlin et al. 2018 and its published tokenizer.

use std::collections::HashMap;

use ahash::RandomState;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use crate::TextError;
use crate::added::{Added, Fragment, fragments};
use crate::pieces::SPACE;

/// A tokenizer whose tokens begin words with [`SPACE`] and go on without.
#[derive(Debug)]
pub(crate) struct WordPiece {
    pub(crate) added: Option<Added>,
    /// What to put before and after a text when special tokens are asked for.
    pub(crate) around: [u32; 2],
    normalizer: BertNormalizer,
    ids: HashMap<Box<str>, u32, RandomState>,
    /// Bytes of the longest token.
    longest: usize,
    unk: u32,
}

impl WordPiece {
    /// Texts with their ids; whether letters become small and lose their accents.
    pub(crate) fn new<'a>(
        tokens: impl Iterator<Item = (&'a str, u32)>,
        unk: u32,
        (lowercase, strip_accents): (bool, bool),
    ) -> Self {
        let ids: HashMap<Box<str>, u32, RandomState> =
            tokens.map(|(token, id)| (token.into(), id)).collect();
        let longest = ids.keys().map(|token| token.len()).max().unwrap_or(0);
        let normalizer = BertNormalizer::new(true, true, Some(strip_accents), lowercase);
        Self { added: None, around: [unk; 2], normalizer, ids, longest, unk }
    }

    /// Token ids of a text; see [`TextModel::encode`](crate::TextModel::encode).
    pub(crate) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TextError> {
        let [before, after] = self.around.map(|id| special.then_some(id));
        let mut ids: Vec<u32> = before.into_iter().collect();
        fragments(self.added.as_ref(), text, &mut |fragment| match fragment {
            Fragment::Text(text) => self.encode_plain(text, &mut ids),
            Fragment::Token(id) => {
                ids.push(id);
                Ok(())
            }
        })?;
        ids.extend(after);
        Ok(ids)
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TextError> {
        let failed = |err: tokenizers::Error| TextError::Encode(err.to_string());
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized).map_err(failed)?;
        let mut words = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            self.encode_word(word, ids);
        }
        Ok(())
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let (word, num_before) = (format!("{SPACE}{word}"), ids.len());
        let mut rest = word.as_str();
        while !rest.is_empty() {
            let most = rest.floor_char_boundary(self.longest);
            let ends = rest[..most].char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let found = ends.clone().find_map(|end| Some((*self.ids.get(&rest[..end])?, end)));
            let Some((id, end)) = found else {
                ids.truncate(num_before);
                ids.push(self.unk);
                return;
            };
            ids.push(id);
            rest = &rest[end..];
        }
    }
}
