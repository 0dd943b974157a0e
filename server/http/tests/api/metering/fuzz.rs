//! Requests of all kinds at once, of which many end early: what the ledger has of each is what its
//! client was told, or handed where it was told nothing, and no budget is overspent.
//!
//! `AGENTBASE_FUZZ_REQUESTS` says how many; there are fewer in the ordinary run.

mod client;
mod plan;

use std::collections::HashMap;
use std::time::Duration;

use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel, Script, StepCost};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scheduler_batching::{Handle, PlannerConfig};
use server_metering::{
    Budget, Ending, Entry, Level, Limits, Meter, Micros, Period, Quota, Standing,
};

use self::client::{Client, Seen};
use self::plan::{ORGANIZATIONS, Plan, SCRIPT};
use super::{World, flat, mock, path, tokens};
use crate::common::{EOS, LIMITS, until_idle};

const NUM_REQUESTS: usize = 500;
const SEED: u64 = 20_261_128;
/// Requests at once.
const AT_ONCE: usize = 8;
/// What the budget and the quota of an organization grow by, about, before so many.
const GROWTH: u64 = 400;

/// So few blocks that sequences lose theirs.
fn world() -> (World, Handle) {
    let cost = StepCost { delay: Duration::from_micros(300), ..StepCost::default() };
    let model = MockModel {
        eos_token: Some(EOS),
        script: Some(Script::new(SCRIPT)),
        cost,
        ..MockModel::default()
    };
    let limits = EngineLimits { num_blocks: 56, max_model_len: 2048, ..LIMITS };
    let config = PlannerConfig { draft_fill: 0, ..PlannerConfig::default() };
    let (state, handle) = mock(MockEngine::new(limits, model), config);
    (World::new(state, flat()), handle)
}

/// What is held against the ledger at the end.
#[derive(Default)]
struct Counts {
    all: HashMap<&'static str, usize>,
    num_refused: usize,
    mismatches: Vec<String>,
}

impl Counts {
    fn add(&mut self, what: &'static str, is_so: bool) {
        *self.all.entry(what).or_default() += usize::from(is_so);
    }

    /// Compares what a client saw with what the ledger has of it.
    fn compare(&mut self, plan: &Plan, seen: &Seen, entry: Option<&Entry>) {
        let (entry, output) = match (seen, entry) {
            (Seen::Refused, None) => {
                self.num_refused += 1;
                return;
            }
            (Seen::Refused, Some(_)) | (_, None) => {
                self.mismatches.push(format!("{plan:?}: {seen:?} {entry:?}"));
                return;
            }
            (seen, Some(entry)) => (entry, seen.output(plan)),
        };
        let [input, cached, charged] = tokens(entry.usage);
        let (expected_ending, is_input_right) = match seen {
            Seen::Refused => return,
            Seen::Told { usage, reasons, .. } => {
                let is_capped = reasons.iter().any(|reason| reason == "budget");
                let by_quota = plan.organization == "quota" && entry.ending == Ending::Capped;
                let ending = if is_capped || by_quota { Ending::Capped } else { Ending::Finished };
                let is_right = usage.is_none_or(|usage| usage == [input, cached, charged]);
                (ending, is_right && input + cached == plan.num_prompt())
            }
            Seen::Gone(choices) | Seen::Cancelled(choices) => {
                let is_gone = matches!(seen, Seen::Gone(_));
                let ending = if is_gone { Ending::Dropped } else { Ending::Cancelled };
                // With several prompts some may not be computed yet.
                let least = if choices.has_output() { 1 } else { 0 };
                let most = plan.num_prompt();
                let is_whole = plan.num_prompts() > 1 || [0, most].contains(&(input + cached));
                (ending, is_whole && (least..=most).contains(&(input + cached)))
            }
        };
        let is_right = is_input_right && charged == output && entry.ending == expected_ending;
        if !is_right {
            self.mismatches.push(format!("{plan:?}: {seen:?} {output} {entry:?}"));
        }
        self.add("capped", entry.ending == Ending::Capped);
        self.add("cached", cached > 0);
        self.add("gone from a stream", entry.ending == Ending::Dropped && charged > 0);
        self.add("gone", entry.ending == Ending::Dropped && charged == 0);
        self.add("cancelled", entry.ending == Ending::Cancelled);
        self.add("cancelled in a stream", entry.ending == Ending::Cancelled && charged > 0);
        self.add("calls", seen.has_called());
        self.add("stopped", plan.stop.is_some() && matches!(seen, Seen::Told { .. }));
        self.add("several", plan.num_choices() > 1);
    }
}

