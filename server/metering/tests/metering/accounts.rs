//! Levels, their limits and what stands on them.

use std::time::Duration;

use proptest::prelude::*;
use server_metering::{
    AccountId, Ask, Budget, Ending, JournalError, JournalOptions, Level, Limits, Meter, Micros,
    ModelId, Path, Period, Picos, Price, PriceBook, Prices, Quota, RateKind, RateStatuses, Refusal,
    Standing, Step, Sum, Tariff, Terms, Tier, Usage, Validity,
};

use crate::world::{
    MemoryLedger, World, ask, book, eventually, flat, flat_prices, model, path, tier, tokens,
};

fn standings(world: &World, path: &Path) -> ([Standing; 3], RateStatuses) {
    let standing = Level::ALL.map(|level| world.meters.standing(&path.account(level)));
    (standing, world.meters.rates(path))
}

/// A limit that a request of 5 tokens in and 5 out does not meet while another one runs.
fn limits(which: usize) -> Limits {
    let quota = |meter, units| vec![Quota { meter, period: Period::Month, units }];
    let none = Limits::default();
    match which {
        0 => Limits { requests_per_minute: Some(1), ..none },
        1 => Limits { input_tokens_per_minute: Some(9), ..none },
        2 => Limits { output_tokens_per_minute: Some(9), ..none },
        3 => Limits { concurrent_requests: Some(1), ..none },
        4 => Limits { quotas: quota(Meter::InputTokens, 9), ..none },
        5 => Limits { quotas: quota(Meter::OutputTokens, 5), ..none },
        _ => {
            let amount = Micros::new(1);
            Limits { budgets: vec![Budget { period: Period::Day, amount }], ..none }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn who_is_refused_by_one_level_takes_from_none(which in 0..7usize, level in 0..3usize) {
        // Ten tokens cost nine tenths of a micro-unit.
        let world = World::with(JournalOptions::default(), flat_prices(90_000, 90_000, 90_000));
        let (path, level) = (path("o", "p", "k"), Level::ALL[level]);
        world.meters.set_limits(&path.account(level), limits(which));
        let first = world.meters.admit(&path, &ask("first", 5, 5)).unwrap();
        let before = standings(&world, &path);
        let refused = world.meters.admit(&path, &ask("second", 5, 5)).unwrap_err();
        prop_assert_eq!(refused.level(), Some(level));
        let is_of_its_kind = match which {
            0 => matches!(refused, Refusal::Rate { kind: RateKind::Requests, .. }),
            1 => matches!(refused, Refusal::Rate { kind: RateKind::InputTokens, .. }),
            2 => matches!(refused, Refusal::Rate { kind: RateKind::OutputTokens, .. }),
            3 => matches!(refused, Refusal::Concurrency { limit: 1, .. }),
            4 => matches!(refused, Refusal::Quota { meter: Meter::InputTokens, .. }),
            5 => matches!(refused, Refusal::Quota { meter: Meter::OutputTokens, .. }),
            _ => matches!(refused, Refusal::Budget { .. }),
        };
        prop_assert!(is_of_its_kind, "{}", refused);
        // What the running one holds it gives back.
        prop_assert!(refused.retry_after().is_some(), "{}", refused);
        prop_assert_eq!(standings(&world, &path), before);
        first.settle(tokens(5, 1), Ending::Finished);
        let (after, _) = standings(&world, &path);
        for standing in after {
            prop_assert_eq!(standing.in_flight, 0);
            prop_assert_eq!(standing.held, Sum::default());
            prop_assert_eq!(standing.month.usage, tokens(5, 1));
            prop_assert_eq!(standing.day.cost, Picos::new(6 * 90_000));
        }
        // What is used up is no matter of waiting.
        if which == 4 || which == 6 {
            let refused = world.meters.admit(&path, &ask("third", 5, 5)).unwrap_err();
            prop_assert_eq!(refused.retry_after(), None, "{}", refused);
        }
    }
}

#[test]
fn a_request_waits_as_long_as_it_is_told() {
    let world = World::new();
    let path = path("o", "p", "k");
    let per_minute = Limits { requests_per_minute: Some(2), ..Limits::default() };
    world.meters.set_limits(&path.account(Level::Project), per_minute);
    for request in ["a", "b"] {
        drop(world.meters.admit(&path, &ask(request, 1, 1)).unwrap());
    }
    let refused = world.meters.admit(&path, &ask("c", 1, 1)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
    let told = "the project's rate is 2 requests a minute, 0 are left and 1 were asked for: try \
                again in 30.0s";
    assert_eq!(refused.to_string(), told);
    world.clock.pass(Duration::from_secs(30));
    let permit = world.meters.admit(&path, &ask("c", 1, 1)).unwrap();
    let status = permit.rates().requests.unwrap();
    assert_eq!((status.limit, status.remaining, status.reset), (2, 0, Duration::from_secs(60)));
}

#[test]
fn tokens_of_embeddings_count_for_rates_and_budgets() {
    let prices = Prices::new(Period::Month).with(Meter::EmbeddingTokens, flat(1_000_000));
    let world = World::with(JournalOptions::default(), book(prices));
    let path = path("o", "p", "k");
    let limits = Limits {
        input_tokens_per_minute: Some(100),
        budgets: vec![Budget { period: Period::Month, amount: Micros::new(150) }],
        ..Limits::default()
    };
    world.meters.set_limits(&path.account(Level::Key), limits);
    let embed = |request: &str, tokens| {
        let mut ask = ask(request, 0, 0);
        ask.other = Usage::NONE.with(Meter::EmbeddingTokens, tokens);
        (world.meters.admit(&path, &ask), ask.other)
    };
    let (permit, usage) = embed("a", 100);
    permit.unwrap().settle(usage, Ending::Finished);
    assert!(matches!(embed("b", 40).0, Err(Refusal::Rate { kind: RateKind::InputTokens, .. })));
    assert!(matches!(embed("c", 51).0, Err(Refusal::Budget { .. })));
    world.clock.pass(Duration::from_secs(60));
    assert!(embed("d", 50).0.is_ok());
}

#[test]
fn free_units_are_counted_by_organization_and_each_request_pays_its_part() {
    let steps = vec![Step { from: 0, price: Price::per_million(Micros::new(10)).unwrap() }];
    let terms = Terms { free_units: 25, steps, committed: None };
    let prices = Prices::new(Period::Month).with(Meter::InputTokens, Tariff::new(&terms).unwrap());
    let world = World::with(JournalOptions::default(), book(prices));
    let settle = |request: &str, path: &Path| {
        let permit = world.meters.admit(path, &ask(request, 10, 0)).unwrap();
        permit.settle(tokens(10, 0), Ending::Finished).cost.get()
    };
    assert_eq!(settle("a", &path("o", "p", "k")), 0);
    assert_eq!(settle("b", &path("o", "q", "l")), 0);
    assert_eq!(settle("c", &path("o", "p", "k")), 50);
    assert_eq!(settle("d", &path("other", "p", "k")), 0);
    let quote =
        world.meters.quote(&path("o", "p", "k").organization, (&model(), &tier()), tokens(7, 7));
    assert_eq!(quote.unwrap().lines, [(Meter::InputTokens, 7, Picos::new(70))]);
    world.clock.pass(Duration::from_secs(31 * 24 * 60 * 60));
    assert_eq!(settle("e", &path("o", "p", "k")), 0);
}

#[test]
fn own_prices_stand_in_place_of_those_for_all() {
    let world = World::new();
    let (own, other) = (path("own", "p", "k"), path("other", "p", "k"));
    world.meters.set_own_prices(&own.organization, Some(flat_prices(1, 1, 1).into()));
    let cost = |path: &Path| {
        let permit = world.meters.admit(path, &ask(&path.organization, 10, 10)).unwrap();
        permit.settle(tokens(10, 10), Ending::Finished).cost.get()
    };
    assert_eq!((cost(&own), cost(&other)), (20, 70));
}

#[test]
fn a_model_without_a_price_is_free_unless_there_is_a_budget() {
    let world = World::new();
    let path = path("o", "p", "k");
    let mut other = ask("a", 1, 1);
    other.model = ModelId::new("other@1").unwrap();
    let permit = world.meters.admit(&path, &other).unwrap();
    assert_eq!(permit.settle(tokens(1, 1), Ending::Finished).cost, Picos::ZERO);
    let budget = Budget { period: Period::Total, amount: Micros::MAX };
    let limits = Limits { budgets: vec![budget], ..Limits::default() };
    world.meters.set_limits(&path.account(Level::Project), limits);
    let refused = world.meters.admit(&path, &other).unwrap_err();
    assert!(matches!(refused, Refusal::NotPriced { level: Level::Project, .. }), "{refused}");
}

#[test]
fn versions_and_tiers_that_share_a_list_share_its_free_units() {
    let terms = Terms {
        free_units: 10,
        steps: vec![Step { from: 0, price: Price::per_million(Micros::new(2)).unwrap() }],
        committed: None,
    };
    let list = Prices::new(Period::Month).with(Meter::InputTokens, Tariff::new(&terms).unwrap());
    let (mut book, name) = (PriceBook::default(), ModelId::new("tiny").unwrap());
    book.add(&name, &tier(), Validity::ALWAYS, list).unwrap();
    let world = World::with(JournalOptions::default(), book);
    let (path, other) = (path("o", "p", "k"), path("other", "p", "k"));
    let flex = Tier::new("flex").unwrap();
    let ask = |request: &str, version: &str, tier: &Tier| {
        let model = ModelId::new(version).unwrap();
        let ask = Ask { model, tier: tier.clone(), ..ask(request, 6, 0) };
        let permit = world.meters.admit(&path, &ask).unwrap();
        permit.settle(tokens(6, 0), Ending::Finished).cost.get()
    };
    assert_eq!(ask("a", "tiny@1", &tier()), 0);
    assert_eq!(ask("b", "tiny@2", &flex), 4);
    let one = ModelId::new("tiny@1").unwrap();
    let quote = world.meters.quote(&path.organization, (&one, &flex), tokens(6, 0)).unwrap();
    assert_eq!(quote.exact.get(), 12);
    // What the ledger has of one before a start counts for all too.
    let used = Sum { usage: tokens(9, 0), cost: Picos::ZERO };
    world.meters.restore_used(&other.organization, (&one, &flex), Period::Month, &used);
    let two = ModelId::new("tiny@2").unwrap();
    let quote = world.meters.quote(&other.organization, (&two, &tier()), tokens(6, 0)).unwrap();
    assert_eq!(quote.exact.get(), 10);
}

#[test]
fn what_was_used_before_counts_and_what_is_forgotten_does_not() {
    let world = World::new();
    let path = path("o", "p", "k");
    let key = path.account(Level::Key);
    let quota = Quota { meter: Meter::InputTokens, period: Period::Month, units: 10 };
    world.meters.set_limits(&key, Limits { quotas: vec![quota], ..Limits::default() });
    let used = Sum { usage: tokens(9, 0), cost: Picos::new(18) };
    world.meters.restore(&key, Period::Month, &used);
    assert!(matches!(
        world.meters.admit(&path, &ask("a", 2, 0)),
        Err(Refusal::Quota { used: 9, limit: 10, needed: 2, .. })
    ));
    let running = world.meters.admit(&path, &ask("b", 1, 0)).unwrap();
    world.meters.forget(&key);
    running.settle(tokens(1, 0), Ending::Finished);
    let standing = |id: &AccountId| world.meters.standing(id).month.usage;
    assert_eq!(standing(&path.account(Level::Organization)), tokens(1, 0));
    assert_eq!(standing(&key), Usage::NONE);
}

#[test]
fn a_journal_that_the_ledger_does_not_empty_lets_nobody_in_until_it_does() {
    let options = JournalOptions { max_bytes: 4_000, ..JournalOptions::default() };
    let world = World::with(options, flat_prices(1, 1, 1));
    let path = path("o", "p", "k");
    let full = (0..1_000).find_map(|idx| match world.meters.admit(&path, &ask(idx, 1, 1)) {
        Ok(permit) => {
            assert!(permit.settle(tokens(1, 1), Ending::Finished).is_written);
            None
        }
        Err(refused) => Some((idx, refused)),
    });
    let (let_in, refused) = full.unwrap();
    assert!(matches!(refused, Refusal::Journal(JournalError::Full { max: 4_000, .. })));
    let standing = world.meters.standing(&path.account(Level::Key));
    assert_eq!((standing.in_flight, standing.total.usage), (0, tokens(let_in, let_in)));
    let ledger = MemoryLedger::new(1, 0.0);
    let follower = ledger.feed(&world.journal);
    assert!(follower.drain(Duration::from_secs(30)));
    assert_eq!(ledger.entries.lock().unwrap().len() as u64, let_in);
    eventually("there is room", || world.meters.admit(&path, &ask("later", 1, 1)).is_ok());
}
