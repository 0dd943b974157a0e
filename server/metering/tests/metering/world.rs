//! A journal in a folder of its own, a clock that stands until it is moved, and a ledger in memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use server_metering::{
    Ask, Clock, Endpoint, Entry, Follower, FollowerOptions, Journal, JournalOptions, KeyId, Ledger,
    LedgerError, Meter, Meters, Micros, ModelId, OrganizationId, Path, Period, Price, PriceBook,
    Prices, ProjectId, RequestId, Tariff, Tier, UnixMillis, Usage, Validity,
};
use tempfile::TempDir;

/// 2026-11-15 12:00 UTC: days from any period's end.
const NOON: u64 = 1_794_744_000_000;

pub(crate) struct ManualClock {
    began: Instant,
    passed: AtomicU64,
}

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), passed: AtomicU64::new(0) })
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.began + Duration::from_millis(self.passed.load(Ordering::Relaxed))
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(NOON + self.passed.load(Ordering::Relaxed))
    }
}

/// A ledger that takes each request once, and fails at random: before it takes entries, or after.
#[derive(Clone)]
pub(crate) struct MemoryLedger {
    pub(crate) entries: Arc<Mutex<HashMap<RequestId, Entry>>>,
    pub(crate) random: Arc<Mutex<StdRng>>,
    pub(crate) failures: f64,
}

impl MemoryLedger {
    pub(crate) fn new(seed: u64, failures: f64) -> Self {
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { entries: Arc::default(), random, failures }
    }

    pub(crate) fn feed(&self, journal: &Arc<Journal>) -> Follower {
        let options = FollowerOptions {
            every: Duration::from_millis(5),
            max_batch: 64,
            min_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(4),
        };
        Follower::start(Arc::clone(journal), Box::new(self.clone()), options).unwrap()
    }
}

impl Ledger for MemoryLedger {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let mut random = self.random.lock().unwrap();
        let fails = random.random_bool(self.failures);
        // A commit whose answer was lost.
        if fails && random.random_bool(0.5) {
            return Err("it has not taken them".into());
        }
        let mut known = self.entries.lock().unwrap();
        for entry in entries {
            let before = known.insert(entry.opened.request.clone(), entry.clone());
            // What comes twice is the same both times.
            assert!(before.is_none_or(|before| before == *entry), "{entry:?}");
        }
        if fails { Err("nobody knows whether it has taken them".into()) } else { Ok(()) }
    }
}

/// Waits for what another thread does.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The segments of a journal, in their order.
pub(crate) fn segments(dir: &std::path::Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "journal");
    let mut files: Vec<PathBuf> = files.filter(is_segment).collect();
    files.sort();
    files
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) meters: Meters,
}

impl World {
    /// Input costs 2 pico-units, what a cache had 1, and output 5.
    pub(crate) fn new() -> Self {
        Self::with(JournalOptions::default(), flat_prices(2, 1, 5))
    }

    pub(crate) fn with(options: JournalOptions, prices: PriceBook) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let journal = Arc::new(Journal::open(dir.path(), options).unwrap());
        let meters = Meters::new(Arc::clone(&journal), prices, Arc::clone(&clock) as _);
        Self { dir, clock, journal, meters }
    }
}

pub(crate) fn model() -> ModelId {
    ModelId::new("tiny@1").unwrap()
}

pub(crate) fn tier() -> Tier {
    Tier::new("standard").unwrap()
}

pub(crate) fn flat(micros: i64) -> Tariff {
    Tariff::flat(Price::per_million(Micros::new(micros)).unwrap())
}

pub(crate) fn flat_prices(input: i64, cached: i64, output: i64) -> PriceBook {
    let prices = Prices::new(Period::Month)
        .with(Meter::InputTokens, flat(input))
        .with(Meter::CachedInputTokens, flat(cached))
        .with(Meter::OutputTokens, flat(output));
    book(prices)
}

pub(crate) fn book(prices: Prices) -> PriceBook {
    let mut book = PriceBook::default();
    book.add(&model(), &tier(), Validity::ALWAYS, prices).unwrap();
    book
}

pub(crate) fn path(organization: &str, project: &str, key: &str) -> Path {
    Path {
        organization: OrganizationId::new(organization).unwrap(),
        project: ProjectId::new(project).unwrap(),
        key: KeyId::new(key).unwrap(),
    }
}

pub(crate) fn ask(request: impl ToString, input_tokens: u64, max_output_tokens: u64) -> Ask {
    Ask {
        request: RequestId::new(&request.to_string()).unwrap(),
        model: model(),
        tier: tier(),
        endpoint: Endpoint::new("e").unwrap(),
        tag: None,
        input_tokens,
        max_output_tokens,
        other: Usage::NONE,
    }
}

pub(crate) fn tokens(input: u64, output: u64) -> Usage {
    Usage::NONE.with(Meter::InputTokens, input).with(Meter::OutputTokens, output)
}
