//! Blocks that no window reaches any more are another sequence's.

use engine_core::EngineLimits;
use scheduler_batching::PlannerConfig;

use crate::bench::{Bench, LIMITS, config, request};

const WINDOW: EngineLimits = EngineLimits { window: Some(10), ..LIMITS };

#[test]
fn a_long_sequence_holds_the_blocks_of_its_window_only() {
    for prefix_caching in [false, true] {
        let config = PlannerConfig { prefix_caching, ..config() };
        let mut bench = Bench::new(WINDOW, config.clone());
        bench.submit(request(0, "a", &[1, 2, 3], 150));
        let mut most = 0;
        while bench.step().is_some() {
            most = most.max(bench.planner.stats().blocks_used);
        }
        // Ten positions may lie in four blocks of four, and drafts take what follows.
        let drafts = (LIMITS.max_step_tokens as usize).div_ceil(4);
        assert!(most <= 4 + drafts, "{most} blocks");
        let mut whole = Bench::new(LIMITS, config);
        whole.submit(request(0, "a", &[1, 2, 3], 150));
        whole.run();
        assert_eq!(bench.tokens(0, 0), whole.tokens(0, 0));
        assert_eq!(whole.tokens(0, 0).len(), 150);
    }
}

#[test]
fn sequences_that_would_not_fit_whole_run_side_by_side() {
    // Four times 100 positions are 100 blocks; there are 60, and nobody is preempted.
    let mut bench = Bench::new(EngineLimits { num_blocks: 60, ..WINDOW }, config());
    for id in 0..4 {
        bench.submit(request(id, "a", &[id as u32 + 1; 5], 95));
    }
    bench.run();
    assert_eq!(bench.planner.stats().preemptions, 0);
    assert!((0..4).all(|id| bench.tokens(id, 0).len() == 95));
    // What is passed can still be found, as long as nobody needs the room.
    let mut again = Bench::new(WINDOW, config());
    again.submit(request(0, "a", &[7; 60], 5));
    again.run();
    again.submit(request(1, "a", &[7; 60], 5));
    again.run();
    assert_eq!(again.usage(1).cached_tokens, 56);
    assert_eq!(again.tokens(0, 0), again.tokens(1, 0));
}
