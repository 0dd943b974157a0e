//! Which usage is asked for, and where it is: whole days and hours in their sums, the rest of a
//! time in the ledger.
//!
//! Invariant: each statement names the organization, and the projects where reading is allowed in
//! some only. Parts of a time do not overlap and leave nothing out, so a sum of any time is exact.

use server_accounts::{Allowed, may};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::cells::{COST, METERS, PICOS_PER_MICRO};
use super::counted::COUNTED;
use super::error::BillingError;
use super::query::{BucketWidth, GroupBy};
use crate::sql::Bound;

pub(crate) const MILLIS_PER_HOUR: i64 = 3_600_000;
/// The year 10000.
pub(crate) const END_OF_TIME: i64 = 253_402_300_800_000;
/// Values of one filter.
const MAX_VALUES: usize = 200;

/// Of all that an organization used, that with one of the values of each list; an empty list is
/// all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Ids of projects.
    pub projects: Vec<String>,
    /// Ids of keys.
    pub keys: Vec<String>,
    /// Models, `name@version`; a name without a version is all of its versions.
    pub models: Vec<String>,
    /// What was asked for: `/v1/chat/completions`, …
    pub endpoints: Vec<String>,
    /// What clients group by; an empty one is of requests without.
    pub tags: Vec<String>,
    /// How it was served.
    pub tiers: Vec<String>,
    /// Ids of the users whose keys asked.
    pub users: Vec<String>,
}

/// Whose usage, of which time.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    allowed: &'a Allowed<may::ReadUsage>,
    filter: &'a UsageFilter,
}

/// A table that has usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The sums of days.
    Days,
    /// The sums of hours.
    Hours,
    /// The ledger.
    Lines,
}

/// A range of a table's rows, by its own measure of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) table: Table,
    pub(super) since: i64,
    pub(super) until: i64,
}

/// Whether there is such a time.
pub(super) fn check_range(since: i64, until: i64) -> Result<(), BillingError> {
    let is_one = 0 <= since && since < until && until <= END_OF_TIME;
    is_one.then_some(()).ok_or(BillingError::Range { since, until })
}

/// Where the usage of a time is that comes in buckets of a width; without one all is in one.
pub(super) fn parts(since: i64, until: i64, width: Option<BucketWidth>) -> Vec<Part> {
    let tables: &[Table] = match width {
        None | Some(BucketWidth::Day) => &[Table::Days, Table::Hours, Table::Lines],
        Some(BucketWidth::Hour) => &[Table::Hours, Table::Lines],
        Some(BucketWidth::Minute) => &[Table::Lines],
    };
    let mut parts = Vec::new();
    split(&mut parts, (since, until), tables);
    parts
}

/// Whole rows of the first table, and what is before and after them out of the others.
fn split(parts: &mut Vec<Part>, (since, until): (i64, i64), tables: &[Table]) {
    let Some((table, finer)) = tables.split_first() else { return };
    if since >= until {
        return;
    }
    let millis = table.millis();
    let first = since / millis + i64::from(since % millis != 0);
    let last = until / millis;
    if first >= last {
        return split(parts, (since, until), finer);
    }
    parts.push(Part { table: *table, since: first, until: last });
    split(parts, (since, first * millis), finer);
    split(parts, (last * millis, until), finer);
}

impl Table {
    /// How long the time of a row is.
    fn millis(self) -> i64 {
        match self {
            Self::Days => 24 * MILLIS_PER_HOUR,
            Self::Hours => MILLIS_PER_HOUR,
            Self::Lines => 1,
        }
    }

