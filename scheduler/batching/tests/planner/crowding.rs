//! Long prompts beside everyone else, with the numbers of the product: 256 tokens per step.

use engine_core::{CacheGroups, EngineLimits, SeqId, Step, TokenId};
use engine_mock::{Fault, MockEngine};
use scheduler_batching::PlannerConfig;

use crate::bench::{Bench, request};

const LIMITS: EngineLimits = EngineLimits {
    block_size: 16,
    num_blocks: 2000,
    max_model_len: 8192,
    max_step_tokens: 256,
    max_step_seqs: 256,
    vocab_size: 10_000,
    groups: CacheGroups::WHOLE,
};

fn bench() -> Bench {
    Bench::new(LIMITS, PlannerConfig::default())
}

/// No two begin alike.
fn prompt(id: u64, len: u32) -> Vec<TokenId> {
    (0..len).map(|i| (id as u32 * 977 + i * 31) % 10_000).collect()
}

fn submit(bench: &mut Bench, id: u64, tenant: &str, num_prompt: u32) {
    bench.submit(request(id, tenant, &prompt(id, num_prompt), 40));
}

/// Input tokens of a sequence in a step.
fn tokens_of(step: &Step, seq: u64) -> usize {
    let own = step.work.iter().filter(|work| work.seq == SeqId(seq));
    own.map(|work| work.input.len()).sum()
}

#[test]
fn a_prompt_alone_takes_whole_steps_and_half_of_them_in_company() {
    let mut bench = bench();
    submit(&mut bench, 0, "a", 2000);
    for _ in 0..2 {
        assert_eq!(tokens_of(&bench.step().unwrap(), 0), 256);
    }
    submit(&mut bench, 1, "b", 20);
    // While the other begins, and while it decodes.
    for expect in [20, 1, 1] {
        let step = bench.step().unwrap();
        assert_eq!((tokens_of(&step, 0), tokens_of(&step, 1)), (128, expect));
    }
    bench.run();
    assert_eq!(bench.planner.stats().preemptions, 0);
}

#[test]
fn a_short_prompt_begins_at_once_beside_long_ones() {
    // Of the same tenant or of another: nobody's long prompts keep it out of the next step.
    for tenant in ["long", "short"] {
        let mut bench = bench();
        for id in 0..3 {
            submit(&mut bench, id, "long", 2000);
        }
        bench.step();
        submit(&mut bench, 3, tenant, 20);
        let step = bench.step().unwrap();
        assert_eq!(tokens_of(&step, 3), 20, "tenant {tenant}");
        assert!(tokens_of(&step, 0) >= 100, "the oldest goes on");
        assert_eq!(step.num_tokens(), 256, "nothing is left unused");
        assert_eq!(bench.tokens(3, 0).len(), 1);
    }
}

#[test]
fn a_flood_of_long_prompts_keeps_no_other_tenant_waiting() {
    let mut bench = bench();
    for id in 0..30 {
        submit(&mut bench, id, "flood", 1000);
    }
    for _ in 0..5 {
        bench.step();
    }
    assert!(bench.planner.stats().running <= 4, "{:?}", bench.planner.stats());
    submit(&mut bench, 100, "modest", 300);
    let mut num_steps = 0;
    while bench.tokens(100, 0).is_empty() {
        bench.step();
        num_steps += 1;
    }
    // Half of each step is its own: 300 tokens in chunks of 128.
    assert_eq!(num_steps, 3);
}

#[test]
fn tenants_share_the_prompt_tokens_of_a_step() {
    let mut bench = bench();
    for id in 0..4 {
        submit(&mut bench, id, "many", 2000);
    }
    submit(&mut bench, 4, "one", 2000);
    let (mut many, mut one) = (0, 0);
    for _ in 0..10 {
        let step = bench.step().unwrap();
        many += (0..4).map(|seq| tokens_of(&step, seq)).sum::<usize>();
        one += tokens_of(&step, 4);
    }
    assert_eq!((many, one), (1280, 1280));
}

#[test]
fn waiting_for_a_prefix_holds_up_nobody_else_of_the_tenant() {
    let mut bench = bench();
    submit(&mut bench, 0, "a", 2000);
    bench.step();
    // The same prompt again waits for the first to compute it; what comes after it does not.
    bench.submit(request(1, "a", &prompt(0, 2000), 40));
    submit(&mut bench, 2, "a", 20);
    let step = bench.step().unwrap();
    assert_eq!((tokens_of(&step, 1), tokens_of(&step, 2)), (0, 20));
    bench.run();
    assert!(bench.usage(1).cached_tokens >= 1984, "{:?}", bench.usage(1));
}

#[test]
fn coming_and_going_wipes_no_debt() {
    let limits = EngineLimits { max_step_seqs: 1, ..LIMITS };
    let mut bench = Bench::new(limits, PlannerConfig::default());
    for id in 0..200 {
        bench.submit(request(id, "steady", &prompt(id, 10), 10));
    }
    // One large request at a time, the next when it has ended: never two live at once.
    let mut pulse = 1000;
    bench.submit(request(pulse, "pulse", &prompt(pulse, 100), 100));
    for _ in 0..1500 {
        bench.step();
        if bench.has_ended(pulse) {
            pulse += 1;
            bench.submit(request(pulse, "pulse", &prompt(pulse, 100), 100));
        }
    }
    let ended = |ids: std::ops::Range<u64>| ids.filter(|id| bench.has_ended(*id)).count() as i64;
    let (steady, pulsing) = (20 * ended(0..200), 200 * ended(1000..2000));
    assert!(pulsing > 0 && (steady - pulsing).abs() <= 400, "{steady} and {pulsing} tokens");
}

#[test]
fn a_bad_sequence_fails_its_own_request_only() {
    let mut bench = bench();
    // In step 1: the siblings of request 0 do not run yet, so entry 1 is request 1.
    bench.engine = MockEngine::new(LIMITS, Default::default()).with_fault(1, Fault::Sequence(1));
    for id in 0..3 {
        submit(&mut bench, id, "a", 50);
    }
    bench.run();
    let failed = |id| matches!(bench.events[&id].last(), Some(engine_core::Event::Failed(_)));
    assert_eq!([0, 1, 2].map(failed), [false, true, false]);
    for id in [0, 2] {
        assert_eq!(bench.usage(id).completion_tokens, 40);
    }
    // Nothing that a bad sequence computed is found again.
    bench.submit(request(3, "a", &prompt(1, 50), 1));
    bench.run();
    assert_eq!(bench.usage(3).cached_tokens, 0);
}

#[test]
fn a_bad_choice_fails_its_whole_request() {
    for entry in 0..3 {
        let mut bench = bench();
        let engine = MockEngine::new(LIMITS, Default::default());
        bench.engine = engine.with_fault(3, Fault::Sequence(entry));
        let mut three = request(0, "a", &prompt(0, 50), 9);
        three.n = 3;
        bench.submit(three);
        bench.run();
        assert!(matches!(bench.events[&0].last(), Some(engine_core::Event::Failed(_))));
        assert_eq!(bench.planner.stats().blocks_used, 0);
    }
}
