//! What changes logits before the draw: bias, bans, penalties.

use std::collections::HashMap;

use engine_core::{History, Sample, SamplingParams, TokenId};

/// Applies all that the request asks for.
pub(super) fn apply(logits: &mut [f32], request: &Sample) {
    for (token, bias) in &request.params.logit_bias {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit += bias;
        }
    }
    if let Some(history) = &request.history {
        penalize(logits, &request.params, history);
    }
    for token in request.banned.iter() {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// The repetition penalty (Keskar et al. 2019) looks at prompt and output, the other two
/// (as the OpenAI API defines them) at the output.
fn penalize(logits: &mut [f32], params: &SamplingParams, history: &History) {
    let num_prompt = (history.num_prompt_tokens as usize).min(history.tokens.len());
    let mut seen: HashMap<TokenId, u32> = HashMap::new();
    for token in &history.tokens[..num_prompt] {
        seen.entry(*token).or_insert(0);
    }
    for token in &history.tokens[num_prompt..] {
        *seen.entry(*token).or_insert(0) += 1;
    }
    for (token, in_output) in seen {
        let Some(logit) = logits.get_mut(token as usize) else { continue };
        if *logit > 0.0 {
            *logit /= params.repetition_penalty;
        } else {
            *logit *= params.repetition_penalty;
        }
        if in_output > 0 {
            *logit -= params.frequency_penalty * in_output as f32 + params.presence_penalty;
        }
    }
}
