//! The mock notices what a planner could do wrong, and is deterministic where it may be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine_core::{
    BlockId, BlockTable, CacheGroups, Engine, EngineError, EngineLimits, Sample, SamplingParams,
    Score, SeqId, SeqWork, Step, TokenId, Want,
};
use engine_mock::{Fault, MockEngine, MockModel};

const LIMITS: EngineLimits = EngineLimits {
    block_size: 2,
    num_blocks: 8,
    max_model_len: 10,
    max_step_tokens: 6,
    max_step_seqs: 2,
    vocab_size: 300,
    groups: CacheGroups::WHOLE,
};

fn engine() -> MockEngine {
    MockEngine::new(LIMITS, MockModel { seed: 1, ..MockModel::default() })
}

fn sample(seed: u64, num_generated: u32, banned: &[TokenId]) -> Want {
    Want::Sample(Sample {
        params: Arc::new(SamplingParams::default()),
        seed,
        num_generated,
        min_tokens: num_generated + 1,
        banned: banned.into(),
        history: None,
        mask: None,
    })
}

fn work(seq: u64, input: &[TokenId], cached: u32, blocks: &[u32]) -> SeqWork {
    SeqWork {
        seq: SeqId(seq),
        adapter: None,
        input: input.to_vec(),
        insets: Vec::new(),
        num_drafts: 0,
        num_cached_tokens: cached,
        block_table: BlockTable(blocks.iter().copied().map(BlockId).collect()),
        want: sample(7, 0, &[]),
        score: None,
    }
}

fn tokens(engine: &mut MockEngine, idx: u64, work: Vec<SeqWork>) -> Vec<TokenId> {
    let out = engine.execute(&Step { step_idx: idx, work }).unwrap();
    out.outputs.iter().flat_map(|o| &o.sampled).map(|s| s.token).collect()
}

fn refusal(engine: &mut MockEngine, idx: u64, work: Vec<SeqWork>) -> String {
    match engine.execute(&Step { step_idx: idx, work }) {
        Err(EngineError::InvalidStep(text)) => text,
        other => panic!("accepted: {other:?}"),
    }
}

#[test]
fn whole_chunked_and_moved_prompts_give_the_same_token() {
    let whole = tokens(&mut engine(), 0, vec![work(0, &[1, 2, 3, 4], 0, &[0, 1])]);
    let mut chunked = engine();
    tokens(&mut chunked, 0, vec![work(0, &[1, 2, 3], 0, &[5, 2])]);
    assert_eq!(tokens(&mut chunked, 1, vec![work(0, &[4], 3, &[5, 2])]), whole);
    // Another sequence takes the first block over.
    assert_eq!(tokens(&mut chunked, 2, vec![work(1, &[3, 4], 2, &[5, 7])]), whole);
    let mut other = work(0, &[1, 2, 3, 4], 0, &[0, 1]);
    other.want = sample(8, 0, &[]);
    assert_ne!(tokens(&mut engine(), 0, vec![other]), whole);
}

#[test]
fn right_drafts_bring_the_tokens_that_steps_of_one_bring() {
    let mut one_by_one = engine();
    let mut said = Vec::new();
    for idx in 0..3 {
        let input = [&[1, 2][..], &said].concat();
        let mut work = work(0, &input, 0, &[0, 1, 2]);
        work.want = sample(7, idx, &[]);
        said.extend(tokens(&mut one_by_one, idx.into(), vec![work]));
    }
    for (drafts, num_right) in [([said[0], said[1]], 2), ([said[0], said[1] + 1], 1), ([0, 0], 0)] {
        let input = [1, 2, drafts[0], drafts[1]];
        let drafted = SeqWork { num_drafts: 2, ..work(0, &input, 0, &[0, 1]) };
        assert_eq!(tokens(&mut engine(), 0, vec![drafted]), said[..=num_right], "{drafts:?}");
    }
}

#[test]
fn wrong_steps_are_refused() {
    let long: Vec<_> = (0..7).collect();
    let mut twice = work(0, &[1], 0, &[0]);
    twice.seq = SeqId(1);
    let mut scored = work(0, &[1, 2], 0, &[0]);
    scored.score = Some(Score { targets: vec![3], num_top: 0 });
    let unasked = SeqWork { num_drafts: 1, want: Want::Nothing, ..work(0, &[1, 2], 0, &[0]) };
    let cases = [
        (vec![], "empty"),
        (vec![work(0, &long, 0, &[0, 1, 2, 3])], "7 tokens, limit 6"),
        (vec![work(0, &[1], 0, &[0]), work(1, &[1], 0, &[1]), work(2, &[1], 0, &[2])], "3 seq"),
        (vec![work(0, &[1], 0, &[0]), work(0, &[1], 0, &[1])], "twice"),
        (vec![work(0, &[1], 0, &[0]), twice], "written twice"),
        (vec![work(0, &[1, 2, 3], 0, &[0])], "do not cover"),
        (vec![work(0, &[1, 2, 3], 0, &[0, 0])], "in the table twice"),
        (vec![work(0, &[1], 0, &[9])], "does not exist"),
        (vec![work(0, &[300], 0, &[0])], "vocabulary"),
        (vec![work(0, &[1], 1, &[0])], "never written"),
        (vec![work(0, &[], 0, &[0])], "no input"),
        (vec![work(0, &[1], 10, &[0, 1, 2, 3, 4, 5])], "11 positions"),
        (vec![scored], "targets"),
        (vec![SeqWork { num_drafts: 2, ..work(0, &[1, 2], 0, &[0]) }], "is drafts"),
        (vec![unasked], "nothing is sampled"),
    ];
    for (work, expect) in cases {
        let text = refusal(&mut engine(), 0, work);
        assert!(text.contains(expect), "{text:?} lacks {expect:?}");
    }
}

