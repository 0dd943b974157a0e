//! An organization with its projects and keys, behind one lock.
//!
//! Invariant: a request takes from all levels of its path or from none, and in one order: the
//! organization, the project, the key; quotas and budgets before rates, since waiting helps
//! against those only.
//!
//! One lock is enough: each request of an organization changes the organization's own counts, so
//! finer locks would all be taken with that one. It is held for well under a microsecond, twice a
//! request, and never while anything is written; 16,000 requests a second of one organization
//! keep it for a few hundredths of the time, and organizations do not wait for each other.

mod hold;
mod lending;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) use self::hold::{Admitted, Hold, Work};
use self::lending::worst;
use crate::account::Account;
use crate::limits::Room;
use crate::rate::RateStatuses;
use crate::refusal::Refusal;
use crate::sums::{PeriodSum, Sum};
use crate::{
    AccountId, Ask, KeyId, Level, Limits, ModelId, Path, Period, Picos, PriceBook, Priced,
    ProjectId, Standing, Tier, UnixMillis, Usage,
};

#[derive(Debug, Default)]
pub(crate) struct Organization(Mutex<Tree>);

#[derive(Debug, Default)]
struct Tree {
    /// Whether other processes have the same limits.
    is_shared: bool,
    account: Account,
    projects: HashMap<ProjectId, Project>,
    /// What was agreed on with it, in place of the prices for all.
    prices: Option<Arc<PriceBook>>,
    /// What it used of each price list's period, by what the list is of; where other processes use
    /// the same, as it was read last.
    used: HashMap<(ModelId, Tier), PeriodSum>,
}

#[derive(Debug, Default)]
struct Project {
    account: Account,
    keys: HashMap<KeyId, Account>,
}

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) utc: UnixMillis,
}

