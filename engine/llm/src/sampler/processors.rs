//! What changes logits before the draw: bias, bans, penalties.

use std::collections::HashMap;

use engine_core::{History, Sample, SamplingParams, TokenId};

/// Applies all that the request asks for; whether that is anything.
pub(super) fn apply(logits: &mut [f32], request: &Sample) -> bool {
    for (token, bias) in &request.params.logit_bias {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit += bias;
        }
    }
    if let Some(history) = &request.history {
        penalize(logits, &request.params, history);
    }
    for token in request.banned_now() {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let biased = !request.params.logit_bias.is_empty();
    biased || request.history.is_some() || !request.banned_now().is_empty()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn applied(logits: &[f32], params: SamplingParams, banned: &[TokenId]) -> Vec<f32> {
        let mut logits = logits.to_vec();
        let history = History { tokens: vec![0, 1, 2, 2, 9], num_prompt_tokens: 2 };
        let request = Sample {
            history: params.needs_history().then_some(history),
            mask: None,
            params: Arc::new(params),
            seed: 0,
            num_generated: 3,
            min_tokens: 4,
            banned: banned.into(),
        };
        apply(&mut logits, &request);
        logits
    }

    /// Token 0 is in the prompt, 1 too, 2 twice in the output, 3 nowhere; 9 is no token.
    const LOGITS: [f32; 4] = [2.0, -2.0, 1.0, 1.0];

    #[test]
    fn each_penalty_looks_where_it_should() {
        let params = SamplingParams { repetition_penalty: 2.0, ..Default::default() };
        assert_eq!(applied(&LOGITS, params, &[]), [1.0, -4.0, 0.5, 1.0]);
        let params = SamplingParams { frequency_penalty: 0.5, ..Default::default() };
        assert_eq!(applied(&LOGITS, params, &[]), [2.0, -2.0, 0.0, 1.0]);
        let params = SamplingParams { presence_penalty: 0.5, ..Default::default() };
        assert_eq!(applied(&LOGITS, params, &[]), [2.0, -2.0, 0.5, 1.0]);
    }

    #[test]
    fn bias_is_added_and_bans_win_over_it() {
        let params =
            SamplingParams { logit_bias: vec![(1, 5.0), (3, 100.0)], ..Default::default() };
        assert_eq!(applied(&LOGITS, params, &[3, 77]), [2.0, 3.0, 1.0, f32::NEG_INFINITY]);
    }
}
