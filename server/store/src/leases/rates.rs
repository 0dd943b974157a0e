//! Rates that processes have in common.
//!
//! Invariant: a bucket fills by the clock of whoever sees it latest, so clocks that differ fill it
//! once for all, and by no more than they differ.

use std::collections::HashMap;
use std::sync::LazyLock;

use server_metering::{LeaseAsks, OrganizationId, RateAsk, RateGrant, RateKind, UnixMillis};

use super::deepest;
use super::rows::{Account, ids};
use crate::StoreError;
use crate::ledger::{Insert, Written, write_rows};
use crate::sql::{Transaction, query};

/// Of a unit.
const MILLIONTHS: i128 = 1_000_000;
const MILLIS_PER_MINUTE: i128 = 60_000;
/// Who asks gets this part of what is left, beyond what it needs.
const SLICE: i64 = 16;
/// The largest rate that is told apart from others: a bucket is 64 bits of millionths.
const MAX_LIMIT: i64 = i64::MAX / 4_000_000;

const SELECT: &str = "SELECT project_id, key_id, kind, level, filled_at FROM shared_rates
    WHERE organization_id = $1 AND project_id IN ('', $2) AND key_id IN ('', $3)";
static SET: LazyLock<Insert> =
    LazyLock::new(|| upsert("level = excluded.level, filled_at = excluded.filled_at"));
static ADD: LazyLock<Insert> =
    LazyLock::new(|| upsert("level = shared_rates.level + excluded.level"));

fn upsert(set: &str) -> Insert {
    let key = "organization_id, project_id, key_id, kind";
    Insert::new(
        format!("INSERT INTO shared_rates ({key}, level, filled_at)"),
        format!(" ON CONFLICT ({key}) DO UPDATE SET {set}"),
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// In millionths; may be above what it holds, until it is filled.
    level: i64,
    /// Unix milliseconds.
    filled_at: i64,
}

/// A bucket's name, and how it stands now.
type Row<'a> = (&'a str, Account, &'static str, Bucket);

fn name(kind: RateKind) -> &'static str {
    match kind {
        RateKind::Requests => "requests",
        RateKind::InputTokens => "input_tokens",
        RateKind::OutputTokens => "output_tokens",
    }
}

/// Takes what is asked for of an organization's rates, as far as it is there.
pub(super) async fn take(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    asks: &[RateAsk],
    utc: UnixMillis,
) -> Result<Vec<RateGrant>, StoreError> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let organization = organization.as_str();
    let (project, key) = deepest(asks.iter().map(|ask| ids(&ask.account).1));
    let rows: Vec<(String, String, String, i64, i64)> =
        query!(&mut *transaction, fetch_all, SELECT, organization, project, key)?;
    let mut buckets = HashMap::new();
    for (project, key, kind, level, filled_at) in rows {
        buckets.insert(((project, key), kind), Bucket { level, filled_at });
    }
    let now = i64::try_from(utc.0).unwrap_or(i64::MAX);
    let (mut grants, mut rows) = (Vec::new(), Vec::new());
    for ask in asks {
        let (account, kind) = (ids(&ask.account).1, name(ask.kind));
        let known = buckets.get(&(account.clone(), kind.to_owned())).copied();
        let mut bucket = Bucket::filled(known, ask.limit, now);
        grants.push(bucket.take(ask));
        rows.push((organization, account, kind, bucket));
    }
    write(transaction, &mut rows, &SET).await?;
    Ok(grants)
}

/// Puts back what was taken and is not needed; debts, which are below zero, too.
pub(super) async fn put_back(
    transaction: &mut Transaction,
    all: &[(OrganizationId, LeaseAsks)],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for (organization, asks) in all {
        for ask in &asks.rates {
            let back = i128::from(ask.back).clamp(-i128::from(MAX_LIMIT), MAX_LIMIT.into());
            let bucket = Bucket { level: fit(back * MILLIONTHS), filled_at: 0 };
            rows.push((organization.as_str(), ids(&ask.account).1, name(ask.kind), bucket));
        }
    }
    write(transaction, &mut rows, &ADD).await
}

