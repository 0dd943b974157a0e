//! Random limits, settings and requests: small, so that everything runs out all the time.

use std::num::NonZeroU32;
use std::sync::Arc;

use engine_core::{
    Adapter, CacheGroups, CacheScope, Class, EngineLimits, Inset, InsetRows, Request, RequestId,
    SamplingParams, StopRules, TenantId, TokenId,
};
use engine_mock::MockModel;
use rand::{Rng, rngs::StdRng};
use scheduler_batching::PlannerConfig;

const CLASSES: [Class; 3] = [Class::High, Class::Normal, Class::Low];

/// Seeds of requests, and those of their first four choices: SplitMix64's finalizer over the
/// seed, then over it and the index, computed by another program than the planner.
const SEEDS: [(u64, [u64; 4]); 4] = [
    (0, [0xa706dd2f4d197e6f, 0x08b4fda8c892b50e, 0xd7cc9674ff5ffa39, 0xc810565020d09481]),
    (1, [0x5e41ab087439611e, 0xe9fd6049d65af21e, 0xbcd9dbb49673066b, 0x86d6fd953217ae03]),
    (7, [0xb8b4c2977eabce45, 0x3d41bf495cd3075f, 0x46a6c8e56922a525, 0x6baa78681a99f995]),
    (
        0xfeedfacecafebeef,
        [0xf4d1fcad94c7d51a, 0xe38800c91bd5f9c7, 0x2974f3d4bc25105c, 0xbd7df6b253c2c1bc],
    ),
];

/// The seed that a choice must draw with.
pub(crate) fn choice_seed(seed: u64, index: u32) -> u64 {
    SEEDS.iter().find(|(known, _)| *known == seed).unwrap().1[index as usize]
}

pub(crate) fn limits(rng: &mut StdRng) -> EngineLimits {
    let block_size = rng.random_range(1..=5);
    let columns = rng.random_range(24u32.div_ceil(block_size)..=80u32.div_ceil(block_size));
    let groups = groups(rng);
    // Windowed groups may have to do with half.
    let of_windowed = rng.random_range(columns / 2..=columns);
    EngineLimits {
        block_size,
        num_blocks: columns * groups.whole + of_windowed * groups.windowed,
        max_model_len: rng.random_range(20..=60),
        max_step_tokens: rng.random_range(1..=24),
        max_step_seqs: rng.random_range(1..=10),
        vocab_size: 50,
        groups,
    }
}

/// Mostly one for all layers, as most models have it.
fn groups(rng: &mut StdRng) -> CacheGroups {
    if rng.random_bool(0.6) {
        return CacheGroups::WHOLE;
    }
    let whole = rng.random_range(0..=2);
    // The mock engine knows all tokens before by the last one, so it must see that.
    CacheGroups { whole, windowed: rng.random_range(1..=3), window: rng.random_range(2..=20) }
}

pub(crate) fn config(rng: &mut StdRng) -> PlannerConfig {
    PlannerConfig {
        max_running_seqs: rng.random_range(1..=10),
        prefill_chunk: rng.random_range(1..=16),
        mixed_prefill: rng.random_range(1..=16),
        draft_fill: rng.random_range(0..=24),
        prefix_caching: rng.random_bool(0.85),
        cache_key: rng.random(),
        max_waiting: rng.random_range(2..=12),
        max_waiting_per_tenant: rng.random_range(1..=8),
        ..PlannerConfig::default()
    }
}

pub(crate) fn model(rng: &mut StdRng) -> MockModel {
    MockModel {
        seed: rng.random(),
        eos_token: Some(0),
        eos_probability: if rng.random_bool(0.5) { 0.05 } else { 0.0 },
        refrain: NonZeroU32::new(rng.random_range(0..8)),
        ..MockModel::default()
    }
}

