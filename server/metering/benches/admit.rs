//! How many requests a second are let in and settled, with the journal written.
//!
//! `cargo bench -p server-metering`
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use server_metering::{
    Ask, Budget, Ending, Endpoint, Follower, FollowerOptions, Journal, JournalOptions, KeyId,
    Ledger, LedgerError, Level, Limits, Meter, Meters, Micros, ModelId, OrganizationId, Path,
    Period, Price, PriceBook, Prices, ProjectId, Quota, RequestId, SystemClock, Tariff, Tier,
    Usage, Validity,
};

const ROUNDS: usize = 5;
const NUM_REQUESTS: u64 = 40_000;

/// Takes everything: what is measured is what comes before it.
struct Sink;

impl Ledger for Sink {
    fn append(&mut self, _: &[server_metering::Entry]) -> Result<(), LedgerError> {
        Ok(())
    }
}

fn main() {
    println!("| threads | organizations | admit and settle a second |\n|---:|---:|---:|");
    for (num_threads, num_organizations) in [(1, 1), (2, 1), (2, 64), (8, 1)] {
        let mut rounds: Vec<u64> =
            (0..ROUNDS).map(|_| per_second(num_threads, num_organizations)).collect();
        rounds.sort_unstable();
        println!("| {num_threads} | {num_organizations} | {} |", rounds[ROUNDS / 2]);
    }
}

fn path(organization: u64) -> Path {
    Path {
        organization: OrganizationId::new(&format!("org_{organization}")).expect("a name"),
        project: ProjectId::new("proj_benchmark").expect("a name"),
        key: KeyId::new("key_0123456789").expect("a name"),
    }
}

fn prices(model: &ModelId, tier: &Tier) -> PriceBook {
    let tariff = |micros| Tariff::flat(Price::per_million(Micros::new(micros)).expect("a price"));
    let prices = Prices::new(Period::Month)
        .with(Meter::InputTokens, tariff(2_500_000))
        .with(Meter::OutputTokens, tariff(10_000_000));
    let mut book = PriceBook::default();
    book.add(model, tier, Validity::ALWAYS, prices).expect("the first list");
    book
}

/// Each level has every kind of limit.
fn limits() -> Limits {
    let (period, amount) = (Period::Month, Micros::MAX);
    Limits {
        requests_per_minute: Some(u64::MAX),
        input_tokens_per_minute: Some(u64::MAX),
        output_tokens_per_minute: Some(u64::MAX),
        concurrent_requests: Some(u64::MAX),
        quotas: vec![Quota { meter: Meter::OutputTokens, period, units: u64::MAX }],
        budgets: vec![Budget { period, amount }],
    }
}

fn per_second(num_threads: u64, num_organizations: u64) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(dir.path(), JournalOptions::default()).expect("a journal");
    let journal = Arc::new(journal);
    let follower =
        Follower::start(Arc::clone(&journal), Box::new(Sink), FollowerOptions::default());
    let _follower = follower.expect("a thread");
    let model = ModelId::new("llama-3.1-8b@0123456789abcdef").expect("a name");
    let tier = Tier::new("standard").expect("a name");
    let endpoint = Endpoint::new("/v1/chat/completions").expect("a name");
    let meters = Meters::new(journal, prices(&model, &tier), Arc::new(SystemClock));
    for level in Level::ALL {
        for organization in 0..num_organizations {
            meters.set_limits(&path(organization).account(level), limits());
        }
    }
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..num_threads {
            let (meters, model, tier, endpoint) = (&meters, &model, &tier, &endpoint);
            scope.spawn(move || {
                for idx in 0..NUM_REQUESTS / num_threads {
                    let path = path((thread + idx) % num_organizations);
                    let ask = Ask {
                        request: RequestId::new(&format!("req_{thread}_{idx}")).expect("a name"),
                        model: model.clone(),
                        tier: tier.clone(),
                        endpoint: endpoint.clone(),
                        tag: None,
                        input_tokens: 500,
                        max_output_tokens: 1_000,
                        other: Usage::NONE,
                    };
                    let mut permit = meters.admit(&path, &ask).expect("limits are far");
                    let usage = Usage::NONE.with(Meter::InputTokens, 500);
                    let usage = usage.with(Meter::OutputTokens, 200);
                    permit.delivered(usage);
                    permit.settle(usage, Ending::Finished);
                }
            });
        }
    });
    (u128::from(NUM_REQUESTS) * 1_000_000 / began.elapsed().as_micros().max(1)) as u64
}
