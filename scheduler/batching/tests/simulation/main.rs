//! Thousands of random schedules, each compared with every request run alone.
//!
//! A failure prints its seed; `SIM_SEED=n` runs that one only.

mod alone;
mod expect;
mod expected;
mod fairness;
mod make;
mod world;

use world::{Heard, World, worlds};

/// Runs worlds with these seeds to their end.
fn run(seeds: std::ops::Range<u64>, shape: fn(&mut World)) {
    for seed in worlds(seeds) {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::random(seed);
            shape(&mut world);
            world.run()
        });
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(what)) => panic!("SIM_SEED={seed}: {what}"),
            Err(panic) => {
                eprintln_seed(seed);
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// The panic's own message is printed already; this adds where it came from.
#[allow(clippy::print_stderr)] // a test's output is for the terminal
fn eprintln_seed(seed: u64) {
    eprintln!("SIM_SEED={seed}");
}

#[test]
fn random_schedules() {
    run(0..1500, |_| {});
}

#[test]
fn random_schedules_without_prefix_caching() {
    run(10_000..10_500, |world| world.config.prefix_caching = false);
}

#[test]
fn random_schedules_without_cancels_and_faults_finish_everything() {
    run(20_000..20_500, World::leave_in_peace);
}

#[test]
fn guessing_ahead_changes_nothing_that_a_caller_hears() {
    for seed in worlds(30_000..30_300) {
        let run = |draft_fill| {
            let mut world = World::random(seed);
            world.leave_in_peace();
            // Who is refused depends on how fast the others are.
            (world.config.max_waiting, world.config.max_waiting_per_tenant) = (100, 100);
            world.config.draft_fill = draft_fill;
            world.run().unwrap_or_else(|what| panic!("SIM_SEED={seed}: {what}"));
            world
        };
        let (plain, drafted) = (run(0), run(24));
        assert_eq!(plain.planner.stats().draft_tokens, 0);
        assert_eq!(plain.heard.len(), drafted.heard.len());
        for (id, plain) in &plain.heard {
            let drafted = &drafted.heard[id];
            assert_eq!(plain.tokens, drafted.tokens, "SIM_SEED={seed} {id:?}");
            assert_eq!(plain.logprobs, drafted.logprobs, "SIM_SEED={seed} {id:?}");
            assert_eq!(plain.reasons, drafted.reasons, "SIM_SEED={seed} {id:?}");
            let billed = |heard: &Heard| heard.finished.map(|usage| usage.completion_tokens);
            assert_eq!(billed(plain), billed(drafted), "SIM_SEED={seed} {id:?}");
        }
    }
}

#[test]
fn the_simulation_reaches_what_it_is_for() {
    let mut sum = scheduler_batching::Stats::default();
    let (mut failed, mut refused) = (0, 0);
    let mut cached_in_groups = 0;
    for seed in 0..300 {
        let mut world = World::random(seed);
        world.run().unwrap();
        let stats = world.planner.stats();
        sum.preemptions += stats.preemptions;
        sum.cached_tokens += stats.cached_tokens;
        if world.limits.groups.whole.min(world.limits.groups.windowed) > 0 {
            cached_in_groups += stats.cached_tokens;
        }
        sum.prefix_hits += stats.prefix_hits;
        sum.generated_tokens += stats.generated_tokens;
        sum.draft_tokens += stats.draft_tokens;
        sum.accepted_draft_tokens += stats.accepted_draft_tokens;
        failed += world.num_failed();
        refused += world.num_refused;
    }
    assert!(sum.preemptions > 200, "{sum:?}");
    // Prompts with things to see share less, and so do groups with little room for windows.
    assert!(sum.cached_tokens > 300, "{sum:?}");
    assert!(cached_in_groups > 20, "{cached_in_groups}");
    assert!(sum.prefix_hits > 200, "{sum:?}");
    assert!(sum.generated_tokens > 5000, "{sum:?}");
    assert!(sum.accepted_draft_tokens > 500, "{sum:?}");
    assert!(sum.draft_tokens - sum.accepted_draft_tokens > 500, "{sum:?}");
    assert!(failed > 20, "{failed}");
    assert!(refused > 50, "{refused}");
}
