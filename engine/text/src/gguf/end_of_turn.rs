//! Which tokens of a GGUF vocabulary end the generation. Invariant: the same set as llama.cpp's,
//! which goes by the token's text, because files often name only one end.

use super::{CONTROL, GgufVocab, USER_DEFINED};

const ENDS: [&str; 22] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];
/// Tokens of the harmony format that are marked control but must be seen.
const SHOWN: [&str; 4] = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// The ids that end a generation, the file's own `eos_token_id` first; marks them as control.
pub(super) fn mark(vocab: &mut GgufVocab) -> Vec<u32> {
    if vocab.token_types.is_empty() {
        vocab.token_types = vec![super::NORMAL; vocab.tokens.len()];
    }
    let has = |text: &str| vocab.tokens.iter().any(|token| token == text);
    let harmony = has("<|return|>") && has("<|call|>");
    let solar = has("<|flush|>") && (has("<|call|>") || has("<|calls|>"));
    let turns = has("<|tool_response>");
    let mut ends: Vec<u32> = vocab.eos.into_iter().collect();
    for (id, (token, kind)) in vocab.tokens.iter().zip(&mut vocab.token_types).enumerate() {
        let token = token.as_str();
        if token == "<|end|>" && (harmony || solar) || SHOWN.contains(&token) {
            // There it ends a message, not the turn.
            *kind = USER_DEFINED;
        } else if ENDS.contains(&token) && !(token == "</s>" && turns) {
            *kind = CONTROL;
            // Ids are below MAX_VOCAB_SIZE, which fits.
            ends.push(id as u32);
        }
    }
    let own = vocab.eos;
    ends.sort_unstable_by_key(|&id| (Some(id) != own, id));
    ends.dedup();
    ends
}
