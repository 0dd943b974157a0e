//! What may stand on an account, and what that leaves for a request.
//!
//! Invariant: what was used and what is held by requests that run never exceed a quota or a budget
//! together, so they are hard.

use crate::account::lent::{Lent, Own};
use crate::lease::LeaseOf;
use crate::permit::CappedBy;
use crate::refusal::Refusal;
use crate::tariff::Price;
use crate::{Level, Meter, Micros, Period, Picos, Usage};

/// What an account may do; by default, anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests that begin in a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens of prompts in a minute, cached or not.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens generated in a minute: as many as a request may generate count until it is settled.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrent_requests: Option<u64>,
    /// Units of meters.
    pub quotas: Vec<Quota>,
    /// Money.
    pub budgets: Vec<Budget>,
}

/// So many units of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Which.
    pub meter: Meter,
    /// In each day or month, or altogether.
    pub period: Period,
    /// How many.
    pub units: u64,
}

/// So much money; a balance that was paid in advance is one for [`Period::Total`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In each day or month, or altogether.
    pub period: Period,
    /// How much.
    pub amount: Micros,
}

/// The most that a request needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// All but the output that it asks for.
    pub(crate) units: Usage,
    /// What those cost at most.
    pub(crate) fixed: Picos,
    /// What it takes of a rate of input.
    pub(crate) input: u64,
    /// The most output.
    pub(crate) output: u64,
    /// What a token of it costs at most.
    pub(crate) per_output: Price,
}

/// How much output is left room for, and by what.
pub(crate) type Room = (u64, Option<CappedBy>);

/// What an account has used and holds here, and what it was granted of limits that other processes
/// have too.
#[derive(Clone, Copy)]
pub(crate) struct Counted<'a> {
    pub(crate) own: Own<'a>,
    pub(crate) lent: Option<&'a Lent>,
}

/// What is left of a limit here, and what all processes have used and hold of it.
struct Left {
    left: i128,
    used: i128,
    held: i128,
}

impl Counted<'_> {
    fn left(&self, of: LeaseOf, limit: i128) -> Left {
        let (own, lent) = (&self.own, self.lent);
        let (used, held) = (own.used(of), own.held(of));
        // What was charged may be more than what the ledger has of it, and with that more than the
        // limit: what is granted is within it.
        let here = lent.map_or(limit, |lent| lent.granted(of, own));
        let left = here.saturating_sub(used).saturating_sub(held).max(0);
        let Some(lent) = lent else { return Left { left, used, held } };
        let ((used_elsewhere, held_elsewhere), pending) =
            (lent.elsewhere(of, own), lent.pending(of));
        let used = used.saturating_add(used_elsewhere).saturating_sub(pending).max(0);
        Left { left, used, held: held.saturating_add(held_elsewhere).saturating_add(pending) }
    }
}

impl Need {
    /// All that it needs of a limit to have the output that it asks for.
    pub(crate) fn all_of(&self, of: LeaseOf) -> i128 {
        match of {
            LeaseOf::Money(_) => {
                self.fixed.saturating_add(self.per_output.of(self.output.into())).get()
            }
            LeaseOf::Units(Meter::OutputTokens, _) => {
                i128::from(self.units.get(Meter::OutputTokens)) + i128::from(self.output)
            }
            LeaseOf::Units(meter, _) => self.units.get(meter).into(),
            LeaseOf::Concurrency => 1,
        }
    }
}

impl Limits {
    /// All that may be lent, and how much there may be of it in all.
    pub(crate) fn lendable(&self) -> impl Iterator<Item = (LeaseOf, i128)> {
        let money =
            self.budgets.iter().map(|it| (LeaseOf::Money(it.period), it.amount.to_picos().get()));
        let units = self
            .quotas
            .iter()
            .map(|it| (LeaseOf::Units(it.meter, it.period), i128::from(it.units)));
        let at_once = self.concurrent_requests.map(|max| (LeaseOf::Concurrency, i128::from(max)));
        money.chain(units).chain(at_once)
    }

    /// Makes the room smaller where less is left.
    pub(crate) fn narrow(
        &self,
        level: Level,
        counted: &Counted<'_>,
        need: &Need,
        room: &mut Room,
    ) -> Result<(), Refusal> {
        for quota in &self.quotas {
            let most = quota.most_output(level, counted, need)?;
            if most < room.0 {
                *room = (most, Some(CappedBy::Quota { level, period: quota.period }));
            }
        }
        for budget in &self.budgets {
            let most = budget.most_output(level, counted, need)?;
            if most < room.0 {
                *room = (most, Some(CappedBy::Budget { level, period: budget.period }));
            }
        }
        Ok(())
    }
}

impl Quota {
    fn most_output(
        &self,
        level: Level,
        counted: &Counted<'_>,
        need: &Need,
    ) -> Result<u64, Refusal> {
        let Self { meter, period, units: limit } = *self;
        let Left { left, used, held } = counted.left(LeaseOf::Units(meter, period), limit.into());
        let units = |number: i128| u64::try_from(number).unwrap_or(u64::MAX);
        let left = units(left);
        let wants_output = meter == Meter::OutputTokens && need.output > 0;
        // A token at least.
        let needed = need.units.get(meter).saturating_add(u64::from(wants_output));
        if needed > left {
            return Err(Refusal::Quota {
                level,
                meter,
                period,
                limit,
                used: units(used),
                held: units(held),
                needed,
                resets_at: period.end(counted.own.utc),
            });
        }
        let room = left - need.units.get(meter);
        Ok(if wants_output { need.output.min(room) } else { need.output })
    }
}

impl Budget {
    fn most_output(
        &self,
        level: Level,
        counted: &Counted<'_>,
        need: &Need,
    ) -> Result<u64, Refusal> {
        let Self { period, amount } = *self;
        let Left { left, used, held } =
            counted.left(LeaseOf::Money(period), amount.to_picos().get());
        let left = Picos::new(left);
        let per_output = need.per_output.picos();
        let mut needed = need.fixed;
        if need.output > 0 {
            // A token at least.
            needed = needed.saturating_add(per_output);
        }
        // Nothing is needed of a budget by what is free, even of one that is used up.
        if needed > left && needed > Picos::ZERO {
            return Err(Refusal::Budget {
                level,
                period,
                limit: amount,
                spent: Picos::new(used).told(),
                held: Picos::new(held).told(),
                needed: needed.told(),
                resets_at: period.end(counted.own.utc),
            });
        }
        if per_output == Picos::ZERO {
            return Ok(need.output);
        }
        let room = left.saturating_sub(need.fixed).get() / per_output.get();
        Ok(u64::try_from(room).unwrap_or(u64::MAX).min(need.output))
    }
}
