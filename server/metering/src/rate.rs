//! Rates a minute, as buckets that fill steadily.
//!
//! Invariant: from a bucket of n a minute no more than n × (1 + minutes) is taken in any time, but
//! for output of a request that asks for more than n: it takes a full bucket, and what it delivers
//! beyond that is a debt that later requests wait for. All arithmetic is of integers.
//!
//! Where processes have rates in common, what fills is a bucket in their database. One here has
//! what was taken out of that, and does not fill.

mod shared;

pub(crate) use self::shared::Lack;

use std::fmt;
use std::time::{Duration, Instant};

use crate::account::lent::DRY;

/// A unit in a bucket: what a bucket of one a minute gets in that minute's nanoseconds.
const UNIT: i128 = 60_000_000_000;

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateKind {
    /// Requests.
    Requests,
    /// Tokens of prompts, cached or not.
    InputTokens,
    /// Tokens that are generated, or that may be.
    OutputTokens,
}

/// How a rate stands, as the headers of OpenAI's API tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateStatus {
    /// How many there may be in a minute.
    pub limit: u64,
    /// How many more there may be now.
    pub remaining: u64,
    /// How long it takes until all of them may be.
    pub reset: Duration,
}

/// How the rates stand that leave the least, of all levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStatuses {
    /// Of requests, where they are limited.
    pub requests: Option<RateStatus>,
    /// Of input, where it is limited.
    pub input_tokens: Option<RateStatus>,
    /// Of output, where it is limited.
    pub output_tokens: Option<RateStatus>,
}

/// A rate does not let a request in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) kind: RateKind,
    pub(crate) status: RateStatus,
    pub(crate) asked: u64,
    /// `None` where no time lets it in.
    pub(crate) retry_after: Option<Duration>,
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: u64,
    /// In [`UNIT`]s; below zero while there is a debt.
    level: i128,
    filled_at: Instant,
    /// How the bucket stands that processes have in common, as far as is known, where they do.
    common: Option<Common>,
}

/// A bucket of several processes.
#[derive(Clone, Copy, Debug)]
struct Common {
    /// Its level, in [`UNIT`]s, if no other process took from it since it was asked for.
    level: i128,
    /// It had too little; is asked again then.
    dry_until: Option<Instant>,
    /// What requests took here since it was looked at last.
    taken: u64,
}

/// The buckets of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    buckets: [Option<Bucket>; KINDS.len()],
    /// Whether other processes have the same.
    is_shared: bool,
}

const KINDS: [RateKind; 3] = [RateKind::Requests, RateKind::InputTokens, RateKind::OutputTokens];

/// What a request takes of each kind.
pub(crate) type Taken = [u64; KINDS.len()];

impl Bucket {
    fn new(limit: u64, now: Instant, is_shared: bool) -> Self {
        let full = i128::from(limit) * UNIT;
        let common = is_shared.then_some(Common { level: full, dry_until: None, taken: 0 });
        let level = if is_shared { 0 } else { full };
        Self { limit, level, filled_at: now, common }
    }

    fn capacity(&self) -> i128 {
        i128::from(self.limit) * UNIT
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_nanos();
        let more = i128::try_from(passed).unwrap_or(i128::MAX).saturating_mul(self.limit.into());
        let capacity = self.capacity();
        let level = self.common.as_mut().map_or(&mut self.level, |common| &mut common.level);
        *level = level.saturating_add(more).min(capacity);
        self.filled_at = self.filled_at.max(now);
    }

    /// What there is here and, as far as is known, in common.
    fn all(&self) -> i128 {
        self.level.saturating_add(self.common.map_or(0, |common| common.level)).min(self.capacity())
    }

    /// How long it takes until the level is this, which is above it now.
    fn time_until(&self, level: i128) -> Duration {
        let nanos = (level - self.all()).max(0).unsigned_abs().div_ceil(self.limit.max(1).into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn status(&self) -> RateStatus {
        let remaining = u64::try_from(self.all().max(0) / UNIT).unwrap_or(u64::MAX);
        RateStatus { limit: self.limit, remaining, reset: self.time_until(self.capacity()) }
    }

    /// How many are to be there for so many, and whether they ever can be.
    fn needed(&self, kind: RateKind, asked: u64) -> (u64, bool) {
        match kind {
            RateKind::OutputTokens => (asked.min(self.limit), self.limit > 0),
            _ => (asked, asked <= self.limit),
        }
    }

    fn check(&self, kind: RateKind, asked: u64) -> Result<(), Exceeded> {
        let (needed, can_ever) = self.needed(kind, asked);
        let level = i128::from(needed) * UNIT;
        if asked == 0 || (can_ever && self.level >= level) {
            return Ok(());
        }
        // Of what is there in common others may have taken: it is asked again after that.
        let wait = self.time_until(level).max(self.common.map_or(Duration::ZERO, |_| DRY));
        let retry_after = can_ever.then_some(wait);
        Err(Exceeded { kind, status: self.status(), asked, retry_after })
    }

    fn add(&mut self, units: i128) {
        self.level = self.level.saturating_add(units * UNIT).min(self.capacity());
    }
}

impl Rates {
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { is_shared, ..Self::default() }
    }

    /// Other limits a minute; what was taken before stays taken.
    pub(crate) fn set(&mut self, limits: [Option<u64>; KINDS.len()], now: Instant) {
        let is_shared = self.is_shared;
        for (bucket, limit) in self.buckets.iter_mut().zip(limits) {
            if let Some(bucket) = bucket {
                bucket.fill(now);
            }
            *bucket = limit.map(|limit| {
                let mut new = Bucket::new(limit, now, is_shared);
                new.level = bucket.map_or(new.level, |old| old.level.min(new.level));
                new
            });
        }
    }

    /// Whether all let a request in.
    pub(crate) fn check(&mut self, asked: Taken, now: Instant) -> Result<(), Exceeded> {
        for ((bucket, kind), asked) in self.buckets.iter_mut().zip(KINDS).zip(asked) {
            if let Some(bucket) = bucket {
                bucket.fill(now);
                bucket.check(kind, asked)?;
            }
        }
        Ok(())
    }

    /// Takes what was checked, and says what that is: of output at most a full bucket.
    pub(crate) fn take(&mut self, mut asked: Taken) -> Taken {
        if let Some(output) = &self.buckets[2] {
            asked[2] = asked[2].min(output.limit);
        }
        self.note_taken(asked);
        self.correct([0; KINDS.len()], asked);
        asked
    }

    /// What was taken, in place of what is used in the end.
    pub(crate) fn correct(&mut self, taken: Taken, used: Taken) {
        for ((bucket, taken), used) in self.buckets.iter_mut().zip(taken).zip(used) {
            if let Some(bucket) = bucket {
                bucket.add(i128::from(taken) - i128::from(used));
            }
        }
    }

    /// Makes the statuses those of these buckets, where they leave less.
    pub(crate) fn tighten(&mut self, statuses: &mut RateStatuses, now: Instant) {
        let all = [&mut statuses.requests, &mut statuses.input_tokens, &mut statuses.output_tokens];
        for (bucket, known) in self.buckets.iter_mut().zip(all) {
            let Some(bucket) = bucket else { continue };
            bucket.fill(now);
            let status = bucket.status();
            if known.is_none_or(|known| status.remaining < known.remaining) {
                *known = Some(status);
            }
        }
    }
}

impl fmt::Display for RateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        })
    }
}

#[cfg(test)]
mod tests;