impl Organization {
    pub(crate) fn new(is_shared: bool) -> Self {
        let account = Account::new(is_shared);
        Self(Mutex::new(Tree { is_shared, account, ..Tree::default() }))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request in, or takes nothing.
    pub(crate) fn admit(
        &self,
        path: &Path,
        ask: &Ask,
        book: &PriceBook,
        moment: Moment,
    ) -> Result<Admitted, Refusal> {
        let mut tree = self.tree();
        let (priced, need) = tree.need(ask, book, moment.utc);
        if !tree.wants(path, &need, moment).is_empty() {
            return Err(Refusal::NotLent);
        }
        let mut room: Room = (need.output, None);
        let mut levels = tree.made(path);
        for (level, account) in Level::ALL.into_iter().zip(&levels) {
            if priced.is_none() && account.has_budget() {
                let (model, tier) = (ask.model.clone(), ask.tier.clone());
                return Err(Refusal::NotPriced { model, tier, level });
            }
            account.narrow(level, moment.utc, &need, &mut room)?;
        }
        let most = worst(&need, room.0).cost;
        if most > Picos::new(i64::MAX.into()) {
            return Err(Refusal::TooDear { most: most.told() });
        }
        let asked = [1, need.input, room.0];
        for (level, account) in Level::ALL.into_iter().zip(&mut levels) {
            account.check_rates(level, asked, moment)?;
        }
        let mut hold = Hold { sum: worst(&need, room.0), ..Hold::default() };
        let mut statuses = RateStatuses::default();
        for (account, taken) in levels.into_iter().zip(&mut hold.taken) {
            *taken = account.take(asked, &hold.sum, moment.utc);
            account.tighten(&mut statuses, moment.now);
        }
        Ok(Admitted { priced, room, hold, statuses })
    }

    /// Counts what was used since the last time, and says what it costs; where other processes use
    /// the same, at the most: the ledger says which units are free, or cheaper.
    pub(crate) fn charge(
        &self,
        work: Work<'_>,
        usage: Usage,
        hold: &mut Hold,
        utc: UnixMillis,
    ) -> Picos {
        let mut tree = self.tree();
        let (used, held) = tree.cost(work, usage, hold, utc);
        for account in tree.known(work.path).into_iter().flatten() {
            account.charge(utc, &used, &held);
        }
        used.cost
    }

    /// The same of a request that ended with so much output: gives back what it did not use.
    pub(crate) fn settle(
        &self,
        work: Work<'_>,
        (usage, output): (Usage, u64),
        mut hold: Hold,
        utc: UnixMillis,
    ) -> Picos {
        let mut tree = self.tree();
        let (used, held) = tree.cost(work, usage, &mut hold, utc);
        for (account, taken) in tree.known(work.path).into_iter().zip(hold.taken) {
            if let Some(account) = account {
                let [requests, input, _] = taken;
                account.charge(utc, &used, &held);
                account.release(&hold.sum, taken, [requests, input, output]);
            }
        }
        used.cost
    }

    /// The request never was.
    pub(crate) fn undo(&self, path: &Path, hold: &Hold) {
        let mut tree = self.tree();
        for (account, taken) in tree.known(path).into_iter().zip(hold.taken) {
            if let Some(account) = account {
                account.release(&hold.sum, taken, [0; 3]);
            }
        }
    }

    pub(crate) fn set_limits(&self, id: &AccountId, limits: Limits, moment: Moment) {
        self.tree().account(id).set_limits(limits, moment.now, moment.utc);
    }

    pub(crate) fn set_prices(&self, prices: Option<Arc<PriceBook>>) {
        self.tree().prices = prices;
    }

    pub(crate) fn prices(&self) -> Option<Arc<PriceBook>> {
        self.tree().prices.clone()
    }

    pub(crate) fn restore(&self, id: &AccountId, period: Period, utc: UnixMillis, used: &Sum) {
        self.tree().account(id).restore(period, utc, used);
    }

    pub(crate) fn restore_used(
        &self,
        (model, tier): (&ModelId, &Tier),
        period: Period,
        utc: UnixMillis,
        used: &Sum,
    ) {
        self.tree().used(model, tier, period).add(utc, used);
    }

    /// What it used of a price list's period.
    pub(crate) fn used(&self, model: &ModelId, tier: &Tier, utc: UnixMillis) -> Usage {
        let used = self.tree().used.get(&(model.clone(), tier.clone())).map(|used| used.get(utc));
        used.unwrap_or_default().usage
    }

    /// Forgets a project with its keys, or a key.
    pub(crate) fn forget(&self, id: &AccountId) {
        let mut tree = self.tree();
        match id {
            AccountId::Organization(_) => {}
            AccountId::Project(_, project) => {
                tree.projects.remove(project);
            }
            AccountId::Key(path) => {
                if let Some(project) = tree.projects.get_mut(&path.project) {
                    project.keys.remove(&path.key);
                }
            }
        }
    }

    pub(crate) fn standing(&self, id: &AccountId, utc: UnixMillis) -> Standing {
        self.tree().account(id).standing(utc)
    }

    pub(crate) fn statuses(&self, path: &Path, now: Instant) -> RateStatuses {
        let (mut tree, mut statuses) = (self.tree(), RateStatuses::default());
        for account in tree.made(path) {
            account.tighten(&mut statuses, now);
        }
        statuses
    }
}

impl Tree {
    /// What was used, at its cost, and the part of it that was held.
    fn cost(
        &mut self,
        work: Work<'_>,
        usage: Usage,
        hold: &mut Hold,
        utc: UnixMillis,
    ) -> (Sum, Sum) {
        let cost = work.priced.map_or(Picos::ZERO, |Priced { model, tier, prices }| {
            if self.is_shared {
                return prices.ceiling(usage);
            }
            let used = self.used(model, tier, prices.period());
            let cost = prices.cost(usage, used.get(utc).usage);
            used.add(utc, &Sum { usage, cost });
            cost
        });
        let used = Sum { usage, cost };
        let held = hold.sum.part(&used);
        hold.sum.take(&held);
        (used, held)
    }

    /// The accounts of a path, made where there was none: it is without limits then.
    fn made(&mut self, path: &Path) -> [&mut Account; Level::ALL.len()] {
        let new = || Account::new(self.is_shared);
        let project = self.projects.entry(path.project.clone());
        let project = project.or_insert_with(|| Project { account: new(), ..Project::default() });
        let key = project.keys.entry(path.key.clone()).or_insert_with(new);
        [&mut self.account, &mut project.account, key]
    }

    /// The accounts of a path that were not forgotten.
    fn known(&mut self, path: &Path) -> [Option<&mut Account>; Level::ALL.len()] {
        let (project, key) = match self.projects.get_mut(&path.project) {
            Some(project) => (Some(&mut project.account), project.keys.get_mut(&path.key)),
            None => (None, None),
        };
        [Some(&mut self.account), project, key]
    }

    fn account(&mut self, id: &AccountId) -> &mut Account {
        match id {
            AccountId::Organization(_) => &mut self.account,
            AccountId::Project(_, project) => {
                let new =
                    || Project { account: Account::new(self.is_shared), ..Project::default() };
                &mut self.projects.entry(project.clone()).or_insert_with(new).account
            }
            AccountId::Key(path) => {
                let [_, _, key] = self.made(path);
                key
            }
        }
    }

    fn used(&mut self, model: &ModelId, tier: &Tier, period: Period) -> &mut PeriodSum {
        let used = self.used.entry((model.clone(), tier.clone()));
        let used = used.or_insert_with(|| PeriodSum::new(period));
        if used.period() != period {
            *used = PeriodSum::new(period);
        }
        used
    }
}
