//! Ten thousand requests that end in every way, over a ledger that fails: what it has in the end is
//! what was delivered, unit by unit.

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use server_metering::{
    Ending, JournalOptions, Level, Limits, Meter, Micros, Path, Period, Permit, Picos, Price,
    PriceBook, Prices, Quota, Refusal, RequestId, Step, Tariff, Terms, Usage,
};

use crate::world::{MemoryLedger, World, ask, book, eventually, flat, path, segments, tokens};

const NUM_REQUESTS: u64 = 10_000;
const FREE: u64 = 50_000;
const STEP: u64 = 300_000;

/// Output is free, then dear, then cheap.
fn prices() -> PriceBook {
    let step =
        |from, micros| Step { from, price: Price::per_million(Micros::new(micros)).unwrap() };
    let terms = Terms { free_units: FREE, steps: vec![step(0, 9), step(STEP, 4)], committed: None };
    let prices = Prices::new(Period::Total)
        .with(Meter::InputTokens, flat(2))
        .with(Meter::OutputTokens, Tariff::new(&terms).unwrap());
    book(prices)
}

/// What all of an organization's usage costs, straight from the prices.
fn cost(usage: Usage) -> i128 {
    let output = usage.get(Meter::OutputTokens);
    let input = usage.get(Meter::InputTokens) + usage.get(Meter::CachedInputTokens);
    let dear = output.min(STEP).saturating_sub(FREE);
    i128::from(input) * 2 + i128::from(dear) * 9 + i128::from(output.saturating_sub(STEP)) * 4
}

struct Running {
    permit: Permit,
    path: Path,
    request: RequestId,
    delivered: Usage,
    is_capped: bool,
}

struct Fuzz {
    world: World,
    random: StdRng,
    running: Vec<Running>,
    /// What each request was delivered, whose it was, and how it ended.
    truth: HashMap<RequestId, (Path, Usage, Ending)>,
    num_capped: u32,
    num_refused: u32,
}

impl Fuzz {
    fn begin(&mut self, idx: u64) {
        let mut name =
            |prefix: &str, of: u32| format!("{prefix}{}", self.random.random_range(0..of));
        let path = path(&name("o", 3), &name("p", 2), &name("k", 3));
        let (input, output) = (self.random.random_range(0..200), self.random.random_range(0..400));
        let ask = ask(format!("r{idx}"), input, output);
        match self.world.meters.admit(&path, &ask) {
            Ok(permit) => {
                assert!(permit.max_output_tokens() <= output);
                let cached = self.random.random_range(0..=input);
                let delivered = tokens(input - cached, 0).with(Meter::CachedInputTokens, cached);
                let is_capped = permit.capped_by().is_some();
                let request = ask.request;
                self.running.push(Running { permit, path, request, delivered, is_capped });
            }
            Err(Refusal::Concurrency { .. } | Refusal::Budget { .. } | Refusal::Quota { .. }) => {
                self.num_refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Delivers some more of a request, and says whether that was all of it.
    fn deliver(&mut self, idx: usize) -> bool {
        let running = &mut self.running[idx];
        let most = running.permit.max_output_tokens();
        let before = running.delivered.get(Meter::OutputTokens);
        let now = (before + self.random.random_range(0..60)).min(most);
        running.delivered = running.delivered.with(Meter::OutputTokens, now);
        running.permit.delivered(running.delivered);
        now == most
    }

    fn end(&mut self, idx: usize, is_done: bool) {
        let Running { permit, path, request, delivered, is_capped } = self.running.swap_remove(idx);
        let ending = match self.random.random_range(0..4) {
            0 => Ending::Dropped,
            1 => Ending::Cancelled,
            2 => Ending::Failed,
            _ if is_done && is_capped => Ending::Capped,
            _ => Ending::Finished,
        };
        self.num_capped += u32::from(is_capped);
        match ending {
            Ending::Dropped => drop(permit),
            ending => {
                let receipt = permit.settle(delivered, ending);
                assert_eq!((receipt.usage, receipt.is_written), (delivered, true));
            }
        }
        self.truth.insert(request, (path, delivered, ending));
    }

    fn run(&mut self) {
        for idx in 0..NUM_REQUESTS {
            self.begin(idx);
            for _ in 0..self.random.random_range(0..8) {
                if self.running.is_empty() {
                    break;
                }
                let at = self.random.random_range(0..self.running.len());
                let is_done = self.deliver(at);
                if is_done || self.random.random_bool(0.1) {
                    self.end(at, is_done);
                }
            }
            self.world.clock.pass(Duration::from_millis(self.random.random_range(0..200)));
        }
        while !self.running.is_empty() {
            self.end(0, false);
        }
    }

    /// What was delivered to some, added up here.
    fn delivered(&self, to: impl Fn(&Path) -> bool) -> Usage {
        let theirs = self.truth.values().filter(|(path, ..)| to(path));
        theirs.fold(Usage::NONE, |sum, (_, usage, _)| sum.checked_add(*usage).unwrap())
    }
}

#[test]
fn the_ledger_has_what_was_delivered_and_nothing_else() {
    let options = JournalOptions { segment_bytes: 64 << 10, ..JournalOptions::default() };
    let world = World::with(options, prices());
    let amount = Micros::new(2);
    let budget = server_metering::Budget { period: Period::Total, amount };
    let limits = Limits { budgets: vec![budget], ..Limits::default() };
    world.meters.set_limits(&path("o0", "p", "k").account(Level::Organization), limits);
    let quota = Quota { meter: Meter::OutputTokens, period: Period::Day, units: 20_000 };
    let limits = Limits { quotas: vec![quota], concurrent_requests: Some(9), ..Limits::default() };
    world.meters.set_limits(&path("o1", "p1", "k").account(Level::Project), limits);
    let ledger = MemoryLedger::new(7, 0.3);
    let follower = ledger.feed(&world.journal);
    let random = StdRng::seed_from_u64(2211);
    let mut fuzz = Fuzz {
        world,
        random,
        running: Vec::new(),
        truth: HashMap::new(),
        num_capped: 0,
        num_refused: 0,
    };
    fuzz.run();
    assert!(follower.drain(Duration::from_secs(60)), "{:?}", follower.behind());
    // Of each kind there were some.
    assert!(
        fuzz.num_capped > 5 && fuzz.num_refused > 100,
        "{} {}",
        fuzz.num_capped,
        fuzz.num_refused
    );
    let entries = ledger.entries.lock().unwrap();
    assert_eq!(entries.len(), fuzz.truth.len());
    let mut costs: HashMap<&str, i128> = HashMap::new();
    for (request, (path, delivered, ending)) in &fuzz.truth {
        let entry = &entries[request];
        assert_eq!((&entry.opened.path, entry.usage, entry.ending), (path, *delivered, *ending));
        *costs.entry(path.organization.as_str()).or_default() += entry.cost.get();
    }
    for organization in ["o0", "o1", "o2"] {
        let usage = fuzz.delivered(|path| path.organization.as_str() == organization);
        assert_eq!(costs[organization], cost(usage), "{organization}");
        let account = path(organization, "p", "k").account(Level::Organization);
        let standing = fuzz.world.meters.standing(&account);
        assert_eq!((standing.total.usage, standing.total.cost), (usage, Picos::new(cost(usage))));
        assert_eq!((standing.in_flight, standing.held.cost), (0, Picos::ZERO));
    }
    assert!(costs["o0"] <= amount.to_picos().get() && costs["o2"] > amount.to_picos().get());
    let dir = fuzz.world.dir.path();
    eventually("all segments go but the one that is written to", || segments(dir).len() == 1);
}
