//! Where some layers have windows and others see everything, real models say the same with blocks
//! that go back as with all layers' blocks kept together, and more of them run in as much memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine_core::{
    CacheGroups, CacheScope, Engine, Event, InvalidRequest, Request, RequestId, SamplingParams,
    StopRules, TenantId, TokenId, TokenLogprobs, Usage,
};
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision, kv_cache_bytes},
    weights,
};
use scheduler_batching::{Planner, PlannerConfig, SubmitError};

type Numbers = (Precision, KvDtype);
const NUMBERS: [Numbers; 3] = [
    (Precision::Exact, KvDtype::F32),
    (Precision::Fast, KvDtype::Bf16),
    (Precision::Fast, KvDtype::Int8),
];
/// Of seven layers six have a window; of three two; of five four; of five four attend in chunks.
const MODELS: [&str; 4] = ["gemma3", "gpt-oss", "command-r7b", "llama4"];
const MAX_STEP_TOKENS: usize = 64;
const MAX_MODEL_LEN: usize = 1024;

/// Whose blocks are whose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    /// Blocks of all layers together, as where all layers are alike.
    Together,
    /// Each group's on its own.
    InGroups,
}

/// A tiny model with a cache of as many bytes as so many blocks of all layers take.
fn engine(name: &str, numbers: Numbers, kept: Kept, blocks: usize) -> LlmEngine {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/llm/testdata/families");
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    let files = files.map(|file| (file.to_owned(), folder.join(name).join(file)));
    let files: BTreeMap<_, _> = files.into_iter().filter(|(_, path)| path.exists()).collect();
    let mut model = weights::open(&files).expect("the model opens");
    let ((precision, kv_dtype), vocab_size) = (numbers, model.spec.vocab_size);
    // As if it were made for texts that no window is shorter than.
    model.spec.max_model_len = 1;
    let kv_cache_bytes = kv_cache_bytes(&model.spec, kv_dtype, blocks);
    if kept == Kept::InGroups {
        model.spec.max_model_len = MAX_MODEL_LEN;
    }
    let options = CpuOptions {
        threads: 2,
        kv_cache_bytes,
        kv_dtype,
        max_step_tokens: MAX_STEP_TOKENS,
        precision,
        max_adapter_rank: 0,
        packed: None,
    };
    let executor = CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
    let engine = LlmEngine::new(Box::new(executor), vocab_size, MAX_MODEL_LEN, 16);
    assert_eq!(engine.limits().groups == CacheGroups::WHOLE, kept == Kept::Together);
    engine
}

fn prompt(seed: u32, len: u32) -> Vec<TokenId> {
    (0..len).map(|i| 3 + (i * i * 31 + i * 7 + seed * 977) % 90).collect()
}

fn request(id: u64, prompt: Vec<TokenId>, max_tokens: u32) -> Request {
    Request {
        id: RequestId(id),
        scope: CacheScope {
            tenant: TenantId("tenant".into()),
            model_version: "tiny".into(),
            adapter: None,
        },
        prompt,
        insets: Vec::new(),
        sampling: Arc::new(SamplingParams {
            temperature: 0.7,
            seed: id,
            logprobs: Some(3),
            ..SamplingParams::default()
        }),
        stop: StopRules { max_tokens, ignore_eos: true, ..StopRules::default() },
        n: 1,
        prompt_logprobs: None,
        speculation: true,
        grammar: None,
        class: Default::default(),
        prediction: Vec::new(),
    }
}

fn config() -> PlannerConfig {
    PlannerConfig { prefix_caching: false, ..PlannerConfig::default() }
}

/// Tokens with what the model thought of them, and usage.
type Answer = (Vec<(TokenId, Option<TokenLogprobs>)>, Usage);

/// Runs all to their ends; the answers, and how many sequences ran at once at most.
fn run(
    planner: &mut Planner,
    engine: &mut LlmEngine,
    requests: Vec<Request>,
) -> (Vec<Answer>, usize) {
    let mut answers: BTreeMap<RequestId, Answer> = BTreeMap::new();
    for request in requests {
        answers.insert(request.id, Answer::default());
        planner.submit(request).expect("it is taken");
    }
    let mut most = 0;
    while let Some(step) = planner.plan() {
        let output = engine.execute(&step);
        planner.commit(step, output);
        planner.audit().expect("blocks and queues are consistent");
        most = most.max(planner.stats().running_seqs);
        for (id, event) in planner.drain_events() {
            let answer = answers.get_mut(&id).expect("a request that was made");
            match event {
                Event::Token { token, logprobs, .. } => answer.0.push((token, logprobs)),
                Event::Finished(usage) => answer.1 = usage,
                Event::Failed(error) => panic!("{id:?}: {error}"),
                _ => {}
            }
        }
    }
    (answers.into_values().collect(), most)
}

fn said(answers: &[Answer]) -> Vec<&[(TokenId, Option<TokenLogprobs>)]> {
    answers.iter().map(|(tokens, _)| tokens.as_slice()).collect()
}

