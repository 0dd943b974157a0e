//! Processes, and what they have in common: a pool in memory in place of a database.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use server_metering::{
    AccountId, Ask, Budget, Clock, Ending, Entry, Journal, JournalOptions, LeaseAsks, LeaseGrant,
    LeaseGrants, LeaseOf, LendError, Lender, Level, Limits, Meter, Meters, Micros, ModelSums,
    Numbering, Opened, OrganizationId, Path, Period, Permit, PriceBook, Quota, RateAsk, RateGrant,
    Receipt, Refusal, Sum, UnixMillis,
};
use tempfile::TempDir;

use crate::world::{ManualClock, ask, flat_prices, model, path, tier, tokens};

pub(super) const NUM_PROCESSES: usize = 4;
/// Of pico-units.
pub(super) const MICRO: i128 = 1_000_000;

pub(super) type Name = (AccountId, LeaseOf, u64);

/// What all processes have in common: the ledger's sums, what is reserved, and buckets.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) ledger: Vec<Entry>,
    pub(super) reserved: HashMap<(Name, usize), i128>,
    buckets: HashMap<(AccountId, usize), i64>,
}

pub(super) struct Process {
    number: usize,
    pool: Arc<Mutex<Pool>>,
    clock: Arc<ManualClock>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Process({})", self.number)
    }
}

impl Pool {
    pub(super) fn used(&self, (account, of, number): &Name) -> i128 {
        let counts = |entry: &&Entry| {
            let levels = Level::ALL.map(|level| entry.opened.path.account(level));
            let is_of = |period: Period| period.number(entry.settled_at) == *number;
            levels.contains(account) && of.period().is_none_or(is_of)
        };
        let part = |entry: &Entry| match of {
            LeaseOf::Money(_) => entry.cost.get(),
            LeaseOf::Units(meter, _) => entry.usage.get(*meter).into(),
            LeaseOf::Concurrency => 0,
        };
        self.ledger.iter().filter(counts).map(part).sum()
    }

    /// What processes but one have reserved; of the period before, where they told nothing of this.
    fn others(&self, (account, of, number): &Name, but: usize) -> i128 {
        let reserved =
            |owner, number| self.reserved.get(&((account.clone(), *of, number), owner)).copied();
        let before = |owner| number.checked_sub(1).and_then(|before| reserved(owner, before));
        let of_each = |owner| reserved(owner, *number).or_else(|| before(owner)).unwrap_or(0);
        (0..NUM_PROCESSES).filter(|owner| *owner != but).map(of_each).sum()
    }

    fn model_sums(&self, at: UnixMillis) -> Vec<ModelSums> {
        let sums = Period::ALL.map(|period| {
            let is_of = |it: &&Entry| period.number(it.settled_at) == period.number(at);
            self.ledger.iter().filter(is_of).fold(Sum::default(), |mut sum, entry| {
                sum.add(&Sum { usage: entry.usage, cost: entry.cost });
                sum
            })
        });
        vec![ModelSums { model: model(), tier: tier(), sums }]
    }

    /// Takes a line, at what it costs after all that are here.
    fn append(&mut self, mut line: Entry, prices: &PriceBook) {
        let mut numbering = Numbering::default();
        numbering.begin(line.settled_at, &self.model_sums(line.settled_at));
        line.cost = numbering.price(prices, &line, line.opened.opened_at);
        self.ledger.push(line);
    }

    fn take(&mut self, ask: &RateAsk) -> RateGrant {
        let full = i64::try_from(ask.limit).unwrap();
        let bucket = self.buckets.entry((ask.account.clone(), ask.kind as usize)).or_insert(full);
        *bucket = (*bucket + ask.back).min(full);
        let need = i64::try_from(ask.need).unwrap();
        let more = if *bucket >= need { need } else { 0 };
        *bucket -= more;
        RateGrant { more: more.unsigned_abs(), left: *bucket }
    }
}

impl Lender for Process {
    fn lend<'a>(
        &'a self,
        meters: &'a Meters,
        path: &'a Path,
        ask: &'a Ask,
    ) -> Pin<Box<dyn Future<Output = Result<(), LendError>> + Send + 'a>> {
        let asks = meters.wants(path, ask);
        let grants = self.grants(&asks);
        meters.lent(&path.organization, &asks, &grants);
        Box::pin(std::future::ready(Ok(())))
    }

    fn read<'a>(
        &'a self,
        _: &'a OrganizationId,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<ModelSums>, LendError>> + Send + 'a>> {
        let models = self.pool.lock().unwrap().model_sums(self.clock.utc());
        Box::pin(std::future::ready(Ok(models)))
    }
}

impl Process {
    fn grants(&self, asks: &LeaseAsks) -> LeaseGrants {
        let mut pool = self.pool.lock().unwrap();
        let mut grants = LeaseGrants::default();
        for ask in &asks.leases {
            let name = (ask.account.clone(), ask.of, ask.number);
            let others = pool.others(&name, self.number);
            let used = pool.used(&name);
            let left = ask.limit - used - others - ask.reserved;
            let more = left.clamp(0, ask.need + left.max(0) / 8);
            pool.reserved.insert((name, self.number), ask.reserved + more);
            grants.leases.push(LeaseGrant { more, used, elsewhere: others, left: left - more });
        }
        grants.rates = asks.rates.iter().map(|ask| pool.take(ask)).collect();
        grants
    }

