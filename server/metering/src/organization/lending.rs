//! What an organization asks of limits that other processes have too, and gives back.

use std::sync::Arc;

use super::{Moment, Organization, Tree};
use crate::lease::{LeaseAsks, LeaseGrants};
use crate::limits::Need;
use crate::sums::Sum;
use crate::{
    AccountId, Ask, Entry, Level, Meter, ModelSums, OrganizationId, Path, Picos, PriceBook, Priced,
    Prices, UnixMillis, Usage,
};

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
        let (_, need) = tree.need(ask, book, moment.utc);
        tree.wants(path, &need, moment)
    }

    pub(crate) fn lent(&self, asks: &LeaseAsks, grants: &LeaseGrants, moment: Moment) {
        let mut tree = self.tree();
        for (ask, grant) in asks.leases.iter().zip(&grants.leases) {
            tree.account(&ask.account).lent(ask, grant, moment);
        }
        for (ask, grant) in asks.rates.iter().zip(&grants.rates) {
            tree.account(&ask.account).rate_lent(ask, grant, moment.now);
        }
    }

    /// Whether there may be more of a path's limits soon.
    pub(crate) fn may_get_more(&self, path: &Path) -> bool {
        self.tree().known(path).into_iter().flatten().any(|account| account.may_get_more())
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
    pub(crate) fn appended(&self, entry: &Entry) -> bool {
        let Entry { opened, usage, cost, .. } = entry;
        let (mut tree, mut is_scarce) = (self.tree(), false);
        for account in tree.known(&opened.path).into_iter().flatten() {
            is_scarce |= account.appended(*usage, *cost);
        }
        is_scarce
    }

    /// What the ledger has of its models now: units count for the list that they are charged by,
    /// which may be of all versions.
    pub(crate) fn set_used(&self, models: &[ModelSums], book: &PriceBook, utc: UnixMillis) {
        let mut tree = self.tree();
        let own = tree.prices.clone();
        let book = own.as_deref().unwrap_or(book);
        tree.used.clear();
        for ModelSums { model, tier, sums } in models {
            let Some(priced) = book.find(model, tier, utc) else {
                continue;
            };
            let period = priced.prices.period();
            tree.used(&priced.model, &priced.tier, period).add(utc, &sums[period as usize]);
        }
    }
}

impl Tree {
    pub(super) fn need(
        &self,
        ask: &Ask,
        book: &PriceBook,
        utc: UnixMillis,
    ) -> (Option<Arc<Priced>>, Need) {
        let book = self.prices.as_deref().unwrap_or(book);
        let priced = book.find(&ask.model, &ask.tier, utc);
        let need = need(ask, priced.as_ref().map(|priced| &priced.prices));
        (priced, need)
    }

    pub(super) fn wants(&mut self, path: &Path, need: &Need, moment: Moment) -> LeaseAsks {
        let mut asks = LeaseAsks::default();
        if self.is_shared {
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