/// Each alone, with room for everything and blocks of all layers kept together.
fn expected(name: &str, numbers: Numbers, requests: &[Request]) -> Vec<Answer> {
    let mut ample = engine(name, numbers, Kept::Together, 200);
    let alone = requests.iter().flat_map(|request| {
        let mut planner = Planner::new(ample.limits(), config());
        run(&mut planner, &mut ample, vec![request.clone()]).0
    });
    alone.collect()
}

#[test]
fn a_context_that_did_not_fit_does_and_says_the_same() {
    for name in MODELS {
        for numbers in NUMBERS {
            let requests = vec![request(0, prompt(1, 480), 60)];
            let expected = expected(name, numbers, &requests);
            assert_eq!(expected[0].0.len(), 60);
            // 540 positions are 34 blocks.
            let together = engine(name, numbers, Kept::Together, 24);
            let refused = Planner::new(together.limits(), config()).submit(requests[0].clone());
            let too_long = InvalidRequest::PromptTooLong { prompt_tokens: 480, max_model_len: 384 };
            assert_eq!(refused, Err(SubmitError::Invalid(too_long)), "{name}");
            let mut in_groups = engine(name, numbers, Kept::InGroups, 24);
            // Guessing ahead and not, in large chunks and in small ones.
            for (draft_fill, prefill_chunk) in [(8, 512), (0, 64), (24, 23)] {
                let config = PlannerConfig { draft_fill, prefill_chunk, ..config() };
                let mut planner = Planner::new(in_groups.limits(), config);
                let (got, _) = run(&mut planner, &mut in_groups, requests.clone());
                assert_eq!(said(&got), said(&expected), "{name} {numbers:?} {prefill_chunk}");
            }
        }
    }
}

#[test]
fn more_sequences_run_at_once_and_say_the_same() {
    let requests: Vec<_> = (0..6).map(|id| request(id, prompt(id as u32, 150), 90)).collect();
    for name in MODELS {
        let numbers = NUMBERS[1];
        let expected = expected(name, numbers, &requests);
        // 240 positions are 15 blocks.
        let of = |kept| {
            let mut engine = engine(name, numbers, kept, 60);
            let mut planner = Planner::new(engine.limits(), config());
            let (got, most) = run(&mut planner, &mut engine, requests.clone());
            assert_eq!(said(&got), said(&expected), "{name} {kept:?}");
            (most, planner.stats().preemptions)
        };
        let (together, in_groups) = (of(Kept::Together), of(Kept::InGroups));
        assert!(together.0 < 6 || together.1 > 0, "{name}: {together:?}");
        assert_eq!(in_groups, (6, 0), "{name}; together {together:?}");
    }
}

#[test]
fn preempted_and_resumed_gives_the_same() {
    let requests: Vec<_> = (0..6).map(|id| request(id, prompt(id as u32, 20), 200)).collect();
    for name in MODELS {
        for numbers in [NUMBERS[0], NUMBERS[2]] {
            let expected = expected(name, numbers, &requests);
            let mut tight = engine(name, numbers, Kept::InGroups, 22);
            for prefix_caching in [false, true] {
                let config = PlannerConfig { prefix_caching, ..config() };
                let mut planner = Planner::new(tight.limits(), config);
                let (got, _) = run(&mut planner, &mut tight, requests.clone());
                assert!(planner.stats().preemptions > 0, "{name}: nothing was preempted");
                assert_eq!(said(&got), said(&expected), "{name} {numbers:?} {prefix_caching}");
            }
        }
    }
}

#[test]
fn what_the_prefix_cache_gives_is_the_same() {
    let first = prompt(1, 300);
    // The same again; its beginning, whose windows were passed; a second turn.
    let beginning = [&first[..170], &prompt(2, 40)[..]].concat();
    let turn = [&first[..], &prompt(3, 50)[..]].concat();
    let requests = [first.clone(), first, beginning, turn];
    let requests: Vec<_> =
        (0..).zip(requests).map(|(id, prompt)| request(id, prompt, 30)).collect();
    for name in MODELS {
        for numbers in NUMBERS {
            let expected = expected(name, numbers, &requests);
            // Room for all that was cached, and so little that it is evicted again and again.
            for (blocks, found) in [(200, Some([0, 288, 160, 288])), (30, None)] {
                let mut engine = engine(name, numbers, Kept::InGroups, blocks);
                let config = PlannerConfig { prefix_caching: true, ..config() };
                let mut planner = Planner::new(engine.limits(), config);
                let mut cached = Vec::new();
                for (request, expected) in requests.iter().zip(&expected) {
                    let (got, _) = run(&mut planner, &mut engine, vec![request.clone()]);
                    assert_eq!(got[0].0, expected.0, "{name} {numbers:?} {:?}", request.id);
                    cached.push(got[0].1.cached_tokens);
                }
                if let Some(found) = found {
                    assert_eq!(cached, found, "{name} {numbers:?}");
                }
            }
        }
    }
}