#[test]
fn stale_and_foreign_blocks_are_noticed() {
    let mut engine = engine();
    tokens(&mut engine, 0, vec![work(0, &[1, 2], 0, &[0]), work(1, &[5, 6], 0, &[1])]);
    // Block 1 was computed at positions 0 and 1, not 2 and 3.
    let text = refusal(&mut engine, 1, vec![work(0, &[9], 4, &[0, 1, 2])]);
    assert!(text.contains("of position 0"), "{text}");
    tokens(&mut engine, 2, vec![work(0, &[3, 4], 2, &[0, 2])]);
    // Right positions, but computed after other tokens.
    let text = refusal(&mut engine, 3, vec![work(1, &[9], 4, &[1, 2, 3])]);
    assert!(text.contains("another prefix"), "{text}");
    // One writes what the other reads.
    let both = vec![work(0, &[9], 4, &[0, 2, 3]), work(1, &[8, 8], 0, &[0])];
    let text = refusal(&mut engine, 4, both);
    assert!(text.contains("after"), "{text}");
}

#[test]
fn a_group_reads_its_own_blocks_as_far_as_its_window_goes() {
    let groups = CacheGroups { whole: 1, windowed: 1, window: 2 };
    let limits = EngineLimits { groups, ..LIMITS };
    let mut engine = MockEngine::new(limits, MockModel::default());
    // Columns of two blocks, two positions each.
    tokens(&mut engine, 0, vec![work(0, &[1, 2, 3, 4], 0, &[0, 1, 2, 3])]);
    let text = refusal(&mut engine, 1, vec![work(0, &[9], 4, &[0, 1, 3, 2, 4, 5])]);
    assert!(text.contains("of group"), "{text}");
    // Another sequence has what the window is past; and what it is not past.
    tokens(&mut engine, 2, vec![work(1, &[5], 0, &[6, 1])]);
    tokens(&mut engine, 3, vec![work(0, &[9], 4, &[0, 1, 2, 3, 4, 5])]);
    let both = vec![work(0, &[9], 4, &[0, 1, 2, 3, 4, 5]), work(2, &[5], 0, &[6, 3])];
    assert!(refusal(&mut engine, 4, both).contains("after"));
    let text = refusal(&mut engine, 5, vec![work(0, &[1, 2, 3], 0, &[0, 1, 2])]);
    assert!(text.contains("do not cover"), "{text}");
}

#[test]
fn a_fault_leaves_nothing_good_and_the_next_step_works() {
    let mut engine =
        engine().with_fault(1, Fault::Error("gone".into())).with_fault(2, Fault::Panic);
    let before = tokens(&mut engine, 0, vec![work(0, &[1, 2], 0, &[0])]);
    let step = |idx| Step { step_idx: idx, work: vec![work(0, &[1, 2], 0, &[0])] };
    let error = engine.execute(&step(1)).unwrap_err();
    assert_eq!(error, EngineError::Device("gone".into()));
    assert!(catch_unwind(AssertUnwindSafe(|| engine.execute(&step(2)))).is_err());
    assert!(refusal(&mut engine, 3, vec![work(0, &[3], 2, &[0, 1])]).contains("spoilt"));
    assert_eq!(tokens(&mut engine, 4, vec![work(0, &[1, 2], 0, &[0])]), before);
}

#[test]
fn a_fault_of_one_sequence_leaves_the_others_well() {
    let both = || vec![work(0, &[1, 2], 0, &[0]), work(1, &[5, 6], 0, &[1])];
    let well = tokens(&mut engine(), 0, both());
    let mut engine = engine().with_fault(0, Fault::Sequence(3));
    let outputs = engine.execute(&Step { step_idx: 0, work: both() }).unwrap().outputs;
    assert_eq!((&outputs[0].error, outputs[0].sampled[0].token), (&None, well[0]));
    assert!(matches!(outputs[1].error, Some(EngineError::Device(_))));
    assert_eq!(outputs[1].sampled, []);
    tokens(&mut engine, 1, vec![work(0, &[3], 2, &[0, 2])]);
    assert!(refusal(&mut engine, 2, vec![work(1, &[3], 2, &[1, 3])]).contains("spoilt"));
}

#[test]
fn scripts_speak_and_end_unless_banned() {
    let model = MockModel::scripted("hi", 256);
    let mut engine = MockEngine::new(LIMITS, model);
    let mut said = Vec::new();
    for (idx, banned) in [&[][..], &[], &[], &[256]].iter().enumerate() {
        let mut work = work(0, &[1], 0, &[0]);
        work.want = sample(0, idx.min(2) as u32, banned);
        said.extend(tokens(&mut engine, idx as u64, vec![work]));
    }
    assert_eq!(said, [104, 105, 256, 257]);
}

#[test]
fn eos_comes_as_often_as_asked_for() {
    for (probability, expect) in [(0.0, 0..1), (0.25, 200..300), (1.0, 1000..1001)] {
        let model =
            MockModel { eos_token: Some(0), eos_probability: probability, ..MockModel::default() };
        let mut engine = MockEngine::new(LIMITS, model);
        let ends = (0..1000).filter(|idx| {
            let mut work = work(0, &[1], 0, &[0]);
            work.want = sample(*idx, 0, &[]);
            tokens(&mut engine, *idx, vec![work]) == [0]
        });
        let count = ends.count();
        assert!(expect.contains(&count), "{count} of 1000 at {probability}");
    }
}

#[test]
fn the_clock_moves_by_what_steps_cost() {
    let mut engine = engine();
    let clock = engine.clock();
    tokens(&mut engine, 0, vec![work(0, &[1, 2, 3], 0, &[0, 1])]);
    assert_eq!(clock.now().as_micros(), 1030);
}
