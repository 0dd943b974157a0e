//! A budget under many threads at once.

use std::sync::Barrier;
use std::thread;

use server_metering::{
    Budget, CappedBy, Ending, Level, Limits, Micros, Period, Picos, Quota, Refusal,
};

use crate::world::{World, ask, flat_prices, path, tokens};

const NUM_THREADS: u64 = 1_000;
/// Of input and output each, at a micro-unit a token.
const INPUT: u64 = 10;
const OUTPUT: u64 = 90;
/// What a hundred requests cost.
const BUDGET: i64 = 100 * 100;

fn world() -> World {
    // A micro-unit is 10⁶ pico-units.
    let world = World::with(Default::default(), flat_prices(1_000_000, 1_000_000, 1_000_000));
    let budget = Budget { period: Period::Total, amount: Micros::new(BUDGET) };
    for level in [Level::Organization, Level::Project] {
        let limits = Limits { budgets: vec![budget], ..Limits::default() };
        world.meters.set_limits(&path("o", "p", "k0").account(level), limits);
    }
    world
}

fn spent(world: &World) -> (i64, Picos) {
    let standing = world.meters.standing(&path("o", "p", "k0").account(Level::Organization));
    let spent = standing.total.cost.round_up().unwrap().get();
    (spent, standing.held.cost)
}

/// Runs the same on a thousand threads that begin at once.
fn on_all(work: impl Fn(u64) + Sync) {
    let barrier = Barrier::new(NUM_THREADS as usize);
    thread::scope(|scope| {
        for idx in 0..NUM_THREADS {
            let (barrier, work) = (&barrier, &work);
            let thread = thread::Builder::new().stack_size(256 << 10);
            let spawned = thread.spawn_scoped(scope, move || {
                barrier.wait();
                work(idx);
            });
            spawned.unwrap();
        }
    });
}

#[test]
fn of_a_thousand_that_use_all_they_hold_a_hundred_get_in_and_nothing_is_left() {
    let world = world();
    let barrier = Barrier::new(NUM_THREADS as usize);
    on_all(|idx| {
        let path = path("o", "p", &format!("k{}", idx % 7));
        let admitted = world.meters.admit(&path, &ask(idx, INPUT, OUTPUT));
        // All that get in run at once.
        barrier.wait();
        match admitted {
            Ok(permit) => {
                assert_eq!((permit.max_output_tokens(), permit.capped_by()), (OUTPUT, None));
                permit.settle(tokens(INPUT, OUTPUT), Ending::Finished);
            }
            Err(Refusal::Budget { level, spent, .. }) => {
                assert_eq!((level, spent), (Level::Organization, Micros::ZERO));
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert_eq!(spent(&world), (BUDGET, Picos::ZERO));
}

#[test]
fn of_a_thousand_that_use_less_the_rest_is_used_by_others_and_never_more() {
    let world = world();
    let one_more = i64::try_from(INPUT + 1).unwrap();
    on_all(|idx| {
        let path = path("o", "p", &format!("k{}", idx % 7));
        loop {
            match world.meters.admit(&path, &ask(idx, INPUT, OUTPUT)) {
                Ok(permit) => {
                    // From all of what it may to a third of it, some dropped.
                    let output = permit.max_output_tokens() / (idx % 3 + 1);
                    let mut permit = permit;
                    permit.delivered(tokens(INPUT, output));
                    if idx % 4 > 0 {
                        permit.settle(tokens(INPUT, output), Ending::Finished);
                    }
                    return;
                }
                // Others may give back what they hold.
                Err(Refusal::Budget { held, .. }) if held > Micros::ZERO => thread::yield_now(),
                Err(Refusal::Budget { limit, spent, .. }) => {
                    assert!(limit.get() - spent.get() < one_more);
                    return;
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
    let (spent, held) = spent(&world);
    assert!((BUDGET * 95 / 100..=BUDGET).contains(&spent), "{spent}");
    assert_eq!(held, Picos::ZERO);
}

#[test]
fn output_is_capped_at_what_is_left_for_a_token_at_least() {
    let world = world();
    let path = path("o", "p", "k");
    let admit =
        |request: &str, input, output| world.meters.admit(&path, &ask(request, input, output));
    let most = admit("most", 100, 9_800).unwrap();
    let capped = admit("capped", 60, 500).unwrap();
    assert_eq!(capped.max_output_tokens(), 40);
    let by_budget = CappedBy::Budget { level: Level::Organization, period: Period::Total };
    assert_eq!(capped.capped_by(), Some(by_budget));
    let refused = admit("refused", 0, 1).unwrap_err();
    assert!(matches!(&refused, Refusal::Budget { held, .. } if held.get() == BUDGET), "{refused}");
    assert!(refused.to_string().contains("0.000001 more is needed"), "{refused}");
    capped.settle(tokens(60, 38), Ending::Capped);
    // Two are left: a token of input, and one of output.
    assert_eq!(admit("two", 1, 9).unwrap().max_output_tokens(), 1);
    assert!(admit("three", 2, 9).is_err());
    drop(most);
    assert_eq!(spent(&world), (98, Picos::ZERO));
}

#[test]
fn a_quota_caps_output_and_says_that_it_was_not_the_budget() {
    let world = world();
    let path = path("o", "p", "k");
    let quota =
        Quota { meter: server_metering::Meter::OutputTokens, period: Period::Day, units: 8 };
    let limits = Limits { quotas: vec![quota], ..Limits::default() };
    world.meters.set_limits(&path.account(Level::Key), limits);
    let permit = world.meters.admit(&path, &ask("a", 1, 20)).unwrap();
    let by_quota = CappedBy::Quota { level: Level::Key, period: Period::Day };
    assert_eq!((permit.max_output_tokens(), permit.capped_by()), (8, Some(by_quota)));
    permit.settle(tokens(1, 8), Ending::Capped);
    let refused = world.meters.admit(&path, &ask("b", 1, 20)).unwrap_err();
    assert!(matches!(refused, Refusal::Quota { used: 8, needed: 1, .. }), "{refused}");
    assert_eq!(refused.retry_after(), None);
    // What generates nothing needs nothing of it.
    assert!(world.meters.admit(&path, &ask("c", 1, 0)).is_ok());
    world.clock.pass(std::time::Duration::from_secs(24 * 60 * 60));
    assert_eq!(world.meters.admit(&path, &ask("d", 1, 20)).unwrap().max_output_tokens(), 8);
}