async fn write(
    transaction: &mut Transaction,
    rows: &mut [Row<'_>],
    insert: &'static Insert,
) -> Result<(), StoreError> {
    rows.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
    let cells: Vec<Written<'_, 4, 2>> = rows
        .iter()
        .map(|(organization, (project, key), kind, Bucket { level, filled_at })| {
            ([*organization, project.as_str(), key.as_str(), *kind], [*level, *filled_at])
        })
        .collect();
    write_rows(transaction, insert, &cells).await
}

impl Bucket {
    /// A bucket as it stands now; one that nobody took from is full.
    fn filled(known: Option<Self>, limit: u64, now: i64) -> Self {
        let limit = i128::from(limit).min(MAX_LIMIT.into());
        let full = limit * MILLIONTHS;
        let Some(Self { level, filled_at }) = known else {
            return Self { level: fit(full), filled_at: now };
        };
        let passed = i128::from(now.saturating_sub(filled_at).max(0));
        let more = limit * passed * MILLIONTHS / MILLIS_PER_MINUTE;
        let level = fit((i128::from(level) + more).min(full));
        Self { level, filled_at: now.max(filled_at) }
    }

    fn take(&mut self, ask: &RateAsk) -> RateGrant {
        let of = |units: i64| i128::from(units) * MILLIONTHS;
        let back = ask.back.clamp(-MAX_LIMIT, MAX_LIMIT);
        let full = of(i64::try_from(ask.limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT));
        self.level = fit((i128::from(self.level) + of(back)).min(full));
        let need = i64::try_from(ask.need).unwrap_or(i64::MAX);
        let units = self.level.div_euclid(1_000_000);
        let more = if need > 0 && units >= need { need + (units - need) / SLICE } else { 0 };
        self.level = fit(i128::from(self.level) - of(more));
        RateGrant { more: more.unsigned_abs(), left: self.level.div_euclid(1_000_000) }
    }
}

fn fit(millionths: i128) -> i64 {
    i64::try_from(millionths).unwrap_or(if millionths < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(limit: u64, back: i64, need: u64) -> RateAsk {
        let organization = OrganizationId::new("o").unwrap();
        let account = server_metering::AccountId::Organization(organization);
        RateAsk { account, kind: RateKind::Requests, limit, back, need }
    }

    #[test]
    fn a_bucket_gives_what_it_has_and_fills_by_the_latest_clock() {
        let mut bucket = Bucket::filled(None, 60, 1_000);
        assert_eq!(bucket.take(&ask(60, 0, 40)), RateGrant { more: 41, left: 19 });
        assert_eq!(bucket.take(&ask(60, 0, 20)), RateGrant { more: 0, left: 19 });
        // One a second; an earlier clock adds nothing.
        let later = Bucket::filled(Some(bucket), 60, 2_500);
        assert_eq!(later, Bucket { level: 20_500_000, filled_at: 2_500 });
        assert_eq!(Bucket::filled(Some(later), 60, 1_500), later);
        // However often it is looked at.
        let often = (0..1_000).fold(later, |it, n| Bucket::filled(Some(it), 60, 2_500 + n));
        assert_eq!(often.level, 20_500_000 + 999_000);
        assert_eq!(Bucket::filled(Some(often), 60, 1_000_000).level, 60_000_000);
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_given() {
        let mut bucket = Bucket::filled(None, 60, 0);
        assert_eq!(bucket.take(&ask(60, -100, 1)), RateGrant { more: 0, left: -40 });
        let mut later = Bucket::filled(Some(bucket), 60, 41_000);
        assert_eq!(later.take(&ask(60, 0, 1)), RateGrant { more: 1, left: 0 });
        assert_eq!(later.take(&ask(60, 90, 0)), RateGrant { more: 0, left: 60 });
        // The largest numbers do not overflow.
        let mut huge = Bucket::filled(Some(later), u64::MAX, i64::MAX);
        let _ = huge.take(&ask(u64::MAX, i64::MIN, u64::MAX));
        let _ = Bucket::filled(Some(huge), u64::MAX, i64::MAX).take(&ask(u64::MAX, i64::MAX, 1));
    }
}