    /// Its name, and that of its time.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Days => ("usage_days", "day"),
            Self::Hours => ("usage_hours", "hour"),
            Self::Lines => ("ledger", "settled_at"),
        }
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        allowed: &'a Allowed<may::ReadUsage>,
        filter: &'a UsageFilter,
    ) -> Result<Self, BillingError> {
        let users = ("users", &filter.users);
        for (what, values) in filter.columns().chain([users]) {
            let (num, max) = (values.len(), MAX_VALUES);
            if num > max {
                return Err(BillingError::TooMany { what, num, max });
            }
        }
        Ok(Self { allowed, filter })
    }

    pub(super) fn organization(&self) -> &'a str {
        self.allowed.organization()
    }

    /// `WHERE` and all of it but the time.
    pub(super) fn push<DB>(&self, sql: &mut QueryBuilder<DB>)
    where
        DB: Database,
        String: for<'q> Encode<'q, DB> + Type<DB>,
    {
        sql.push(" WHERE organization_id = ").push_bind(self.organization().to_owned());
        if let Some(projects) = self.allowed.projects() {
            push_any(sql, "project_id", projects.iter().cloned());
        }
        for (column, values) in self.filter.columns() {
            match column {
                _ if values.is_empty() => {}
                "model" => push_models(sql, values),
                _ => push_any(sql, column, values.iter().cloned()),
            }
        }
        if !self.filter.users.is_empty() {
            sql.push(" AND key_id IN (SELECT id FROM keys WHERE organization_id = ");
            sql.push_bind(self.organization().to_owned());
            push_any(sql, "owner", self.filter.users.iter().map(|user| format!("user:{user}")));
            sql.push(")");
        }
    }

    /// The usage of a part, with when it was and what it is grouped by.
    pub(super) fn push_part<DB>(
        &self,
        sql: &mut QueryBuilder<DB>,
        part: &Part,
        group_by: &[GroupBy],
    ) where
        DB: Database,
        String: for<'q> Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let columns: String = group_by.iter().map(|by| format!("{}, ", by.column())).collect();
        let Part { table, since, until } = *part;
        let [storage, provisioned, commitment] = COUNTED;
        let ((name, time), millis, micro) = (table.names(), table.millis(), PICOS_PER_MICRO);
        let counts = match table {
            Table::Days | Table::Hours => format!("num_requests, {METERS}, {COST}"),
            Table::Lines => format!(
                "CASE WHEN endpoint IN ('{storage}', '{provisioned}', '{commitment}')
                    THEN 0 ELSE 1 END AS num_requests, {METERS}, cost / {micro} AS cost_micros,
                cost % {micro} AS cost_picos"
            ),
        };
        let select = format!("{time} * {millis} AS at, {counts} FROM {name}");
        sql.push(format_args!("SELECT {columns}{select}"));
        self.push(sql);
        sql.push(format_args!(" AND {time} >= ")).push_bind(since);
        sql.push(format_args!(" AND {time} < ")).push_bind(until);
    }
}

impl UsageFilter {
    /// Columns of both tables, and what is wanted of each.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let columns = [
            ("project_id", &self.projects),
            ("key_id", &self.keys),
            ("model", &self.models),
            ("endpoint", &self.endpoints),
            ("tag", &self.tags),
            ("tier", &self.tiers),
        ];
        columns.into_iter()
    }
}

/// The model is one of some, or a version of one.
fn push_models<DB>(sql: &mut QueryBuilder<DB>, models: &[String])
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    sql.push(" AND (1 = 0");
    for model in models {
        let model = model.bound();
        sql.push(" OR model = ").push_bind(model.clone().into_owned());
        if !model.contains('@') {
            // Only the text itself is looked for, whatever signs are in it.
            let escaped = model.replace('!', "!!").replace('%', "!%").replace('_', "!_");
            sql.push(" OR model LIKE ").push_bind(format!("{escaped}@%")).push(" ESCAPE '!'");
        }
    }
    sql.push(")");
}

/// A column has one of some values.
fn push_any<DB>(sql: &mut QueryBuilder<DB>, column: &str, values: impl Iterator<Item = String>)
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    sql.push(format_args!(" AND {column} IN ("));
    for (idx, value) in values.enumerate() {
        sql.push(if idx > 0 { ", " } else { "" }).push_bind(value.bound().into_owned());
    }
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_a_time_once() {
        const HOUR: i64 = MILLIS_PER_HOUR;
        const DAY: i64 = 24 * HOUR;
        let part = |table, since, until| Part { table, since, until };
        let (days, hours, lines) = (Table::Days, Table::Hours, Table::Lines);
        assert_eq!(parts(DAY, 3 * DAY, None), [part(days, 1, 3)]);
        let all = [
            part(days, 2, 4),
            part(hours, 47, 48),
            part(lines, 47 * HOUR - 5, 47 * HOUR),
            part(hours, 96, 98),
            part(lines, 98 * HOUR, 98 * HOUR + 1),
        ];
        let time = (47 * HOUR - 5, 98 * HOUR + 1);
        assert_eq!(parts(time.0, time.1, Some(BucketWidth::Day)), all);
        let all = [part(hours, 47, 98), all[2], all[4]];
        assert_eq!(parts(time.0, time.1, Some(BucketWidth::Hour)), all);
        assert_eq!(parts(time.0, time.1, Some(BucketWidth::Minute)), [part(lines, time.0, time.1)]);
        assert_eq!(parts(HOUR + 1, 2 * HOUR, None), [part(lines, HOUR + 1, 2 * HOUR)]);
        // A day's end and the next one's beginning.
        assert_eq!(parts(DAY - HOUR, DAY + HOUR, None), [part(hours, 23, 25)]);
    }
}
