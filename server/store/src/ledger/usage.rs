//! What was used and what it cost: of any time, by what it is grouped by.
//!
//! Invariant: sums are of the ledger's lines, exactly, wherever a time begins and ends.

use server_accounts::{Allowed, may};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::cells::{COST, Cells, METERS, NUM_SUM, sum_of};
use super::counted::NOBODY;
use super::error::BillingError;
use super::filter::{Part, Scope, check_range, parts};
use super::prune::check_lines;
use super::query::{Bucket, BucketQuery, BucketWidth, GroupBy, UsageGroup, UsageQuery, UsageTotal};
use crate::page::Page;
use crate::sql::on;
use crate::{Store, StoreError};

/// Buckets of a page.
const MAX_BUCKETS: usize = 2_000;
/// Groups of all buckets of a page.
const MAX_GROUPS: usize = 50_000;

/// What it is grouped by; the bucket's number, the number of requests, and the sum.
type Row = Cells<{ GroupBy::ALL.len() }, { 2 + NUM_SUM }>;

impl Store {
    /// What an organization used in a time, or as much of it as reading is allowed of.
    ///
    /// # Errors
    /// If it is no time, a filter is too long or the database fails.
    pub async fn usage(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        query: &UsageQuery,
    ) -> Result<UsageTotal, StoreError> {
        let rows = self.usage_rows(allowed, query, None, &[]).await?;
        Ok(rows.first().map(|row| total(&row.numbers)).unwrap_or_default())
    }

    /// The same by group, those that used something.
    ///
    /// # Errors
    /// As [`Store::usage`], and if there are more than 50,000 groups.
    pub async fn usage_by(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        query: &UsageQuery,
        group_by: &[GroupBy],
    ) -> Result<Vec<UsageGroup>, StoreError> {
        let rows = self.usage_rows(allowed, query, None, group_by).await?;
        Ok(rows.into_iter().map(group).collect())
    }

    /// A page of what was used over time; a bucket of nothing has no groups.
    ///
    /// # Errors
    /// If it is no time, more than 2,000 buckets, or those have more than 50,000 groups; if a
    /// filter is too long or the database fails.
    pub async fn usage_buckets(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        query: &BucketQuery,
    ) -> Result<Page<Bucket>, StoreError> {
        let BucketQuery { usage, width, group_by, limit, after } = query;
        if *limit > MAX_BUCKETS {
            let (what, num, max) = ("buckets", *limit, MAX_BUCKETS);
            return Err(BillingError::TooMany { what, num, max }.into());
        }
        check_range(usage.since, usage.until)?;
        let since = after.unwrap_or(usage.since).max(usage.since);
        let (mut buckets, mut start) = (Vec::new(), since);
        while start < usage.until && buckets.len() < *limit {
            let end = ((start / width.millis() + 1) * width.millis()).min(usage.until);
            buckets.push(Bucket { start, end, groups: Vec::new() });
            start = end;
        }
        if buckets.is_empty() {
            return Ok(Page { rows: buckets, has_more: start < usage.until });
        }
        let page = UsageQuery { since, until: start, filter: usage.filter.clone() };
        let rows = self.usage_rows(allowed, &page, Some(*width), group_by).await?;
        let first = since / width.millis();
        for row in rows {
            let place = usize::try_from(row.numbers[0] - first).ok();
            if let Some(bucket) = place.and_then(|place| buckets.get_mut(place)) {
                bucket.groups.push(group(row));
            }
        }
        Ok(Page { rows: buckets, has_more: start < usage.until })
    }

    async fn usage_rows(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        query: &UsageQuery,
        width: Option<BucketWidth>,
        group_by: &[GroupBy],
    ) -> Result<Vec<Row>, StoreError> {
        check_range(query.since, query.until)?;
        let scope = Scope::new(allowed, &query.filter)?;
        let parts = parts(query.since, query.until, width);
        let work = async {
            let mut transaction = self.read(allowed.organization()).await?;
            check_lines(&mut transaction, &scope, &parts).await?;
            let rows: Vec<Row> = on!(&mut transaction, |connection| {
                let mut sql = select(&scope, &parts, width, group_by);
                sql.build_query_as().fetch_all(connection).await
            })?;
            Ok(rows)
        };
        let rows = self.in_time(work).await?;
        if rows.len() > MAX_GROUPS {
            let (what, num, max) = ("groups", rows.len(), MAX_GROUPS);
            return Err(BillingError::TooMany { what, num, max }.into());
        }
        Ok(rows)
    }
}

/// Sums by bucket and group; one of all where there is no width.
fn select<DB>(
    scope: &Scope<'_>,
    parts: &[Part],
    width: Option<BucketWidth>,
    group_by: &[GroupBy],
) -> QueryBuilder<DB>
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new("SELECT ");
    let is_wanted = |by: &GroupBy| group_by.contains(by);
    for (idx, by) in GroupBy::ALL.iter().enumerate() {
        let value = match by {
            by if !is_wanted(by) => "''",
            GroupBy::User => {
                "CASE WHEN keys.owner LIKE 'user:%' THEN SUBSTR(keys.owner, 6)
                ELSE '' END"
            }
            by => by.column(),
        };
        // A name of its own: those of the tables come first in what it is grouped by.
        let table = if value.ends_with("_id") { "used." } else { "" };
        sql.push(format_args!("{table}{value} AS group{idx}, "));
    }
    match width {
        Some(width) => sql.push(format_args!("at / {} AS bucket", width.millis())),
        None => sql.push("CAST(0 AS BIGINT) AS bucket"),
    };
    for column in format!("num_requests, {METERS}, {COST}").split(',') {
        sql.push(format_args!(", CAST(COALESCE(SUM({}), 0) AS BIGINT)", column.trim()));
    }
    sql.push(" FROM (");
    for (idx, part) in parts.iter().enumerate() {
        sql.push(if idx > 0 { " UNION ALL " } else { "" });
        let wanted: Vec<_> = GroupBy::ALL.into_iter().filter(is_wanted).collect();
        scope.push_part(&mut sql, part, &wanted);
    }
    sql.push(") AS used");
    if is_wanted(&GroupBy::User) {
        sql.push(" LEFT JOIN keys ON keys.id = used.users_key AND keys.organization_id = ");
        sql.push_bind(scope.organization().to_owned());
    }
    if width.is_some() || !group_by.is_empty() {
        let keys: String = (0..GroupBy::ALL.len())
            .filter(|idx| is_wanted(&GroupBy::ALL[*idx]))
            .map(|idx| format!(", group{idx}"))
            .collect();
        sql.push(format_args!(" GROUP BY bucket{keys} ORDER BY bucket{keys}"));
        sql.push(format_args!(" LIMIT {}", MAX_GROUPS + 1));
    }
    sql
}

fn group(row: Row) -> UsageGroup {
    let total = total(&row.numbers);
    let texts = row.texts.map(|text| Some(text).filter(|text| !text.is_empty()));
    let [project, key, model, endpoint, tag, tier, user] = texts;
    let [project, key] = [project, key].map(|id| id.filter(|id| id != NOBODY));
    UsageGroup { project, key, model, endpoint, tag, tier, user, total }
}

fn total(numbers: &[i64; 2 + NUM_SUM]) -> UsageTotal {
    let (usage, cost) = sum_of(&numbers[2..]);
    UsageTotal { num_requests: u64::try_from(numbers[1]).unwrap_or(0), usage, cost }
}
