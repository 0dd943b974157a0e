//! What may stand on an account, and what that leaves for a request.
//!
//! Invariant: what was used and what is held by requests that run never exceed a quota or a budget
//! together, so they are hard.

use crate::permit::CappedBy;
use crate::refusal::Refusal;
use crate::sums::{Sum, Sums};
use crate::tariff::Price;
use crate::{Level, Meter, Micros, Period, Picos, UnixMillis, Usage};

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
    /// The most output.
    pub(crate) output: u64,
    /// What a token of it costs at most.
    pub(crate) per_output: Price,
}

/// How much output is left room for, and by what.
pub(crate) type Room = (u64, Option<CappedBy>);

/// What an account has used and holds.
pub(crate) struct Counted<'a> {
    pub(crate) sums: &'a Sums,
    pub(crate) held: &'a Sum,
    pub(crate) utc: UnixMillis,
}

impl Limits {
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
        let used = counted.sums.get(period, counted.utc).usage.get(meter);
        let held = counted.held.usage.get(meter);
        let wants_output = meter == Meter::OutputTokens && need.output > 0;
        // A token at least.
        let needed = need.units.get(meter).saturating_add(u64::from(wants_output));
        let left = limit.saturating_sub(used).saturating_sub(held);
        if needed > left {
            let resets_at = period.end(counted.utc);
            return Err(Refusal::Quota {
                level,
                meter,
                period,
                limit,
                used,
                held,
                needed,
                resets_at,
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
        let spent = counted.sums.get(period, counted.utc).cost;
        let held = counted.held.cost;
        let per_output = need.per_output.picos();
        let mut needed = need.fixed;
        if need.output > 0 {
            // A token at least.
            needed = needed.saturating_add(per_output);
        }
        let left = amount.to_picos().saturating_sub(spent).saturating_sub(held);
        // Nothing is needed of a budget by what is free, even of one that is used up.
        if needed > left && needed > Picos::ZERO {
            return Err(Refusal::Budget {
                level,
                period,
                limit: amount,
                spent: spent.told(),
                held: held.told(),
                needed: needed.told(),
                resets_at: period.end(counted.utc),
            });
        }
        if per_output == Picos::ZERO {
            return Ok(need.output);
        }
        let room = left.saturating_sub(need.fixed).get() / per_output.get();
        Ok(u64::try_from(room).unwrap_or(u64::MAX).min(need.output))
    }
}
