//! Blocks that no window reaches any more are another sequence's, whatever other layers see.

use engine_core::{CacheGroups, EngineLimits, FinishReason, RequestId};
use scheduler_batching::PlannerConfig;

use crate::bench::{Bench, LIMITS, config, num_input, request};

const WINDOW: EngineLimits = EngineLimits { groups: CacheGroups::windowed(10), ..LIMITS };
/// As Gemma 3 has it: of six layers one sees everything.
const MIXED: EngineLimits = EngineLimits {
    groups: CacheGroups { whole: 1, windowed: 5, window: 10 },
    num_blocks: 64 * 6,
    ..LIMITS
};
/// The blocks that ten positions may lie in.
const REACHED: usize = 4;

#[test]
fn a_long_sequence_holds_the_blocks_of_its_windows_only() {
    let cases = [(WINDOW, 0, 1), (MIXED, 1, 5)];
    for (limits, whole, windowed) in cases {
        for prefix_caching in [false, true] {
            let config = PlannerConfig { prefix_caching, ..config() };
            let mut bench = Bench::new(limits, config.clone());
            bench.submit(request(0, "a", &[1, 2, 3], 150));
            let mut most = 0;
            while bench.step().is_some() {
                most = most.max(bench.planner.stats().blocks_used);
            }
            // Drafts take what follows.
            let drafts = (LIMITS.max_step_tokens as usize).div_ceil(4);
            let columns = 153_usize.div_ceil(4);
            let allowed = whole * columns + windowed * (REACHED + drafts);
            assert!(most <= allowed, "{most} blocks of {limits:?}");
            let mut one_group = Bench::new(LIMITS, config);
            one_group.submit(request(0, "a", &[1, 2, 3], 150));
            one_group.run();
            assert_eq!(bench.tokens(0, 0), one_group.tokens(0, 0));
            assert_eq!(bench.tokens(0, 0).len(), 150);
        }
    }
}

#[test]
fn sequences_that_would_not_fit_whole_run_side_by_side() {
    // Four times 100 positions are 100 columns; there are 60, and nobody is preempted.
    let mixed = EngineLimits { num_blocks: 60 * 6, ..MIXED };
    for limits in [EngineLimits { num_blocks: 60, ..WINDOW }, mixed] {
        let mut bench = Bench::new(limits, config());
        let mut most = 0;
        for id in 0..4 {
            bench.submit(request(id, "a", &[id as u32 + 1; 5], 95));
        }
        while bench.step().is_some() {
            most = most.max(bench.planner.stats().running_seqs);
        }
        assert_eq!((most, bench.planner.stats().preemptions), (4, 0));
        assert!((0..4).all(|id| bench.tokens(id, 0).len() == 95));
    }
}

#[test]
fn a_prompt_that_is_longer_than_all_columns_runs() {
    // 30 columns of 4 are 120 positions; in chunks, the windowed groups need 5 × 11 blocks.
    let limits = EngineLimits { num_blocks: 30 * 6, ..MIXED };
    assert_eq!(limits.max_sequence_len(), 200);
    let prompt: Vec<u32> = (0..180).collect();
    let mut bench = Bench::new(limits, config());
    bench.submit(request(0, "a", &prompt, 20));
    bench.run();
    let mut ample = Bench::new(EngineLimits { num_blocks: 1000, ..LIMITS }, config());
    ample.submit(request(0, "a", &prompt, 20));
    ample.run();
    assert_eq!(bench.tokens(0, 0), ample.tokens(0, 0));
    assert_eq!(bench.tokens(0, 0).len(), 20);
}

#[test]
fn what_is_passed_is_found_as_long_as_nobody_needs_the_room() {
    for limits in [WINDOW, MIXED] {
        let mut bench = Bench::new(limits, config());
        for id in 0..2 {
            bench.submit(request(id, "a", &[7; 60], 5));
            bench.run();
        }
        assert_eq!(bench.usage(1).cached_tokens, 56);
        assert_eq!(bench.tokens(0, 0), bench.tokens(1, 0));
        // A beginning whose window was passed by both.
        bench.submit(request(2, "a", &[&[7; 31][..], &[8; 20]].concat(), 5));
        bench.run();
        assert_eq!(bench.usage(2).cached_tokens, 28);
        // Another tenant finds nothing.
        bench.submit(request(3, "b", &[7; 60], 5));
        bench.run();
        assert_eq!(bench.usage(3).cached_tokens, 0);
    }
}

#[test]
fn where_the_window_was_evicted_an_earlier_one_counts_or_none() {
    // What the first needs, and little more: the windows at its beginning are evicted first.
    let limits = EngineLimits { num_blocks: 14 + 5 * 11 + 14, ..MIXED };
    let first: Vec<u32> = (0..56).collect();
    let mut bench = Bench::new(limits, config());
    bench.submit(request(0, "a", &first, 2));
    bench.run();
    // Takes what was let go of first.
    bench.submit(request(1, "a", &[9; 40], 2));
    bench.run();
    let early = [&first[..21], &[5; 20]].concat();
    bench.submit(request(2, "a", &early, 2));
    let steps = bench.run();
    let cached = bench.usage(2).cached_tokens as usize;
    assert!(cached < 20, "{cached} tokens of a window that is not there");
    assert_eq!(num_input(&steps), early.len() - cached + 1);
    let mut fresh = Bench::new(LIMITS, config());
    fresh.submit(request(2, "a", &early, 2));
    fresh.run();
    assert_eq!(bench.tokens(2, 0), fresh.tokens(2, 0));
}

#[test]
fn preempted_and_resumed_cancelled_and_forked_sequences_leave_nothing() {
    let limits = EngineLimits { num_blocks: 90, ..MIXED };
    let mut bench = Bench::new(limits, config());
    for id in 0..6 {
        let mut request = request(id, "a", &[id as u32 + 1; 14], 40);
        request.n = 1 + id as u32 % 3;
        bench.submit(request);
    }
    for _ in 0..10 {
        bench.step();
    }
    bench.planner.cancel(RequestId(5));
    bench.run();
    let stats = bench.planner.stats();
    assert!(stats.preemptions > 0, "{stats:?}");
    assert_eq!(stats.blocks_used, 0);
    for id in 0..5 {
        let mut alone = Bench::new(LIMITS, config());
        let mut request = request(id, "a", &[id as u32 + 1; 14], 40);
        request.n = 1 + id as u32 % 3;
        alone.submit(request);
        alone.run();
        for choice in 0..=id as u32 % 3 {
            assert_eq!(bench.tokens(id, choice), alone.tokens(id, choice), "{id} {choice}");
        }
        assert!(bench.reasons(id).iter().all(|(_, reason)| *reason == FinishReason::Length));
    }
}
