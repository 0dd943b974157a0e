//! What an organization asks of limits that other processes have too, and gives back.

use std::collections::HashMap;
use std::time::Duration;

use super::{Moment, Organization, Tree};
use crate::lease::{LeaseAsks, LeaseGrants, ModelSums};
use crate::limits::Need;
use crate::sums::{PeriodSum, Sum};
use crate::{
    AccountId, Ask, Entry, Level, Meter, ModelId, Opened, OrganizationId, Path, Picos, PriceBook,
    Priced, Prices, Tier, UnixMillis, Usage,
};

/// How old may be what is known of other processes' use of prices with steps.
const READ_EVERY: Duration = Duration::from_secs(1);

impl Organization {
    /// What a request lacks of what was granted; nothing, where that is all, or where no more was
    /// to be had just now.
    pub(crate) fn wants(
        &self,
        path: &Path,
        ask: &Ask,
        book: &PriceBook,
        moment: Moment,
    ) -> LeaseAsks {
        let mut tree = self.tree();
        let (priced, need) = tree.need(ask, book, moment.utc);
        tree.wants(path, (&need, priced.as_ref()), moment)
    }

    pub(crate) fn lent(
        &self,
        asks: &LeaseAsks,
        grants: &LeaseGrants,
        book: &PriceBook,
        moment: Moment,
    ) {
        let mut tree = self.tree();
        if let Some(used) = &grants.used {
            tree.set_used(used, book, moment);
        }
        for (ask, grant) in asks.leases.iter().zip(&grants.leases) {
            tree.account(&ask.account).lent(ask, grant, moment);
        }
        for (ask, grant) in asks.rates.iter().zip(&grants.rates) {
            tree.account(&ask.account).rate_lent(ask, grant, moment.now);
        }
    }

    /// Whether other processes had something reserved of a path's limits.
    pub(crate) fn is_elsewhere(&self, path: &Path) -> bool {
        self.tree().known(path).into_iter().flatten().any(|account| account.is_elsewhere())
    }

    /// Whether what it used of models is to be read again, by requests that run.
    pub(crate) fn is_stale(&self, moment: Moment) -> bool {
        let tree = self.tree();
        tree.read_at.is_some() && tree.account.is_busy() && tree.is_stale(moment)
    }

    /// What is given back, of all or of what others may lack, and whether there may be more later.
    pub(crate) fn give_up(&self, id: &OrganizationId, how: (Moment, bool)) -> (LeaseAsks, bool) {
        let (mut tree, mut asks) = (self.tree(), LeaseAsks::default());
        let organization = || AccountId::Organization(id.clone());
        let mut has_more = tree.account.give_up(organization, how, &mut asks);
        for (project, of_project) in &mut tree.projects {
            let name = || AccountId::Project(id.clone(), project.clone());
            has_more |= of_project.account.give_up(name, how, &mut asks);
            for (key, account) in &mut of_project.keys {
                let path = || Path {
                    organization: id.clone(),
                    project: project.clone(),
                    key: key.clone(),
                };
                has_more |= account.give_up(|| AccountId::Key(path()), how, &mut asks);
            }
        }
        (asks, has_more)
    }

    /// What was given back is written, or is not.
    pub(crate) fn given_up(&self, asks: &LeaseAsks, is_written: bool) {
        let mut tree = self.tree();
        for ask in asks.leases.iter().filter(|_| is_written) {
            tree.account(&ask.account).given_up(ask);
        }
        // What was to go back is lost to all until it fills up; a debt is owed on.
        for ask in asks.rates.iter().filter(|ask| !is_written && ask.back < 0) {
            tree.account(&ask.account).owe(ask.kind, ask.back);
        }
    }

    /// The ledger has what was used. Says whether others may lack what is reserved for it yet.
    pub(crate) fn appended(&self, entry: &Entry, book: &PriceBook) -> bool {
        let Entry { opened, usage, cost, .. } = entry;
        let mut tree = self.tree();
        tree.written(opened, &Sum { usage: *usage, cost: *cost }, book);
        let mut is_scarce = false;
        for account in tree.known(&opened.path).into_iter().flatten() {
            is_scarce |= account.appended(*usage, *cost);
        }
        is_scarce
    }
}

