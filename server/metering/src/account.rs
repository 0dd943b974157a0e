//! One account: its limits, and what it has used and holds.
//!
//! Invariant: what is held is the sum of what the running requests hold.

use std::time::Instant;

use crate::limits::{Counted, Need, Room};
use crate::rate::{RateStatuses, Rates, Taken};
use crate::refusal::Refusal;
use crate::sums::{Sum, Sums};
use crate::{Level, Limits, Period, UnixMillis};

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that run.
    pub in_flight: u64,
    /// What they may use and cost yet, at most.
    pub held: Sum,
    /// What was used this day.
    pub day: Sum,
    /// What was used this month.
    pub month: Sum,
    /// What was ever used.
    pub total: Sum,
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    limits: Limits,
    rates: Rates,
    in_flight: u64,
    sums: Sums,
    held: Sum,
}

impl Account {
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        let rates = [
            limits.requests_per_minute,
            limits.input_tokens_per_minute,
            limits.output_tokens_per_minute,
        ];
        self.rates.set(rates, now);
        self.limits = limits;
    }

    pub(crate) fn has_budget(&self) -> bool {
        !self.limits.budgets.is_empty()
    }

    /// How much output its quotas and budgets leave room for.
    pub(crate) fn narrow(
        &self,
        level: Level,
        utc: UnixMillis,
        need: &Need,
        room: &mut Room,
    ) -> Result<(), Refusal> {
        let counted = Counted { sums: &self.sums, held: &self.held, utc };
        self.limits.narrow(level, &counted, need, room)
    }

    /// Whether its rates let a request in.
    pub(crate) fn check_rates(
        &mut self,
        level: Level,
        asked: Taken,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(limit) = self.limits.concurrent_requests.filter(|max| self.in_flight >= *max) {
            return Err(Refusal::Concurrency { level, limit });
        }
        self.rates.check(asked, now).map_err(|exceeded| Refusal::Rate {
            level,
            kind: exceeded.kind,
            status: exceeded.status,
            asked: exceeded.asked,
            retry_after: exceeded.retry_after,
        })
    }

    /// Lets a request in, and says what it took of the rates.
    pub(crate) fn take(&mut self, asked: Taken, hold: &Sum) -> Taken {
        self.in_flight += 1;
        self.held.add(hold);
        self.rates.take(asked)
    }

    /// Counts what was used, of which a part was held.
    pub(crate) fn charge(&mut self, utc: UnixMillis, used: &Sum, held: &Sum) {
        self.sums.add(utc, used);
        self.held.take(held);
    }

    /// A request ended: what it held and did not use is free.
    pub(crate) fn release(&mut self, held: &Sum, taken: Taken, used: Taken) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.held.take(held);
        self.rates.correct(taken, used);
    }

    /// Counts what was used before this process began.
    pub(crate) fn restore(&mut self, period: Period, utc: UnixMillis, used: &Sum) {
        self.sums.add_to(period, utc, used);
    }

    pub(crate) fn tighten(&mut self, statuses: &mut RateStatuses, now: Instant) {
        self.rates.tighten(statuses, now);
    }

    pub(crate) fn standing(&self, utc: UnixMillis) -> Standing {
        let Self { in_flight, held, sums, .. } = self;
        Standing {
            in_flight: *in_flight,
            held: *held,
            day: sums.get(Period::Day, utc),
            month: sums.get(Period::Month, utc),
            total: sums.get(Period::Total, utc),
        }
    }
}