fn scope(rng: &mut StdRng) -> CacheScope {
    let pick = |rng: &mut StdRng, names: &[&str]| -> Arc<str> {
        names[rng.random_range(0..names.len())].into()
    };
    let adapter = |rng: &mut StdRng| Adapter::new(pick(rng, &["x", "y"]), Arc::new(()));
    CacheScope {
        tenant: TenantId(pick(rng, &["a", "b", "c"])),
        model_version: "m".into(),
        adapter: rng.random_bool(0.2).then(|| adapter(rng)),
    }
}

/// Requests and when they come; prompts begin alike.
pub(crate) fn arrivals(rng: &mut StdRng, limits: &EngineLimits) -> Vec<(u64, Request)> {
    let longest = limits.max_sequence_len() as usize;
    let common: Vec<TokenId> = (0..longest).map(|_| rng.random_range(0..50)).collect();
    let mut at = 0;
    let num_requests = rng.random_range(1..=16);
    let arrivals = (0..num_requests).map(|id| {
        at += if rng.random_bool(0.6) { 0 } else { rng.random_range(0..12) };
        let mut request = request(rng, limits, RequestId(id), &common);
        if rng.random_bool(0.02) {
            request.prompt.clear();
        }
        (at, request)
    });
    arrivals.collect()
}

/// In few prompts few things to see, at few places: some have the same at the same.
fn insets(rng: &mut StdRng, num_prompt: u32) -> Vec<Inset> {
    let mut insets = Vec::new();
    if rng.random_bool(0.8) {
        return insets;
    }
    let mut at = 0;
    while rng.random_bool(0.6) {
        at += rng.random_range(0..4) * 3;
        let len = rng.random_range(1..=6);
        if at + len > num_prompt {
            break;
        }
        let rows = InsetRows::new([rng.random_range(0..2); 32], 1, vec![0.0; 8]);
        insets.push(Inset { at, len, rows, first_row: rng.random_range(0..=8 - len) });
        at += len;
    }
    insets
}

fn request(rng: &mut StdRng, limits: &EngineLimits, id: RequestId, common: &[TokenId]) -> Request {
    let longest = limits.max_sequence_len() as usize;
    let bound = if rng.random_bool(0.5) { longest } else { 8 };
    let num_prompt = rng.random_range(1..bound);
    let num_shared = rng.random_range(0..=num_prompt);
    let own = (num_shared..num_prompt).map(|_| rng.random_range(0..50));
    let prompt: Vec<TokenId> = common[..num_shared].iter().copied().chain(own).collect();
    let insets = insets(rng, num_prompt as u32);
    let prompt_logprobs = rng.random_bool(0.2).then(|| rng.random_range(0..3));
    let most = (longest - num_prompt).min(40) as u32;
    let max_tokens = match prompt_logprobs {
        Some(_) if rng.random_bool(0.3) => 0,
        _ => rng.random_range(1..=most),
    };
    let sampling = SamplingParams {
        seed: SEEDS[rng.random_range(0..SEEDS.len())].0,
        presence_penalty: if rng.random_bool(0.2) { 0.5 } else { 0.0 },
        logprobs: rng.random_bool(0.2).then_some(1),
        ..SamplingParams::default()
    };
    Request {
        id,
        scope: scope(rng),
        prompt,
        insets,
        sampling: Arc::new(sampling),
        stop: StopRules {
            max_tokens,
            min_tokens: if rng.random_bool(0.2) { rng.random_range(0..6) } else { 0 },
            eos_token_ids: vec![0],
            stop_token_ids: if rng.random_bool(0.2) { vec![3, 4] } else { vec![] },
            ignore_eos: rng.random_bool(0.2),
        },
        n: if rng.random_bool(0.25) { rng.random_range(2..=4) } else { 1 },
        prompt_logprobs,
        speculation: rng.random_bool(0.9),
        grammar: None,
        class: CLASSES[rng.random_range(0..CLASSES.len())],
        prediction: if rng.random_bool(0.2) { common[num_shared..].to_vec() } else { vec![] },
    }
}
