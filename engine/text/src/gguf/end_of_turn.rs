//! Which tokens of a GGUF vocabulary end the generation. Invariant: the same set as llama.cpp's,
//! which goes by the token's text, because files often name only one end.

use std::collections::HashMap;

use ahash::RandomState;

use super::{CONTROL, USER_DEFINED};

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

/// The ids that end a generation, those that the file names itself first; marks them as control.
pub(super) fn mark(
    ids: &HashMap<&str, u32, RandomState>,
    kinds: &mut [i32],
    own: &[u32],
) -> Vec<u32> {
    let has = |text: &str| ids.contains_key(text);
    let harmony = has("<|return|>") && has("<|call|>");
    let solar = has("<|flush|>") && (has("<|call|>") || has("<|calls|>"));
    let turns = has("<|tool_response>");
    let mut ends = own.to_vec();
    for text in SHOWN.iter().chain(&ENDS) {
        let Some(&id) = ids.get(text) else { continue };
        if *text == "<|end|>" && (harmony || solar) || SHOWN.contains(text) {
            // There it ends a message, not the turn.
            kinds[id as usize] = USER_DEFINED;
        } else if !(*text == "</s>" && turns) {
            kinds[id as usize] = CONTROL;
            ends.push(id);
        }
    }
    let place = |id: u32| own.iter().position(|&other| other == id).unwrap_or(own.len());
    ends.sort_unstable_by_key(|&id| (place(id), id));
    ends.dedup();
    ends
}
