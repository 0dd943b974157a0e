//! Requests that are metered: who is let in, what the answer says of it, and what the ledger has.

mod cap;
mod compute;
mod concurrent;
mod early;
mod fuzz;
mod limits;
mod others;
mod usage;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{Handle, PlannerConfig};
use serde_json::Value;
use server_http::{AppState, AppStateBuilder, AuthError, Authenticate, Caller, Metrics, router};
use server_metering::{
    Budget, Clock, Entry, Follower, FollowerOptions, Journal, JournalOptions, KeyId, Ledger,
    LedgerError, Level, Limits, Meter, Meters, Micros, ModelId, OrganizationId, Path, Period,
    Price, PriceBook, Prices, ProjectId, Standing, Tariff, Tier, UnixMillis, Usage, Validity,
};
use tempfile::TempDir;

use crate::common::{LIMITS, call, post_request, served};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const PLAIN: &str = "/v1/completions";
/// A micro-unit for each token, in pico-units.
pub(crate) const TOKEN: i64 = 1_000_000;

/// A clock that stands until it is moved, so that no rate fills on a slow machine.
struct ManualClock {
    began: Instant,
    passed_ms: AtomicU64,
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.began + Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(1_794_744_000_000 + self.passed_ms.load(Ordering::Relaxed))
    }
}

/// All that was settled, in order.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Entry>>>);

impl Ledger for Collected {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        self.0.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }
}

/// A key is `organization/project/key`; without one it is `o/p/k`.
pub(crate) struct ByPath;

impl Authenticate for ByPath {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let parts: Vec<&str> = bearer.unwrap_or("o/p/k").split('/').collect();
        let [organization, project, key] = parts[..] else { return Err(AuthError::Invalid) };
        Ok(Caller::new(path(organization, project, key), Arc::default()))
    }
}

pub(crate) fn path(organization: &str, project: &str, key: &str) -> Path {
    Path {
        organization: OrganizationId::new(organization).unwrap(),
        project: ProjectId::new(project).unwrap(),
        key: KeyId::new(key).unwrap(),
    }
}

/// What a million tokens of input cost, of cached input if it has its own price, of output, and a
/// million of all else.
type Costs = [Option<i64>; 4];

/// A price list for each of these models in the tier `standard`.
pub(crate) fn prices(models: &[&str], [input, cached, output, rest]: Costs) -> PriceBook {
    let tariffs = [
        (Meter::InputTokens, input),
        (Meter::CachedInputTokens, cached),
        (Meter::OutputTokens, output),
        (Meter::EmbeddingTokens, rest),
        (Meter::Images, rest),
        (Meter::AudioMillis, rest),
    ];
    let mut prices = Prices::new(Period::Month);
    for (meter, micros) in tariffs {
        if let Some(micros) = micros {
            let price = Price::per_million(Micros::new(micros)).unwrap();
            prices = prices.with(meter, Tariff::flat(price));
        }
    }
    let (mut book, tier) = (PriceBook::default(), Tier::new("standard").unwrap());
    for model in models {
        let model = ModelId::new(model).unwrap();
        book.add(&model, &tier, Validity::ALWAYS, prices.clone()).unwrap();
    }
    book
}

/// A micro-unit for each token of `mock`, cached or not.
pub(crate) fn flat() -> PriceBook {
    prices(&["mock"], [Some(TOKEN), None, Some(TOKEN), None])
}

/// A metered server.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) meters: Meters,
    clock: Arc<ManualClock>,
    ledger: Collected,
    follower: Follower,
    dir: TempDir,
}

impl World {
    /// What `state` builds, with these prices.
    pub(crate) fn new(state: AppStateBuilder, book: PriceBook) -> Self {
        Self::with(state, book, JournalOptions::default())
    }

    pub(crate) fn with(state: AppStateBuilder, book: PriceBook, options: JournalOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(dir.path(), options).unwrap());
        let clock = Arc::new(ManualClock { began: Instant::now(), passed_ms: AtomicU64::new(0) });
        let meters = Meters::new(Arc::clone(&journal), book, Arc::clone(&clock) as _);
        let state = state.auth(Arc::new(ByPath)).meters(meters.clone()).build();
        let ledger = Collected::default();
        let every = Duration::from_millis(5);
        let feeding = FollowerOptions { every, ..FollowerOptions::default() };
        let follower = Follower::start(journal, Box::new(ledger.clone()), feeding).unwrap();
        let router = router(state);
        Self { router, meters, clock, ledger, follower, dir }
    }

    pub(crate) fn limit(&self, level: Level, limits: Limits) {
        self.meters.set_limits(&path("o", "p", "k").account(level), limits);
    }

    /// So many micro-units for the organization `o`, ever.
    pub(crate) fn budget(&self, micros: i64) {
        let budget = Budget { period: Period::Total, amount: Micros::new(micros) };
        self.limit(Level::Organization, Limits { budgets: vec![budget], ..Limits::default() });
    }

    pub(crate) fn standing(&self) -> Standing {
        self.meters.standing(&path("o", "p", "k").account(Level::Organization))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.passed_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// The ledger, when it has so many entries; the time turns a hang into a failure.
    pub(crate) async fn entries(&self, num: usize) -> Vec<Entry> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if self.num_entries() >= num {
                let entries = self.ledger.0.lock().unwrap().clone();
                assert_eq!(entries.len(), num, "{entries:?}");
                return entries;
            }
            assert!(Instant::now() < until, "{num} are awaited");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// How many there are by now.
    pub(crate) fn num_entries(&self) -> usize {
        assert!(self.follower.drain(Duration::from_secs(60)), "{:?}", self.follower.behind());
        self.ledger.0.lock().unwrap().len()
    }

    /// The last of so many.
    pub(crate) async fn last(&self, num: usize) -> Entry {
        self.entries(num).await.pop().unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, HeaderMap, Value) {
        let (status, headers, text) =
            call(&self.router, post_request(path, body.to_string())).await;
        (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn well(&self, path: &str, body: Value) -> Value {
        let (status, _, answer) = self.post(path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

/// A builder with this engine as `mock`, and the way to it.
pub(crate) fn mock(engine: MockEngine, config: PlannerConfig) -> (AppStateBuilder, Handle) {
    let metrics = Arc::new(Metrics::new());
    let model = served("mock", engine, config, &metrics);
    let handle = model.handle.clone();
    (AppState::builder().model(model).metrics(metrics), handle)
}

/// A metered model with room for longer prompts.
pub(crate) fn world(model: MockModel) -> (World, Handle) {
    let engine = MockEngine::new(EngineLimits { max_model_len: 2048, ..LIMITS }, model);
    let (state, handle) = mock(engine, PlannerConfig::default());
    (World::new(state, flat()), handle)
}

/// The usage of an entry: tokens of input, cached or not, and of output.
pub(crate) fn tokens(usage: Usage) -> [u64; 3] {
    [Meter::InputTokens, Meter::CachedInputTokens, Meter::OutputTokens].map(|it| usage.get(it))
}

/// What OpenAI's `usage` says, as meters count it.
pub(crate) fn told(usage: &Value) -> [u64; 3] {
    let num = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{usage}"));
    let cached = num(&usage["prompt_tokens_details"]["cached_tokens"]);
    [num(&usage["prompt_tokens"]) - cached, cached, num(&usage["completion_tokens"])]
}

/// The data of the events in a stream's text.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

pub(crate) fn request(path: &str, key: &str, body: &Value) -> Request<Body> {
    let mut request = post_request(path, body.to_string());
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}
