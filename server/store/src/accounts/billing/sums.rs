//! What the ledger has of an organization's spans.
//!
//! Invariant: what was settled in any span counts once, and nothing else does: spans that overlap
//! are one.

use std::collections::BTreeMap;

use server_accounts::{Allowed, may};
use server_metering::Picos;

use super::{BillingSpan, spans};
use crate::ledger::{BucketQuery, BucketWidth, END_OF_TIME, MILLIS_PER_HOUR, UsageQuery};
use crate::{Store, StoreError};

/// Hours that are asked for at once.
const HOURS: usize = 1_000;

impl Store {
    /// What the ledger has of an organization's spans before the Unix hour `before`: all of the
    /// hours up to `watermark`, and the first `limit` hours after it that have anything, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_sums(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        watermark: Option<i64>,
        before: i64,
        limit: usize,
    ) -> Result<(Picos, Vec<(i64, Picos)>), StoreError> {
        let id = allowed.organization();
        let work = async {
            let mut transaction = self.read(id).await?;
            spans(&mut transaction, id).await
        };
        let counted = merged(&self.in_time(work).await?);
        let first = watermark.map_or(0, |hour| hour.saturating_add(1));
        let (first, end) = (millis(first), millis(before));
        let mut known: i128 = 0;
        for (since, until) in within(&counted, (0, first.min(end))) {
            let query = UsageQuery { since, until, ..UsageQuery::default() };
            known = known.saturating_add(self.usage(allowed, &query).await?.cost.get());
        }
        let mut hours = BTreeMap::new();
        for range in within(&counted, (first, end)) {
            self.add_hours(allowed, range, limit, &mut hours).await?;
            // One more: an hour may go on in the next range.
            if hours.len() > limit {
                break;
            }
        }
        let hours = hours.into_iter().take(limit);
        Ok((Picos::new(known), hours.map(|(hour, sum)| (hour, Picos::new(sum))).collect()))
    }

    async fn add_hours(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        (since, until): (i64, i64),
        limit: usize,
        hours: &mut BTreeMap<i64, i128>,
    ) -> Result<(), StoreError> {
        let usage = UsageQuery { since, until, ..UsageQuery::default() };
        let (width, group_by, limit_hours) = (BucketWidth::Hour, Vec::new(), HOURS);
        let mut query = BucketQuery { usage, width, group_by, limit: limit_hours, after: None };
        loop {
            let page = self.usage_buckets(allowed, &query).await?;
            for bucket in &page.rows {
                for group in &bucket.groups {
                    let sum = hours.entry(bucket.start / MILLIS_PER_HOUR).or_insert(0);
                    *sum = sum.saturating_add(group.total.cost.get());
                }
            }
            query.after = page.rows.last().map(|bucket| bucket.end);
            if !page.has_more || query.after.is_none() || hours.len() > limit {
                return Ok(());
            }
        }
    }
}

fn millis(hour: i64) -> i64 {
    hour.saturating_mul(MILLIS_PER_HOUR).clamp(0, END_OF_TIME)
}

/// Times in Unix milliseconds that do not overlap, in order.
fn merged(spans: &[BillingSpan]) -> Vec<(i64, i64)> {
    let moment = |secs: i64| secs.saturating_mul(1000).clamp(0, END_OF_TIME);
    let mut times: Vec<(i64, i64)> = spans
        .iter()
        .map(|span| (moment(span.from), span.until.map_or(END_OF_TIME, moment)))
        .filter(|(since, until)| since < until)
        .collect();
    times.sort_unstable();
    let mut all: Vec<(i64, i64)> = Vec::new();
    for (since, until) in times {
        match all.last_mut() {
            Some(last) if since <= last.1 => last.1 = last.1.max(until),
            _ => all.push((since, until)),
        }
    }
    all
}

/// What of times is in a range.
fn within(times: &[(i64, i64)], (since, until): (i64, i64)) -> impl Iterator<Item = (i64, i64)> {
    let cut = times.iter().map(move |time| (time.0.max(since), time.1.min(until)));
    cut.filter(|(since, until)| since < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, until: Option<i64>) -> BillingSpan {
        BillingSpan { subscription: String::new(), customer: String::new(), from, until }
    }

    #[test]
    fn spans_that_overlap_are_one_and_empty_ones_are_none() {
        let spans = [span(9, None), span(1, Some(4)), span(3, Some(5)), span(7, Some(7))];
        let times = merged(&spans);
        assert_eq!(times, [(1_000, 5_000), (9_000, END_OF_TIME)]);
        let cut: Vec<_> = within(&times, (4_500, 10_000)).collect();
        assert_eq!(cut, [(4_500, 5_000), (9_000, 10_000)]);
        assert_eq!(within(&times, (5_000, 9_000)).count(), 0);
    }
}
