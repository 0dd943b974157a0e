//! An engine's time: held, counted from when the work began, and charged with what is delivered.

use std::time::Duration;

use server_metering::{
    Ask, Budget, Clock, Ending, Level, Limits, Meter, Micros, Period, Picos, Prices, Refusal, Usage,
};

use crate::world::{World, ask, book, flat, path, tokens};

/// A millisecond costs 7 pico-units, output 5.
fn world() -> World {
    let prices = Prices::new(Period::Month)
        .with(Meter::OutputTokens, flat(5))
        .with(Meter::ComputeMillis, flat(7));
    World::with(Default::default(), book(prices))
}

/// A request that may be computed for two seconds.
fn two_seconds(request: u64) -> Ask {
    let other = Usage::NONE.with(Meter::ComputeMillis, 2_000);
    Ask { other, ..ask(request, 1, 10) }
}

fn spent(world: &World) -> (Picos, Picos) {
    let standing = world.meters.standing(&path("o", "p", "k").account(Level::Organization));
    (standing.total.cost, standing.held.cost)
}

#[test]
fn the_time_since_the_work_began_is_charged_once() {
    let world = world();
    let mut permit = world.meters.admit(&path("o", "p", "k"), &two_seconds(1)).unwrap();
    assert_eq!(permit.held(), Picos::new(2_000 * 7 + 10 * 5));
    // It waits, and is not computed.
    world.clock.pass(Duration::from_secs(5));
    permit.computing(world.clock.now());
    world.clock.pass(Duration::from_millis(1_100));
    permit.delivered(tokens(1, 2));
    assert_eq!(spent(&world), (Picos::new(1_100 * 7 + 2 * 5), Picos::new(900 * 7 + 8 * 5)));
    // The first time holds.
    permit.computing(world.clock.now());
    world.clock.pass(Duration::from_millis(400));
    let receipt = permit.settle(tokens(1, 3), Ending::Finished);
    assert_eq!(receipt.usage, tokens(1, 3).with(Meter::ComputeMillis, 1_500));
    assert_eq!(receipt.cost, Picos::new(1_500 * 7 + 3 * 5));
    assert_eq!(spent(&world), (receipt.cost, Picos::ZERO));
}

#[test]
fn no_more_is_charged_than_was_held() {
    let world = world();
    let mut permit = world.meters.admit(&path("o", "p", "k"), &two_seconds(1)).unwrap();
    permit.computing(world.clock.now());
    world.clock.pass(Duration::from_secs(60));
    let receipt = permit.settle(tokens(1, 10), Ending::Finished);
    assert_eq!(receipt.usage.get(Meter::ComputeMillis), 2_000);
    assert_eq!(receipt.cost, Picos::new(2_000 * 7 + 10 * 5));
}

#[test]
fn what_delivers_nothing_and_what_was_never_computed_pay_for_no_time() {
    let world = world();
    let mut failed = world.meters.admit(&path("o", "p", "k"), &two_seconds(1)).unwrap();
    failed.computing(world.clock.now());
    let waiting = world.meters.admit(&path("o", "p", "k"), &two_seconds(2)).unwrap();
    world.clock.pass(Duration::from_secs(1));
    assert_eq!(failed.settle(Usage::NONE, Ending::Failed).usage, Usage::NONE);
    assert_eq!(waiting.settle(tokens(1, 0), Ending::Cancelled).usage, tokens(1, 0));
}

#[test]
fn a_budget_is_not_overspent_by_time() {
    let world = world();
    let (project, micro) = (path("o", "p", "k").account(Level::Project), Micros::new(1));
    let budget = Budget { period: Period::Total, amount: micro };
    world.meters.set_limits(&project, Limits { budgets: vec![budget], ..Limits::default() });
    // 10⁶ pico-units pay for 142,857 ms.
    let long = |request, millis| {
        let other = Usage::NONE.with(Meter::ComputeMillis, millis);
        world.meters.admit(&path("o", "p", "k"), &Ask { other, ..ask(request, 1, 10) })
    };
    assert!(matches!(long(1, 142_857), Err(Refusal::Budget { .. })));
    let permit = long(2, 142_850).unwrap();
    assert!(matches!(long(3, 1), Err(Refusal::Budget { .. })));
    drop(permit);
    assert!(long(4, 1).is_ok());
}
