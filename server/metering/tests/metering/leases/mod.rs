//! Limits that several processes have in common: the ledger never has more than a limit, whatever
//! the processes do, and nearly all of it is used.

mod world;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use server_metering::{
    Clock, Entry, LeaseOf, Limits, Meter, Micros, Period, Picos, Price, Prices, Refusal, Step,
    Tariff, Terms, Usage,
};

use self::world::{MICRO, NUM_PROCESSES, Name, World, limits, organization};
use crate::world::{book, model, path, tier};

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Begin { process: usize, input: u64, output: u64 },
    Deliver { idx: usize, percent: u64 },
    End { idx: usize, percent: u64 },
    Append,
    GiveBack { process: usize, of_all: bool },
    Pass { millis: u64 },
    NextDay,
}

fn event() -> impl Strategy<Value = Event> {
    let begin = (0..NUM_PROCESSES, 1..9_u64, 0..30_u64);
    let part = (any::<usize>(), 0..=100_u64);
    prop_oneof![
        8 => begin.prop_map(|(process, input, output)| Event::Begin { process, input, output }),
        3 => part.clone().prop_map(|(idx, percent)| Event::Deliver { idx, percent }),
        6 => part.prop_map(|(idx, percent)| Event::End { idx, percent }),
        4 => Just(Event::Append),
        3 => (0..NUM_PROCESSES, any::<bool>())
            .prop_map(|(process, of_all)| Event::GiveBack { process, of_all }),
        4 => (1..3_000_u64).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::NextDay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_passed_by_all_together(
        events in prop::collection::vec(event(), 1..200),
        budget in 20..400_i64,
        quota in 20..400_u64,
        at_once in 1..6_u64,
        has_steps in any::<bool>(),
    ) {
        let limits = limits(budget, quota, at_once);
        let prices = stepped(20, [(0, 3), (60, 1)]);
        let mut world = match has_steps {
            true => World::with(&limits, &book(prices.clone())),
            false => World::new(&limits),
        };
        for event in events {
            let num = world.running.len();
            match event {
                Event::Begin { process, input, output } => {
                    let begun = world.begin(process, input, output);
                    prop_assert!(!matches!(begun, Err(Refusal::NotLent | Refusal::Lender(_))));
                }
                Event::Deliver { idx, percent } if num > 0 => world.deliver(idx % num, percent),
                Event::End { idx, percent } if num > 0 => world.end(idx % num, percent),
                Event::Deliver { .. } | Event::End { .. } => {}
                Event::Append => world.append(),
                Event::GiveBack { process, of_all } => world.give_back(process, of_all),
                Event::Pass { millis } => world.clock.pass(Duration::from_millis(millis)),
                Event::NextDay => {
                    // Each second, really.
                    (0..NUM_PROCESSES).for_each(|process| world.give_back(process, true));
                    world.clock.pass(Duration::from_secs(86_400));
                }
            }
            world.check(budget, quota, at_once);
        }
        // All comes to its end, and nothing stays reserved.
        while !world.running.is_empty() {
            world.end(0, 100);
        }
        world.append();
        world.check(budget, quota, at_once);
        for _ in 0..2 {
            (0..NUM_PROCESSES).for_each(|process| world.give_back(process, true));
        }
        let now = world.clock.utc();
        let pool = world.pool.lock().unwrap();
        let is_now = |(_, of, number): &Name| {
            of.period().is_none_or(|period| period.number(now) == *number)
        };
        let left: Vec<_> = pool.reserved.iter()
            .filter(|((name, _), reserved)| is_now(name) && **reserved != 0)
            .collect();
        prop_assert!(left.is_empty(), "{left:?}");
        if has_steps {
            let spent: i128 = pool.ledger.iter().map(|line| line.cost.get()).sum();
            prop_assert_eq!(spent, exact(&prices, &pool.ledger));
        }
    }
}

/// Output with free units in each month, and prices from a unit on, in micro-units each.
fn stepped(free_units: u64, steps: [(u64, i64); 2]) -> Prices {
    let step = |(from, micros): (u64, i64)| {
        let price = Price::per_million(Micros::new(micros * 1_000_000)).unwrap();
        Step { from, price }
    };
    let terms = Terms { free_units, steps: steps.map(step).into(), committed: None };
    Prices::new(Period::Month).with(Meter::OutputTokens, Tariff::new(&terms).unwrap())
}

/// What all lines cost together: each unit of a month has its price once.
fn exact(prices: &Prices, lines: &[Entry]) -> i128 {
    let mut months = HashMap::<u64, Usage>::new();
    for line in lines {
        let used = months.entry(Period::Month.number(line.settled_at)).or_default();
        *used = used.checked_add(line.usage).unwrap();
    }
    months.into_values().map(|used| prices.cost(used, Usage::NONE).get()).sum()
}

#[test]
fn a_limit_is_used_up_by_all_together() {
    let mut world = World::new(&limits(1_000, 1_000_000, 100));
    let mut refused = 0;
    for turn in 0..2_000 {
        match world.begin(turn % NUM_PROCESSES, 1, 4) {
            Ok(_) => {}
            Err(Refusal::Budget { held, .. }) => {
                assert!(held > Micros::ZERO);
                refused += 1;
            }
            Err(refusal) => panic!("{refusal}"),
        }
        if world.running.len() >= 8 {
            world.end(turn % 8, 50);
        }
        world.clock.pass(Duration::from_millis(7));
        if turn % 5 == 0 {
            world.append();
            (0..NUM_PROCESSES).for_each(|process| world.give_back(process, turn % 100 == 0));
        }
        if world.pool.lock().unwrap().used(&budget_of_day(&world)) >= 970 * MICRO {
            break;
        }
    }
    while !world.running.is_empty() {
        world.end(0, 50);
    }
    world.append();
    let used = world.pool.lock().unwrap().used(&budget_of_day(&world));
    assert!((970 * MICRO..=1_000 * MICRO).contains(&used), "{used} were used, {refused} refused");
    // What is left is for whoever asks, when the others have given back.
    (0..NUM_PROCESSES).for_each(|process| world.give_back(process, true));
    world.clock.pass(Duration::from_secs(1));
    let left = u64::try_from(1_000 - used / MICRO).unwrap();
    if left > 1 {
        assert_eq!(world.begin(3, 1, 1_000).unwrap(), left - 1);
        world.end(0, 100);
        world.append();
        world.give_back(3, true);
    }
    let error = world.begin(0, 1, 1).unwrap_err();
    let is_used_up = matches!(error, Refusal::Budget { spent, .. } if spent > Micros::new(998));
    assert!(is_used_up, "{error}");
}

fn budget_of_day(world: &World) -> Name {
    let number = Period::Day.number(world.clock.utc());
    (organization(), LeaseOf::Money(Period::Day), number)
}

#[test]
fn a_rate_is_taken_out_of_one_bucket() {
    let rate = Limits { requests_per_minute: Some(10), ..Limits::default() };
    let mut world = World::new(&rate);
    let let_in = (0..60).filter(|turn| world.begin(turn % NUM_PROCESSES, 1, 1).is_ok()).count();
    assert_eq!(let_in, 10);
    let refused = world.begin(0, 1, 1).unwrap_err();
    let Refusal::Rate { status, retry_after, .. } = refused else { panic!("{refused}") };
    assert_eq!((status.limit, status.remaining), (10, 0));
    assert!(retry_after.unwrap() > Duration::from_secs(5), "{retry_after:?}");
    // Other limits hold for what is left.
    for (meters, ..) in &world.processes {
        meters.set_limits(&organization(), Limits::default());
    }
    assert!(world.begin(2, 1, 1).is_ok());
}

/// Processes charge the most, and the ledger what it costs: what was charged too much is there to
/// be used as soon as the ledger has said so.
#[test]
fn a_free_unit_is_free_once() {
    let prices = stepped(100, [(0, 5), (400, 2)]);
    // Charged are 3,000 micro-units: more than there are.
    let mut world = World::with(&limits(1_950, 1_000_000, 100), &book(prices.clone()));
    for turn in 0..60 {
        let process = turn / 7 % NUM_PROCESSES;
        assert_eq!(world.begin(process, 1, 10).unwrap(), 10, "{turn}");
        world.end(0, 100);
        world.append();
        // Runs of one process, and others that took a part just before.
        world.give_back(process, true);
        world.clock.pass(Duration::from_millis(300));
    }
    let ledger = world.pool.lock().unwrap().ledger.clone();
    let spent: i128 = ledger.iter().map(|it| it.cost.get()).sum();
    assert_eq!(spent, exact(&prices, &ledger));
    assert_eq!(spent, (300 * 5 + 200 * 2) * MICRO);
    // Fifty are left, for ten at the dearest price, which then cost two each.
    assert_eq!(world.begin(2, 1, 100).unwrap(), 10);
    let refused = world.begin(1, 1, 1).unwrap_err();
    let Refusal::Budget { spent, held, .. } = refused else { panic!("{refused}") };
    assert_eq!((spent, held), (Micros::new(1_900), Micros::new(50)));
    world.end(0, 100);
    // As long as the ledger has not said so, it may yet be had.
    let refused = world.begin(2, 1, 1).unwrap_err();
    assert!(
        refused.retry_after().is_some() && world.processes[2].0.may_get_more(&path("o", "p", "k"))
    );
    world.append();
    world.give_back(2, true);
    world.clock.pass(Duration::from_millis(300));
    assert_eq!(world.begin(1, 1, 100).unwrap(), 6);
}

/// What a quote goes on from is read out of the ledger.
#[test]
fn a_quote_goes_on_from_what_all_used() {
    let mut world = World::with(&Limits::default(), &book(stepped(100, [(0, 5), (400, 2)])));
    let id = path("o", "p", "k").organization;
    let quote = |world: &World, process: usize| {
        let (meters, ..) = &world.processes[process];
        world::now(meters.refresh(&id)).unwrap();
        let usage = Usage::NONE.with(Meter::OutputTokens, 100);
        meters.quote(&id, (&model(), &tier()), usage).unwrap().exact
    };
    assert_eq!(quote(&world, 0), Picos::ZERO);
    for process in [1, 2, 2] {
        world.begin(process, 1, 30).unwrap();
        world.end(0, 100);
    }
    world.append();
    for process in [0, 1, 0] {
        assert_eq!(quote(&world, process).get(), 90 * 5 * MICRO);
    }
}
