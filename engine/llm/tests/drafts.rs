//! Drafts change how many steps an answer takes, and nothing of the answer: for every way of
//! choosing tokens, right, wrong and half right drafts give what one token a step gives, bit for
//! bit.

#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use std::sync::Arc;

use engine::{engine, exact, kv_in_8_bits, standard};
use engine_core::{
    BlockId, BlockTable, Engine, History, Sample, Sampled, SamplingParams, SeqId, SeqWork, Step,
    TokenId, Want,
};
use engine_llm::LlmEngine;

const NUM_TOKENS: usize = 40;
const NUM_DRAFTS: usize = 6;

/// Ways of choosing tokens, and ends that are banned before `MIN_TOKENS`.
fn cases() -> Vec<(&'static str, SamplingParams, bool)> {
    let base = SamplingParams::default;
    let greedy = || SamplingParams { temperature: 0.0, ..base() };
    vec![
        ("greedy", greedy(), false),
        ("greedy with logprobs", SamplingParams { logprobs: Some(3), ..greedy() }, false),
        ("greedy with bans", greedy(), true),
        ("seeded", SamplingParams { temperature: 0.8, top_p: 0.9, seed: 7, ..base() }, false),
        (
            "everything",
            SamplingParams {
                temperature: 0.7,
                top_k: 20,
                min_p: 0.01,
                repetition_penalty: 1.2,
                frequency_penalty: 0.4,
                presence_penalty: 0.3,
                logit_bias: vec![(5, 2.0), (9, -3.0)],
                seed: 11,
                logprobs: Some(2),
                ..base()
            },
            true,
        ),
    ]
}

const MIN_TOKENS: u32 = 13;

struct Run<'a> {
    engine: &'a mut LlmEngine,
    prompt: &'a [TokenId],
    params: Arc<SamplingParams>,
    banned: Arc<[TokenId]>,
    num_steps: usize,
}

impl Run<'_> {
    /// Generates with what `drafts` guesses at each place.
    fn generate(&mut self, drafts: &dyn Fn(usize) -> Vec<TokenId>) -> Vec<Sampled> {
        let mut known = self.prompt.to_vec();
        let (mut answer, mut cached) = (Vec::<Sampled>::new(), 0);
        while answer.len() < NUM_TOKENS {
            let mut drafts = drafts(answer.len());
            drafts.truncate(NUM_TOKENS - answer.len() - 1);
            let sampled = self.step(&known, cached, &drafts);
            cached = known.len() + sampled.len() - 1;
            known.extend(sampled.iter().map(|sampled| sampled.token));
            answer.extend(sampled);
        }
        answer
    }

    fn step(&mut self, known: &[TokenId], cached: usize, drafts: &[TokenId]) -> Vec<Sampled> {
        let num_prompt = self.prompt.len();
        let history = History { tokens: known.to_vec(), num_prompt_tokens: num_prompt as u32 };
        let sample = Sample {
            seed: self.params.seed,
            num_generated: (known.len() - num_prompt) as u32,
            min_tokens: MIN_TOKENS,
            banned: Arc::clone(&self.banned),
            history: self.params.needs_history().then_some(history),
            mask: None,
            params: Arc::clone(&self.params),
        };
        let work = SeqWork {
            seq: SeqId(0),
            adapter: None,
            input: [&known[cached..], drafts].concat(),
            insets: Vec::new(),
            num_drafts: drafts.len() as u32,
            num_cached_tokens: cached as u32,
            block_table: BlockTable((0..8).rev().map(BlockId).collect()),
            want: Want::Sample(sample),
            score: None,
        };
        self.num_steps += 1;
        let step = Step { step_idx: 0, work: vec![work] };
        let output = self.engine.execute(&step).expect("the step runs").outputs.remove(0);
        assert_eq!(output.error, None);
        output.sampled
    }
}

fn check(engine: &mut LlmEngine, prompt: &[TokenId], case: (&str, SamplingParams, bool)) {
    let (name, params, bans) = case;
    // Tokens that the model would say early, so that the ban matters.
    let greedy = Arc::new(SamplingParams { temperature: 0.0, ..SamplingParams::default() });
    let mut run = Run { engine, prompt, params: greedy, banned: [].into(), num_steps: 0 };
    if bans {
        run.banned = run.generate(&|_| Vec::new())[8..16].iter().map(|s| s.token).collect();
    }
    run.params = Arc::new(params);
    let plain = run.generate(&|_| Vec::new());
    let right = |place: usize| -> Vec<TokenId> {
        plain[place..].iter().take(NUM_DRAFTS).map(|sampled| sampled.token).collect()
    };
    let other = |token: TokenId| if token == 1 { 2 } else { 1 };
    let spoilt_from = |place, from| {
        let mut drafts = right(place);
        drafts.iter_mut().skip(from).for_each(|token| *token = other(*token));
        drafts
    };
    let steps = |num_right: usize| NUM_TOKENS.div_ceil(num_right + 1);
    for (kind, num_right) in [("right", NUM_DRAFTS), ("half right", 2), ("wrong", 0)] {
        run.num_steps = 0;
        let drafted = run.generate(&|place| spoilt_from(place, num_right));
        assert_eq!(drafted, plain, "{name}, {kind} drafts");
        assert_eq!(run.num_steps, steps(num_right), "{name}, {kind} drafts");
    }
    // More rows than logits are computed of at a time.
    let all = |place: usize| plain[place..].iter().map(|sampled| sampled.token).collect();
    assert_eq!(run.generate(&all), plain, "{name}, all drafted at once");
}

#[test]
fn drafts_change_nothing_of_the_answer() {
    for name in golden::TINY {
        for options in [exact(), standard(), kv_in_8_bits()] {
            let (model, golden) = golden::tiny(name);
            let mut engine = engine(model, options);
            for (case, params, bans) in cases() {
                let case = (&*format!("{name}, {case}"), params, bans);
                check(&mut engine, &golden.prompt, case);
            }
        }
    }
}
