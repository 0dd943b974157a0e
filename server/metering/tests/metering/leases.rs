//! Limits that several processes have in common, with a pool in memory in place of a database: the
//! ledger never has more than a limit, whatever the processes do, and nearly all of it is used.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use server_metering::{
    AccountId, Ask, Budget, Clock, Ending, Entry, Journal, JournalOptions, LeaseAsks, LeaseGrant,
    LeaseGrants, LeaseOf, LendError, Lender, Level, Limits, Meter, Meters, Micros, Opened,
    OrganizationId, Path, Period, Permit, Quota, RateAsk, RateGrant, Receipt, Refusal,
};
use tempfile::TempDir;

use crate::world::{ManualClock, ask, flat_prices, path, tokens};

const NUM_PROCESSES: usize = 4;
/// Of pico-units.
const MICRO: i128 = 1_000_000;

type Name = (AccountId, LeaseOf, u64);

/// What all processes have in common: the ledger's sums, what is reserved, and buckets.
#[derive(Debug, Default)]
struct Pool {
    ledger: Vec<Entry>,
    reserved: HashMap<(Name, usize), i128>,
    buckets: HashMap<(AccountId, usize), i64>,
}

#[derive(Debug)]
struct Process {
    number: usize,
    pool: Arc<Mutex<Pool>>,
}

impl Pool {
    fn used(&self, (account, of, number): &Name) -> i128 {
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
struct World {
    pool: Arc<Mutex<Pool>>,
    clock: Arc<ManualClock>,
    processes: Vec<(Meters, Arc<Process>, TempDir)>,
    running: Vec<(usize, Permit, Ask)>,
    /// What the ledger does not have yet, of each process.
    settled: Vec<(usize, Entry)>,
    num_asked: u64,
}

fn organization() -> AccountId {
    AccountId::Organization(OrganizationId::new("o").unwrap())
}

fn limits(budget: i64, quota: u64, at_once: u64) -> Limits {
    Limits {
        concurrent_requests: Some(at_once),
        quotas: vec![Quota { meter: Meter::OutputTokens, period: Period::Total, units: quota }],
        budgets: vec![Budget { period: Period::Day, amount: Micros::new(budget) }],
        ..Limits::default()
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the pool answers at once"),
    }
}

impl World {
    fn new(limits: &Limits) -> Self {
        let (pool, clock) = (Arc::new(Mutex::default()), ManualClock::new());
        let processes = (0..NUM_PROCESSES).map(|number| {
            let dir = tempfile::tempdir().unwrap();
            let journal = Journal::open(dir.path(), JournalOptions::default()).unwrap();
            let process = Arc::new(Process { number, pool: Arc::clone(&pool) });
            // Of micro-units a token, so that budgets are small numbers.
            let prices = flat_prices(1_000_000, 1_000_000, 1_000_000);
            let clock = Arc::clone(&clock) as _;
            let lender = Arc::clone(&process) as _;
            let meters = Meters::shared(Arc::new(journal), prices, clock, lender);
            meters.set_limits(&organization(), limits.clone());
            (meters, process, dir)
        });
        let processes = processes.collect();
        let (running, settled, num_asked) = (Vec::new(), Vec::new(), 0);
        Self { pool, clock, processes, running, settled, num_asked }
    }

    /// A request that is let in runs until it ends; how much output it may have.
    fn begin(&mut self, process: usize, input: u64, output: u64) -> Result<u64, Refusal> {
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
    fn deliver(&mut self, idx: usize, percent: u64) {
        let (_, permit, ask) = &mut self.running[idx];
        permit.delivered(tokens(ask.input_tokens, permit.max_output_tokens() * percent / 100));
    }

    /// A running request ends with a part of the output that it may have.
    fn end(&mut self, idx: usize, percent: u64) {
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
    fn append(&mut self) {
        for (process, entry) in self.settled.drain(..) {
            self.pool.lock().unwrap().ledger.push(entry.clone());
            let _ = self.processes[process].0.appended(&[entry]);
        }
    }

    fn give_back(&self, process: usize, of_all: bool) {
        let (meters, process, _) = &self.processes[process];
        process.give_back(meters, of_all);
    }

    fn check(&self, budget: i64, quota: u64, at_once: u64) {
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

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Begin { process: usize, input: u64, output: u64 },
    Deliver { idx: usize, percent: u64 },
    End { idx: usize, percent: u64 },
    Append,
    GiveBack { process: usize, of_all: bool },
    Pass { millis: u64 },
    NextDay,
}

fn step() -> impl Strategy<Value = Step> {
    let begin = (0..NUM_PROCESSES, 1..9_u64, 0..30_u64);
    let part = (any::<usize>(), 0..=100_u64);
    prop_oneof![
        8 => begin.prop_map(|(process, input, output)| Step::Begin { process, input, output }),
        3 => part.clone().prop_map(|(idx, percent)| Step::Deliver { idx, percent }),
        6 => part.prop_map(|(idx, percent)| Step::End { idx, percent }),
        4 => Just(Step::Append),
        3 => (0..NUM_PROCESSES, any::<bool>())
            .prop_map(|(process, of_all)| Step::GiveBack { process, of_all }),
        4 => (1..3_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::NextDay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_passed_by_all_together(
        steps in prop::collection::vec(step(), 1..200),
        budget in 20..400_i64,
        quota in 20..400_u64,
        at_once in 1..6_u64,
    ) {
        let mut world = World::new(&limits(budget, quota, at_once));
        for step in steps {
            let num = world.running.len();
            match step {
                Step::Begin { process, input, output } => {
                    let begun = world.begin(process, input, output);
                    prop_assert!(!matches!(begun, Err(Refusal::NotLent | Refusal::Lender(_))));
                }
                Step::Deliver { idx, percent } if num > 0 => world.deliver(idx % num, percent),
                Step::End { idx, percent } if num > 0 => world.end(idx % num, percent),
                Step::Deliver { .. } | Step::End { .. } => {}
                Step::Append => world.append(),
                Step::GiveBack { process, of_all } => world.give_back(process, of_all),
                Step::Pass { millis } => world.clock.pass(Duration::from_millis(millis)),
                Step::NextDay => {
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
        let is_now = |(_, of, number): &Name| of.period().is_none_or(|it| it.number(now) == *number);
        let left: Vec<_> = pool.reserved.iter()
            .filter(|((name, _), reserved)| is_now(name) && **reserved != 0)
            .collect();
        prop_assert!(left.is_empty(), "{left:?}");
    }
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
