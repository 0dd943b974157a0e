//! Why a request gets no permit.

use std::time::Duration;

use crate::journal::JournalError;
use crate::lease::LendError;
use crate::{Level, Meter, Micros, ModelId, Period, RateKind, RateStatus, Tier, UnixMillis};

/// How long who meets a limit of concurrency is told to wait: nobody knows when others end.
const CONCURRENCY_RETRY: Duration = Duration::from_secs(1);

/// Which limit of which level does not let a request in; nothing was taken from any.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Too much in a minute: 429, `rate_limit_exceeded`, with `Retry-After` where time helps.
    #[error(
        "the {level}'s rate is {limit} {kind} a minute, {remaining} are left and {asked} were \
         asked for: {advice}",
        limit = status.limit, remaining = status.remaining, advice = rate_advice(*retry_after)
    )]
    Rate {
        /// Whose.
        level: Level,
        /// Of what.
        kind: RateKind,
        /// How it stands.
        status: RateStatus,
        /// How many were asked for.
        asked: u64,
        /// When it lets the same request in, if no other comes; never, if that is `None`.
        retry_after: Option<Duration>,
    },
    /// Too many at once: 429, `rate_limit_exceeded`.
    #[error("the {level} has {limit} requests running, which is its limit: wait until one ends")]
    Concurrency {
        /// Whose.
        level: Level,
        /// How many may run.
        limit: u64,
    },
    /// Too many units: 429, `insufficient_quota`.
    #[error(
        "the {level}'s quota of {limit} {meter} {per} has {used} used and {held} held by running \
         requests, and {needed} more are needed: {advice}",
        per = per(*period), advice = quota_advice(*resets_at, *held > 0)
    )]
    Quota {
        /// Whose.
        level: Level,
        /// Of what.
        meter: Meter,
        /// In what.
        period: Period,
        /// The quota.
        limit: u64,
        /// What was used of it.
        used: u64,
        /// What requests that run may use yet.
        held: u64,
        /// What this one needs at least.
        needed: u64,
        /// When it begins anew.
        resets_at: Option<UnixMillis>,
    },
    /// Too much money: 429, `insufficient_quota`, or 402.
    #[error(
        "the {level}'s budget of {limit} {per} has {spent} spent and {held} held by running \
         requests, and {needed} more is needed: {advice}",
        per = per(*period), advice = quota_advice(*resets_at, *held > Micros::ZERO)
    )]
    Budget {
        /// Whose.
        level: Level,
        /// In what.
        period: Period,
        /// The budget.
        limit: Micros,
        /// What was spent of it, rounded upwards.
        spent: Micros,
        /// What requests that run may spend yet, rounded upwards.
        held: Micros,
        /// What this one needs at least, rounded upwards.
        needed: Micros,
        /// When it begins anew.
        resets_at: Option<UnixMillis>,
    },
    /// A budget stands, and nobody knows what the model costs: 403.
    #[error(
        "{model} has no price in the tier {tier}, and the {level} has a budget: add a price, or \
         lift the budget"
    )]
    NotPriced {
        /// The model.
        model: ModelId,
        /// The tier that was asked for.
        tier: Tier,
        /// Who has a budget.
        level: Level,
    },
    /// It could cost more than a ledger's line can say: 400.
    #[error("this request may cost up to {most}, more than can be billed at once: ask for less")]
    TooDear {
        /// The most that it could cost, rounded upwards.
        most: Micros,
    },
    /// What was granted of limits that several servers have in common is too little: more is to be
    /// asked for, by [`Meters::lease`](crate::Meters::lease). 503 where that came to nothing.
    #[error("the limits of this account are asked for by too many requests at once: try again")]
    NotLent,
    /// Limits that several servers have in common cannot be asked for: 503.
    #[error("limits cannot be read, so nothing is served: {0}")]
    Lender(LendError),
    /// What is used could not be written down: 503.
    #[error("usage cannot be recorded, so nothing is served: {0}")]
    Journal(#[from] JournalError),
}

impl Refusal {
    /// Whose limit it is, where it is one's.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Rate { level, .. }
            | Self::Concurrency { level, .. }
            | Self::Quota { level, .. }
            | Self::Budget { level, .. }
            | Self::NotPriced { level, .. } => Some(*level),
            Self::TooDear { .. } | Self::NotLent | Self::Lender(_) | Self::Journal(_) => None,
        }
    }

    /// How long to wait before the same request may be let in, where waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rate { retry_after, .. } => *retry_after,
            Self::Concurrency { .. } | Self::NotLent | Self::Lender(_) | Self::Journal(_) => {
                Some(CONCURRENCY_RETRY)
            }
            // What is only held is given back when those requests end.
            Self::Quota { limit, used, needed, .. } if used.saturating_add(*needed) <= *limit => {
                Some(CONCURRENCY_RETRY)
            }
            Self::Budget { limit, spent, needed, .. }
                if spent.get().saturating_add(needed.get()) <= limit.get() =>
            {
                Some(CONCURRENCY_RETRY)
            }
            Self::Quota { .. }
            | Self::Budget { .. }
            | Self::NotPriced { .. }
            | Self::TooDear { .. } => None,
        }
    }
}

fn rate_advice(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("try again in {wait:.1?}"),
        None => "ask for less, or have the limit raised".to_owned(),
    }
}

fn quota_advice(resets_at: Option<UnixMillis>, is_held: bool) -> &'static str {
    match (is_held, resets_at) {
        (true, _) => "wait for those to end, or have it raised",
        (false, Some(_)) => "wait for the next one, or have it raised",
        (false, None) => "have it raised",
    }
}

fn per(period: Period) -> &'static str {
    match period {
        Period::Day => "a day",
        Period::Month => "a month",
        Period::Total => "in total",
    }
}
