//! A model's tokens as the library wants them.

use std::sync::Arc;

use engine_text::TextModel;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::CompileError;

/// Tokens by their bytes. Special tokens are no text: marked, so that no text matches them.
pub(crate) fn environment(text: &TextModel) -> Result<TokEnv, CompileError> {
    let eos = text.eos_token_ids();
    let Some(first_eos) = eos.first() else { return Err(CompileError::NoEnd) };
    let words: Vec<Vec<u8>> = (0..text.vocab_size() as u32)
        .map(|token| {
            let bytes = text.token_bytes(token);
            match text.is_special(token) || eos.contains(&token) {
                true => [&[TokTrie::SPECIAL_TOKEN_MARKER][..], &bytes].concat(),
                false => bytes,
            }
        })
        .collect();
    let info = TokRxInfo::new(words.len() as u32, *first_eos);
    let trie = TokTrie::from(&info, &words).with_eos_tokens(eos);
    Ok(Arc::new(ApproximateTokEnv::new(trie)))
}