impl Tree {
    fn is_stale(&self, moment: Moment) -> bool {
        let age = self.read_at.map(|at| moment.now.saturating_duration_since(at));
        age.is_none_or(|age| age >= READ_EVERY)
    }

    pub(super) fn note_unwritten(&mut self, (model, tier): (&ModelId, &Tier), more: &Sum) {
        self.unwritten.entry((model.clone(), tier.clone())).or_default().add(more);
    }

    /// The ledger has what a request used.
    fn written(&mut self, opened: &Opened, used: &Sum, book: &PriceBook) {
        let book = self.prices.as_deref().unwrap_or(book);
        // It was charged by the list of then.
        let priced = book.find(&opened.model, &opened.tier, opened.opened_at);
        let Some(Priced { model, tier, .. }) = priced else { return };
        if let Some(sum) = self.unwritten.get_mut(&(model, tier)) {
            sum.take(used);
        }
    }

    /// What the ledger has of models, and what it lacks of this process: units count for the list
    /// that they are charged by, which may be of all versions.
    fn set_used(&mut self, used: &[ModelSums], book: &PriceBook, moment: Moment) {
        let own = self.prices.clone();
        let book = own.as_deref().unwrap_or(book);
        let mut lists = self.unwritten.clone();
        let mut periods = HashMap::new();
        for ModelSums { model, tier, sums } in used {
            let Some(priced) = book.find(model, tier, moment.utc) else { continue };
            let Priced { model, tier, prices } = priced;
            let sum = lists.entry((model.clone(), tier.clone())).or_default();
            sum.add(&sums[prices.period() as usize]);
            periods.insert((model, tier), prices.period());
        }
        for (list, period) in periods {
            let mut all = PeriodSum::new(period);
            all.add(moment.utc, &lists.remove(&list).unwrap_or_default());
            self.used.insert(list, all);
        }
        self.read_at = Some(moment.now);
    }

    pub(super) fn need(
        &self,
        ask: &Ask,
        book: &PriceBook,
        utc: UnixMillis,
    ) -> (Option<Priced>, Need) {
        let book = self.prices.as_deref().unwrap_or(book);
        let priced = book.find(&ask.model, &ask.tier, utc);
        let need = need(ask, priced.as_ref().map(|priced| &*priced.prices));
        (priced, need)
    }

    pub(super) fn wants(
        &mut self,
        path: &Path,
        (need, priced): (&Need, Option<&Priced>),
        moment: Moment,
    ) -> LeaseAsks {
        let mut asks = LeaseAsks::default();
        if self.is_shared {
            asks.used = priced.is_some_and(|it| it.prices.has_steps()) && self.is_stale(moment);
            let asked = [1, need.input, need.output];
            for (level, account) in Level::ALL.into_iter().zip(self.made(path)) {
                account.want(|| path.account(level), (need, asked), moment, &mut asks);
            }
        }
        asks
    }
}

/// The most that a request needs: all of its input by the dearer of both meters, since nobody
/// knows yet what a cache has of it.
fn need(ask: &Ask, prices: Option<&Prices>) -> Need {
    let input = ask.other.saturating_add(Usage::NONE.with(Meter::InputTokens, ask.input_tokens));
    let cached = Usage::NONE.with(Meter::CachedInputTokens, ask.input_tokens);
    let cached = ask.other.saturating_add(cached);
    let ceiling = |usage| prices.map_or(Picos::ZERO, |prices| prices.ceiling(usage));
    Need {
        units: input.max(cached),
        fixed: ceiling(input).max(ceiling(cached)),
        input: ask.input_tokens.saturating_add(ask.other.get(Meter::EmbeddingTokens)),
        output: ask.max_output_tokens,
        per_output: prices.map(Prices::output_ceiling).unwrap_or_default(),
    }
}

/// What a request with so much output can use and cost.
pub(super) fn worst(need: &Need, output: u64) -> Sum {
    Sum {
        usage: need.units.saturating_add(Usage::NONE.with(Meter::OutputTokens, output)),
        cost: need.fixed.saturating_add(need.per_output.of(output.into())),
    }
}
