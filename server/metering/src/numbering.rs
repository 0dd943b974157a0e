//! What lines cost by their place in the period of their price list, where several processes write
//! one ledger.
//!
//! Invariant: lines that are taken in one after the other, by whatever batches and in whatever
//! order, cost together what all of their units cost, and none costs more than it was charged.
//!
//! A process charges at the dearest price what others may use up in the same moment. The ledger
//! is the one place where a unit gets its number, and with it its price.

use std::collections::HashMap;

use crate::{Entry, ModelId, Period, Picos, PriceBook, Priced, Sum, Tier, UnixMillis, Usage};

/// What the ledger has of a version of a model in a tier, of all processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSums {
    /// The version.
    pub model: ModelId,
    /// The tier.
    pub tier: Tier,
    /// Of the present day, the present month and ever.
    pub sums: [Sum; Period::ALL.len()],
}

/// What an organization used of its models in some periods, line after line.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    used: HashMap<(Period, u64), HashMap<(ModelId, Tier), Usage>>,
}

impl Numbering {
    /// Goes on from what the ledger has of the organization's models in the day and the month of a
    /// moment, and ever. All that lines were settled in are begun before the first is priced.
    pub fn begin(&mut self, at: UnixMillis, models: &[ModelSums]) {
        for period in Period::ALL {
            let used = |it: &ModelSums| {
                ((it.model.clone(), it.tier.clone()), it.sums[period as usize].usage)
            };
            let number = period.number(at);
            self.used.insert((period, number), models.iter().map(used).collect());
        }
    }

    /// Takes in a line that the ledger lacks, and says what it costs: by the list that holds at a
    /// moment, after what was used of that list in the period that the line was settled in. Where
    /// no list holds, or what it costs depends on nothing before, it is what was charged.
    pub fn price(&mut self, book: &PriceBook, line: &Entry, at: UnixMillis) -> Picos {
        let Entry { opened, settled_at, usage, cost, .. } = line;
        let list = book.find(&opened.model, &opened.tier, at);
        let exact = list.filter(|list| list.prices.has_steps()).map(|list| {
            let used = self.used(book, &list, (at, *settled_at));
            // Never more than budgets have let it: another list may hold by now.
            list.prices.cost(*usage, used).min(*cost)
        });
        for ((period, number), used) in &mut self.used {
            if period.number(*settled_at) == *number {
                let used = used.entry((opened.model.clone(), opened.tier.clone())).or_default();
                *used = used.saturating_add(*usage);
            }
        }
        exact.unwrap_or(*cost)
    }

    /// What was used of a list's period: by all models that it prices.
    fn used(
        &self,
        book: &PriceBook,
        list: &Priced,
        (at, settled_at): (UnixMillis, UnixMillis),
    ) -> Usage {
        let period = list.prices.period();
        let models = self.used.get(&(period, period.number(settled_at)));
        let is_of = |model: &ModelId, tier: &Tier| {
            let other = book.find(model, tier, at);
            other.is_some_and(|it| (&it.model, &it.tier) == (&list.model, &list.tier))
        };
        let used = models.into_iter().flatten().filter(|((model, tier), _)| is_of(model, tier));
        used.fold(Usage::NONE, |all, (_, usage)| all.saturating_add(*usage))
    }
}