    fn give_back(&self, meters: &Meters, of_all: bool) {
        for (id, asks) in meters.give_up(of_all, |_| true) {
            self.grants(&asks);
            meters.given_up(&id, &asks, true);
        }
    }
}

/// Processes with the same accounts.
pub(super) struct World {
    pub(super) pool: Arc<Mutex<Pool>>,
    pub(super) clock: Arc<ManualClock>,
    prices: PriceBook,
    pub(super) processes: Vec<(Meters, Arc<Process>, TempDir)>,
    pub(super) running: Vec<(usize, Permit, Ask)>,
    /// What the ledger does not have yet, of each process.
    settled: Vec<(usize, Entry)>,
    num_asked: u64,
}

pub(super) fn organization() -> AccountId {
    AccountId::Organization(OrganizationId::new("o").unwrap())
}

pub(super) fn limits(budget: i64, quota: u64, at_once: u64) -> Limits {
    Limits {
        concurrent_requests: Some(at_once),
        quotas: vec![Quota { meter: Meter::OutputTokens, period: Period::Total, units: quota }],
        budgets: vec![Budget { period: Period::Day, amount: Micros::new(budget) }],
        ..Limits::default()
    }
}

pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the pool answers at once"),
    }
}

impl World {
    /// A token of any kind costs a micro-unit, so that budgets are small numbers.
    pub(super) fn new(limits: &Limits) -> Self {
        Self::with(limits, &flat_prices(1_000_000, 1_000_000, 1_000_000))
    }

    pub(super) fn with(limits: &Limits, prices: &PriceBook) -> Self {
        let (pool, clock) = (Arc::new(Mutex::default()), ManualClock::new());
        let processes = (0..NUM_PROCESSES).map(|number| {
            let dir = tempfile::tempdir().unwrap();
            let journal = Journal::open(dir.path(), JournalOptions::default()).unwrap();
            let (pool, clock) = (Arc::clone(&pool), Arc::clone(&clock));
            let process = Arc::new(Process { number, pool, clock: Arc::clone(&clock) });
            let lender = Arc::clone(&process) as _;
            let meters = Meters::shared(Arc::new(journal), prices.clone(), clock, lender);
            meters.set_limits(&organization(), limits.clone());
            (meters, process, dir)
        });
        let processes = processes.collect();
        let (running, settled, num_asked) = (Vec::new(), Vec::new(), 0);
        let prices = prices.clone();
        Self { pool, clock, prices, processes, running, settled, num_asked }
    }

    /// A request that is let in runs until it ends; how much output it may have.
    pub(super) fn begin(
        &mut self,
        process: usize,
        input: u64,
        output: u64,
    ) -> Result<u64, Refusal> {
        self.num_asked += 1;
        let (path, ask) = (path("o", "p", "k"), ask(self.num_asked, input, output));
        let meters = &self.processes[process].0;
        let mut admitted = meters.admit(&path, &ask);
        if matches!(admitted, Err(Refusal::NotLent)) {
            now(meters.lease(&path, &ask)).unwrap();
            admitted = meters.admit(&path, &ask);
        }
        let permit = admitted?;
        let most = permit.max_output_tokens();
        self.running.push((process, permit, ask));
        Ok(most)
    }

    /// A running request has delivered so much, which may be marked.
    pub(super) fn deliver(&mut self, idx: usize, percent: u64) {
        let (_, permit, ask) = &mut self.running[idx];
        permit.delivered(tokens(ask.input_tokens, permit.max_output_tokens() * percent / 100));
    }

    /// A running request ends with a part of the output that it may have.
    pub(super) fn end(&mut self, idx: usize, percent: u64) {
        let (process, permit, ask) = self.running.swap_remove(idx);
        let usage = tokens(ask.input_tokens, permit.max_output_tokens() * percent / 100);
        let (held, opened_at) = (permit.held(), self.clock.utc());
        let Receipt { usage, cost, .. } = permit.settle(usage, Ending::Finished);
        let Ask { request, model, tier, endpoint, tag, .. } = ask;
        let path = path("o", "p", "k");
        let opened = Opened { request, path, model, tier, endpoint, tag, opened_at, held };
        let settled_at = self.clock.utc();
        let entry = Entry { opened, settled_at, usage, cost, ending: Ending::Finished };
        self.settled.push((process, entry));
    }

    /// The ledger takes all that was settled.
    pub(super) fn append(&mut self) {
        for (process, entry) in self.settled.drain(..) {
            self.pool.lock().unwrap().append(entry.clone(), &self.prices);
            let _ = self.processes[process].0.appended(&[entry]);
        }
    }

    pub(super) fn give_back(&self, process: usize, of_all: bool) {
        let (meters, process, _) = &self.processes[process];
        process.give_back(meters, of_all);
    }

    pub(super) fn check(&self, budget: i64, quota: u64, at_once: u64) {
        let pool = self.pool.lock().unwrap();
        let used = |of: LeaseOf| {
            let number = of.period().map_or(0, |period| period.number(self.clock.utc()));
            pool.used(&(organization(), of, number))
        };
        let spent = used(LeaseOf::Money(Period::Day));
        assert!(spent <= i128::from(budget) * MICRO, "{spent} of {budget}");
        let units = used(LeaseOf::Units(Meter::OutputTokens, Period::Total));
        assert!(units <= quota.into(), "{units} of {quota}");
        assert!(self.running.len() as u64 <= at_once, "{} run", self.running.len());
    }
}
