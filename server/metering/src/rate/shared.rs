//! What is taken out of buckets that processes have in common, and put back.

use std::time::Instant;

use super::{KINDS, RateKind, Rates, Taken, UNIT};
use crate::account::lent::DRY;
use crate::lease::{RateAsk, RateGrant};

/// What there is in common when this much of it is kept here.
const PLENTY: i64 = 4;

/// What a bucket lacks, or has too much of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack {
    pub(crate) kind: RateKind,
    pub(crate) limit: u64,
    /// What goes back; below zero, a debt.
    pub(crate) back: i64,
    pub(crate) need: u64,
}

/// Whole units, rounded downwards.
fn units(level: i128) -> i64 {
    i64::try_from(level.div_euclid(UNIT)).unwrap_or(if level < 0 { i64::MIN } else { i64::MAX })
}

impl Rates {
    /// What is to be asked for, so that so much can be taken. Debts go with it.
    pub(crate) fn lacks(&mut self, asked: Taken, now: Instant) -> Vec<Lack> {
        let mut lacks = Vec::new();
        for ((bucket, kind), asked) in self.buckets.iter_mut().zip(KINDS).zip(asked) {
            let Some(bucket) = bucket else { continue };
            let (needed, can_ever) = bucket.needed(kind, asked);
            let Some(common) = &bucket.common else { continue };
            let is_dry = common.dry_until.is_some_and(|until| now < until);
            let has = units(bucket.level);
            let need = needed.saturating_sub(u64::try_from(has).unwrap_or(0));
            if asked > 0 && can_ever && need > 0 && !is_dry {
                lacks.push(Lack { kind, limit: bucket.limit, back: has.min(0), need });
            }
        }
        lacks
    }

    /// Takes what was lent.
    pub(crate) fn lent(&mut self, ask: &RateAsk, grant: &RateGrant, now: Instant) {
        let Some(bucket) = &mut self.buckets[ask.kind as usize] else { return };
        bucket.add(i128::from(grant.more) - i128::from(ask.back));
        bucket.filled_at = now;
        if let Some(common) = &mut bucket.common {
            common.level = i128::from(grant.left) * UNIT;
            common.dry_until = (grant.more < ask.need).then(|| now + DRY);
        }
    }

    /// Takes out what is not needed, and debts, so that they can be put back: where there is
    /// plenty, all but twice what was taken since the last time.
    pub(crate) fn surplus(&mut self) -> Vec<Lack> {
        let mut surplus = Vec::new();
        for (bucket, kind) in self.buckets.iter_mut().zip(KINDS) {
            let Some(bucket) = bucket else { continue };
            let Some(common) = &mut bucket.common else { continue };
            let kept = i64::try_from(common.taken.saturating_mul(2)).unwrap_or(i64::MAX);
            let kept = if units(common.level) / PLENTY < kept { 0 } else { kept };
            common.taken = 0;
            let has = units(bucket.level);
            let back = if has < 0 { has } else { has.saturating_sub(kept).max(0) };
            if back != 0 {
                bucket.level -= i128::from(back) * UNIT;
                surplus.push(Lack { kind, limit: bucket.limit, back, need: 0 });
            }
        }
        surplus
    }

    /// A debt was not put down.
    pub(crate) fn owe(&mut self, kind: RateKind, debt: i64) {
        if let Some(bucket) = &mut self.buckets[kind as usize] {
            bucket.add(debt.into());
        }
    }

    /// Whether there is nothing to put back.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = |common: Option<super::Common>| common.is_none_or(|it| it.taken == 0);
        self.buckets.iter().flatten().all(|it| it.level == 0 && is_empty(it.common))
    }

    pub(super) fn note_taken(&mut self, asked: Taken) {
        for (bucket, asked) in self.buckets.iter_mut().zip(asked) {
            if let Some(common) = bucket.as_mut().and_then(|bucket| bucket.common.as_mut()) {
                common.taken = common.taken.saturating_add(asked);
            }
        }
    }
}
