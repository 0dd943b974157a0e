//! One account: its limits, and what it has used and holds.
//!
//! Invariant: what is held is the sum of what the running requests hold.

pub(crate) mod lent;

use std::time::Instant;

use self::lent::{Lent, Own};
use crate::lease::{LeaseAsk, LeaseAsks, LeaseGrant, LeaseOf, RateAsk, RateGrant};
use crate::limits::{Counted, Need, Room};
use crate::organization::Moment;
use crate::rate::{Lack, RateStatuses, Rates, Taken};
use crate::refusal::Refusal;
use crate::sums::{Sum, Sums};
use crate::{AccountId, Level, Limits, Period, Picos, RateKind, UnixMillis, Usage};

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
    /// What it was granted, where other processes have the same limits.
    lent: Option<Lent>,
}

impl Account {
    pub(crate) fn new(is_shared: bool) -> Self {
        let rates = Rates::new(is_shared);
        Self { rates, lent: is_shared.then(Lent::default), ..Self::default() }
    }

    fn own(&self, utc: UnixMillis) -> Own<'_> {
        let Self { sums, held, in_flight, .. } = self;
        Own { sums, held, in_flight: *in_flight, utc }
    }

    fn split(&mut self, utc: UnixMillis) -> (Own<'_>, &mut Rates, Option<&mut Lent>) {
        let Self { sums, held, in_flight, rates, lent, .. } = self;
        (Own { sums, held, in_flight: *in_flight, utc }, rates, lent.as_mut())
    }

    /// Other limits. What was granted of the old ones, and is not used, is asked for again.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant, utc: UnixMillis) {
        if limits == self.limits {
            return;
        }
        let (own, _, lent) = self.split(utc);
        if let Some(lent) = lent {
            lent.forfeit(&own);
        }
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
        let counted = Counted { own: self.own(utc), lent: self.lent.as_ref() };
        self.limits.narrow(level, &counted, need, room)
    }

    /// Adds what is to be asked for of limits that other processes have too.
    pub(crate) fn want(
        &mut self,
        id: impl Fn() -> AccountId,
        (need, asked): (&Need, Taken),
        moment: Moment,
        asks: &mut LeaseAsks,
    ) {
        let Some(lent) = &self.lent else { return };
        let own = self.own(moment.utc);
        for (of, limit) in self.limits.lendable() {
            let needed = need.all_of(of);
            if let Some((number, reserved, need)) = lent.want(of, needed, &own, moment.now) {
                let account = id();
                asks.leases.push(LeaseAsk { account, of, number, limit, reserved, need });
            }
        }
        for lack in self.rates.lacks(asked, moment.now) {
            let Lack { kind, limit, back, need } = lack;
            asks.rates.push(RateAsk { account: id(), kind, limit, back, need });
        }
    }

    /// Takes what was lent.
    pub(crate) fn lent(&mut self, ask: &LeaseAsk, grant: &LeaseGrant, moment: Moment) {
        let is_of_now = self.limits.lendable().any(|limit| limit == (ask.of, ask.limit));
        let (own, _, lent) = self.split(moment.utc);
        if let Some(lent) = lent {
            lent.take(ask, grant, &own, moment.now);
            if !is_of_now {
                // There was another limit when it was asked for.
                lent.forfeit(&own);
            }
        }
    }

    /// Whether there may be more of its limits soon.
    pub(crate) fn may_get_more(&self) -> bool {
        self.lent.as_ref().is_some_and(Lent::may_get_more)
    }

    /// Takes what was lent of a rate.
    pub(crate) fn rate_lent(&mut self, ask: &RateAsk, grant: &RateGrant, now: Instant) {
        self.rates.lent(ask, grant, now);
    }

    /// Adds what is given back: what is not needed, of all that was lent, or of what others may
    /// lack. Says whether there may be more to give back later.
    pub(crate) fn give_up(
        &mut self,
        id: impl Fn() -> AccountId,
        (moment, of_all): (Moment, bool),
        asks: &mut LeaseAsks,
    ) -> bool {
        let (own, rates, lent) = self.split(moment.utc);
        let Some(lent) = lent else { return false };
        for (of, number, reserved) in lent.shrink(&own, of_all) {
            let (account, limit, need) = (id(), 0, 0);
            asks.leases.push(LeaseAsk { account, of, number, limit, reserved, need });
        }
        let is_idle = lent.is_idle() && own.in_flight == 0;
        let surplus = if of_all { rates.surplus() } else { Vec::new() };
        for Lack { kind, limit, back, need } in surplus {
            asks.rates.push(RateAsk { account: id(), kind, limit, back, need });
        }
        !(is_idle && rates.is_empty())
    }

    /// A debt was not put down.
    pub(crate) fn owe(&mut self, kind: RateKind, debt: i64) {
        self.rates.owe(kind, debt);
    }

    /// What was given back is written.
    pub(crate) fn given_up(&mut self, ask: &LeaseAsk) {
        if let Some(lent) = &mut self.lent {
            lent.written(ask.of, ask.number, ask.reserved);
        }
    }

    /// The ledger has what was used. Says whether others may lack what is reserved for it yet.
    pub(crate) fn appended(&mut self, usage: Usage, cost: Picos) -> bool {
        self.lent.as_mut().is_some_and(|lent| lent.appended(usage, cost))
    }

    /// Whether its rates let a request in.
    pub(crate) fn check_rates(
        &mut self,
        level: Level,
        asked: Taken,
        Moment { now, utc }: Moment,
    ) -> Result<(), Refusal> {
        if let Some(limit) = self.limits.concurrent_requests {
            let granted = self
                .lent
                .as_ref()
                .map_or(limit.into(), |lent| lent.granted(LeaseOf::Concurrency, &self.own(utc)));
            if i128::from(self.in_flight) >= granted.min(limit.into()) {
                return Err(Refusal::Concurrency { level, limit });
            }
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
    pub(crate) fn take(&mut self, asked: Taken, hold: &Sum, utc: UnixMillis) -> Taken {
        self.in_flight += 1;
        self.held.add(hold);
        let (own, _, lent) = self.split(utc);
        if let Some(lent) = lent {
            lent.note_peak(&own);
        }
        self.rates.take(asked)
    }

    /// Counts what was used, of which a part was held.
    pub(crate) fn charge(&mut self, utc: UnixMillis, used: &Sum, held: &Sum) {
        self.sums.add(utc, used);
        self.held.take(held);
        if let Some(lent) = &mut self.lent {
            lent.charge(used);
        }
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
