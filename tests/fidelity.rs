//! The real model gives the same tokens however its work is scheduled: alone, batched, in
//! chunks, from the prefix cache, and preempted and resumed; in exact arithmetic and in what users
//! get.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use engine_core::{
    CacheScope, Engine, Event, Request, RequestId, SamplingParams, StopRules, TenantId, TokenId,
    Usage,
};
use engine_llm::executors::cpu::{KvDtype, Precision};
use scheduler_batching::{Planner, PlannerConfig};
use support::{run_all, smollm2};

/// Room for everything.
const AMPLE: usize = 256 << 20;
const MAX_TOKENS: u32 = 20;
type Numbers = (Precision, KvDtype);
/// Exact ones, those that users get, and those with the smallest cache.
const NUMBERS: [Numbers; 3] = [
    (Precision::Exact, KvDtype::F32),
    (Precision::Fast, KvDtype::Bf16),
    (Precision::Fast, KvDtype::Int8),
];

/// Prompts of differing lengths, made of ordinary tokens of the vocabulary.
fn prompts() -> Vec<Vec<TokenId>> {
    let text =
        |seed: u32, len: u32| (0..len).map(move |i| 300 + (i * i * 31 + seed * 977) % 20_000);
    [(1, 5), (2, 17), (3, 40), (4, 64), (5, 33), (6, 90)]
        .map(|(seed, len)| text(seed, len).collect())
        .into()
}

fn request(id: u64, prompt: Vec<TokenId>, sampling: SamplingParams) -> Request {
    Request {
        id: RequestId(id),
        scope: CacheScope {
            tenant: TenantId(format!("tenant-{}", id % 2).into()),
            model_version: "smollm2".into(),
            adapter: None,
        },
        prompt,
        insets: Vec::new(),
        sampling: Arc::new(sampling),
        stop: StopRules { max_tokens: MAX_TOKENS, ignore_eos: true, ..StopRules::default() },
        n: 1,
        prompt_logprobs: None,
        speculation: true,
        grammar: None,
        class: Default::default(),
        prediction: Vec::new(),
    }
}

fn requests(sampling: &SamplingParams) -> Vec<Request> {
    (0..).zip(prompts()).map(|(id, prompt)| request(id, prompt, sampling.clone())).collect()
}

fn greedy() -> SamplingParams {
    SamplingParams { temperature: 0.0, ..SamplingParams::default() }
}

fn config() -> PlannerConfig {
    PlannerConfig { prefix_caching: false, ..PlannerConfig::default() }
}

type Answers = BTreeMap<RequestId, (Vec<TokenId>, Usage)>;

fn answers(planner: &mut Planner, engine: &mut dyn Engine, requests: Vec<Request>) -> Answers {
    let read = |events: Vec<Event>| {
        let tokens: Vec<TokenId> = events
            .iter()
            .filter_map(|event| match event {
                Event::Token { token, .. } => Some(*token),
                _ => None,
            })
            .collect();
        match events.last() {
            Some(Event::Finished(usage)) => (tokens, *usage),
            other => panic!("the last event is {other:?}"),
        }
    };
    let events = run_all(planner, engine, requests);
    events.into_iter().map(|(id, events)| (id, read(events))).collect()
}

/// Every request alone.
fn alone(engine: &mut dyn Engine, requests: Vec<Request>) -> Answers {
    let mut all = Answers::new();
    for request in requests {
        let mut planner = Planner::new(engine.limits(), config());
        all.extend(answers(&mut planner, engine, vec![request]));
    }
    all
}

fn tokens(answers: &Answers) -> Vec<&[TokenId]> {
    answers.values().map(|(tokens, _)| tokens.as_slice()).collect()
}

#[test]
fn however_it_is_scheduled_greedy_text_is_the_same() {
    for numbers in NUMBERS {
        let mut engine = smollm2(AMPLE, numbers);
        let expected = alone(&mut engine, requests(&greedy()));
        assert!(expected.values().all(|(tokens, _)| tokens.len() == MAX_TOKENS as usize));
        let expected = tokens(&expected);

        let mut batched = Planner::new(engine.limits(), config());
        let got = answers(&mut batched, &mut engine, requests(&greedy()));
        assert_eq!(tokens(&got), expected, "batched, {numbers:?}");

        let in_chunks = PlannerConfig { prefill_chunk: 7, ..config() };
        let mut chunked = Planner::new(engine.limits(), in_chunks);
        let got = answers(&mut chunked, &mut engine, requests(&greedy()));
        assert_eq!(tokens(&got), expected, "in chunks, {numbers:?}");

        let caching = PlannerConfig { prefix_caching: true, ..config() };
        let mut cached = Planner::new(engine.limits(), caching);
        answers(&mut cached, &mut engine, requests(&greedy()));
        let got = answers(&mut cached, &mut engine, requests(&greedy()));
        assert!(got.values().any(|(_, usage)| usage.cached_tokens >= 64), "the cache was not used");
        assert_eq!(tokens(&got), expected, "from the prefix cache, {numbers:?}");
    }
}

#[test]
fn preempted_and_resumed_gives_the_same_text() {
    for numbers in NUMBERS {
        let mut ample = smollm2(AMPLE, numbers);
        let expected = alone(&mut ample, requests(&greedy()));
        let block_bytes = AMPLE / ample.limits().num_blocks as usize;
        drop(ample);
        // 8 blocks: the longest sequence needs 7, all of them together 23.
        let mut engine = smollm2(8 * block_bytes, numbers);
        assert_eq!(engine.limits().num_blocks, 8);
        // Guessing ahead, and one token at a time.
        for draft_fill in [config().draft_fill, 0] {
            let mut planner =
                Planner::new(engine.limits(), PlannerConfig { draft_fill, ..config() });
            let got = answers(&mut planner, &mut engine, requests(&greedy()));
            assert!(planner.stats().preemptions > 0, "nothing was preempted: {draft_fill}");
            assert_eq!(tokens(&got), tokens(&expected), "{numbers:?}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_text_whatever_else_runs() {
    let sampling = SamplingParams {
        temperature: 0.9,
        top_p: 0.9,
        seed: 7,
        frequency_penalty: 0.3,
        repetition_penalty: 1.1,
        ..SamplingParams::default()
    };
    for numbers in NUMBERS {
        let mut engine = smollm2(AMPLE, numbers);
        let expected = alone(&mut engine, requests(&sampling));
        let mut planner = Planner::new(engine.limits(), config());
        let got = answers(&mut planner, &mut engine, requests(&sampling));
        assert_eq!(tokens(&got), tokens(&expected), "{numbers:?}");
        let other = SamplingParams { seed: 8, ..sampling.clone() };
        let mut planner = Planner::new(engine.limits(), config());
        let got = answers(&mut planner, &mut engine, requests(&other));
        assert_ne!(tokens(&got), tokens(&expected), "another seed");
    }
}