/// Limits that grow, and what is used of them.
struct Limited {
    budget: i64,
    quota: u64,
}

impl Limited {
    fn standing(world: &World, organization: &str) -> Standing {
        world.meters.standing(&path(organization, "p", "k").account(Level::Organization))
    }

    fn grow(&mut self, world: &World, random: &mut StdRng) {
        self.budget += i64::try_from(random.random_range(0..GROWTH * 2)).unwrap();
        self.quota += random.random_range(0..GROWTH);
        let budget = Budget { period: Period::Total, amount: Micros::new(self.budget) };
        let quota = Quota { meter: Meter::OutputTokens, period: Period::Total, units: self.quota };
        let limits = [
            Limits { budgets: vec![budget], ..Limits::default() },
            Limits { quotas: vec![quota], ..Limits::default() },
        ];
        for (organization, limits) in ["budget", "quota"].into_iter().zip(limits) {
            let id = path(organization, "p", "k").account(Level::Organization);
            world.meters.set_limits(&id, limits);
        }
    }

    fn check(&self, world: &World) {
        let spent = Self::standing(world, "budget");
        let all = spent.total.cost.get() + spent.held.cost.get();
        assert!(all <= i128::from(self.budget) * 1_000_000, "{spent:?}");
        let used = Self::standing(world, "quota");
        let output = |usage: server_metering::Usage| usage.get(Meter::OutputTokens);
        assert!(output(used.total.usage) + output(used.held.usage) <= self.quota, "{used:?}");
    }
}

#[tokio::test]
async fn the_ledger_has_what_clients_were_told_or_handed() {
    let num = std::env::var("AGENTBASE_FUZZ_REQUESTS").ok();
    let num = num.and_then(|num| num.parse().ok()).unwrap_or(NUM_REQUESTS);
    let (world, handle) = world();
    let mut random = StdRng::seed_from_u64(SEED);
    let client = Client::new(&world, &handle).await;
    let mut limited = Limited { budget: 0, quota: 0 };
    let mut seen = Vec::with_capacity(num);
    while seen.len() < num {
        limited.grow(&world, &mut random);
        let plans: Vec<Plan> = (0..AT_ONCE.min(num - seen.len()))
            .map(|idx| Plan::new(seen.len() + idx, client.num_around, &mut random))
            .collect();
        let done = join_all(plans.iter().map(|plan| client.run(plan))).await;
        seen.extend(plans.into_iter().zip(done));
        limited.check(&world);
    }
    until_idle(&handle).await;
    let num_admitted = seen.iter().filter(|(_, seen)| !matches!(seen, Seen::Refused)).count();
    let entries = world.entries(client.num_probes + num_admitted).await;
    let entries: HashMap<&str, &Entry> =
        entries.iter().map(|entry| (entry.opened.path.key.as_str(), entry)).collect();
    let mut counts = Counts::default();
    for (plan, seen) in &seen {
        counts.compare(plan, seen, entries.get(plan.key.as_str()).copied());
    }
    let Counts { all, num_refused, mismatches } = counts;
    assert!(mismatches.is_empty(), "{} of {num}: {:#?}", mismatches.len(), &mismatches[..1]);
    // Of each kind there were some, and sequences lost their blocks.
    let least = num / 100;
    assert!(all.values().all(|num| *num >= least) && num_refused >= least, "{all:?} {num_refused}");
    assert!(handle.stats().preemptions > 0, "{:?}", handle.stats());
    for organization in ORGANIZATIONS {
        let standing = Limited::standing(&world, organization);
        assert_eq!((standing.in_flight, standing.held.cost.get()), (0, 0), "{organization}");
    }
}
