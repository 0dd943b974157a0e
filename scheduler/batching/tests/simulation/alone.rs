//! A request run alone: straight from the engine, without planner, sharing or chunks.

use std::sync::Arc;

use engine_core::{
    BlockId, BlockTable, Engine, EngineLimits, FinishReason, History, Request, Sample, Score,
    SeqId, SeqOutput, SeqWork, Step, TokenId, TokenLogprobs, Want,
};
use engine_mock::{MockEngine, MockModel};

/// What one choice gives when nothing else runs.
pub(crate) struct Alone {
    pub(crate) prompt_logprobs: Vec<TokenLogprobs>,
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) logprobs: Vec<Option<TokenLogprobs>>,
    pub(crate) reason: FinishReason,
}

/// Computes the whole sequence anew for each token; `seed` is the choice's.
pub(crate) fn alone(
    request: &Request,
    seed: u64,
    limits: &EngineLimits,
    model: &MockModel,
) -> Alone {
    // Room for everything in one step, which gives nothing back before its end.
    let num_blocks = limits.max_model_len.div_ceil(limits.block_size) * limits.groups.count();
    let (max_step_tokens, max_step_seqs) = (u32::MAX, 1);
    let limits = &EngineLimits { num_blocks, max_step_tokens, max_step_seqs, ..*limits };
    let mut engine = MockEngine::new(*limits, model.clone());
    let stop = &request.stop;
    let mut known = request.prompt.clone();
    let mut logprobs = Vec::new();
    let mut output = compute(&mut engine, request, &known, seed, limits);
    let prompt_logprobs = output.scores;
    let reason = loop {
        let Some(sampled) = output.sampled.pop() else { break FinishReason::Length };
        known.push(sampled.token);
        logprobs.push(sampled.logprobs);
        if sampled.token == 0 && !stop.ignore_eos {
            break FinishReason::EndOfSequence(0);
        }
        if stop.stop_token_ids.contains(&sampled.token) {
            break FinishReason::StopToken(sampled.token);
        }
        if known.len() - request.prompt.len() == stop.max_tokens as usize {
            break FinishReason::Length;
        }
        output = compute(&mut engine, request, &known, seed, limits);
    };
    Alone { prompt_logprobs, tokens: known.split_off(request.prompt.len()), logprobs, reason }
}

fn compute(
    engine: &mut MockEngine,
    request: &Request,
    known: &[TokenId],
    seed: u64,
    limits: &EngineLimits,
) -> SeqOutput {
    let num_prompt = request.prompt.len();
    let num_generated = (known.len() - num_prompt) as u32;
    let ends = request.stop.eos_token_ids.iter().chain(&request.stop.stop_token_ids).copied();
    let history = request
        .sampling
        .needs_history()
        .then(|| History { tokens: known.to_vec(), num_prompt_tokens: num_prompt as u32 });
    let sample = Sample {
        params: Arc::clone(&request.sampling),
        seed,
        num_generated,
        min_tokens: request.stop.min_tokens,
        banned: ends.collect(),
        history,
        mask: None,
    };
    let first = num_generated == 0;
    let work = SeqWork {
        seq: SeqId(0),
        adapter: request.scope.adapter.clone(),
        input: known.to_vec(),
        insets: request.insets.clone(),
        num_drafts: 0,
        num_cached_tokens: 0,
        block_table: BlockTable((0..limits.num_blocks).map(BlockId).collect()),
        want: if request.stop.max_tokens == 0 { Want::Nothing } else { Want::Sample(sample) },
        score: request
            .prompt_logprobs
            .filter(|_| first)
            .map(|num_top| Score { targets: request.prompt[1..].to_vec(), num_top }),
    };
    let step = Step { step_idx: u64::from(num_generated), work: vec![work] };
    engine.execute(&step).unwrap().outputs.remove(0)
}
