//! The one place where units of free units, steps and discounts get their numbers, and lines with
//! them their costs.
//!
//! Invariant: who prices lines of an organization does so alone until they are in the ledger, and
//! knows all that is; lines that the ledger has move nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use server_metering::{Entry, Numbering, OrganizationId, Period, UnixMillis};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::books::PriceBooks;
use super::counted::COUNTED;
use super::standing::model_sums;
use crate::StoreError;
use crate::sql::{Bound, Transaction, on};

/// Requests that are looked up at once.
const MAX_ASKED: usize = 256;

/// Waits for who else prices lines of each of some organizations; not for their other writers. Some
/// organizations share a turn: a transaction of PostgreSQL can have few locks.
const TURN_OF_EACH: &str = "SELECT COUNT(pg_advisory_xact_lock(24935, turn)) FROM
    (SELECT DISTINCT 1000 + CAST(hashtextextended(t, 2) & 255 AS INTEGER) AS turn
        FROM unnest($1::TEXT[]) AS u (t) ORDER BY turn) AS s";

/// Organizations whose lines are priced by their places, and at which prices.
pub(super) struct Numbered<'a> {
    books: &'a PriceBooks,
    organizations: BTreeSet<OrganizationId>,
}

impl<'a> Numbered<'a> {
    /// Those of some lines, which nobody else prices until the transaction ends. It has written
    /// nothing yet: all take turns in one order and before any row, so none waits in a circle.
    pub(super) async fn begin(
        transaction: &mut Transaction,
        books: &'a PriceBooks,
        lines: &[Entry],
    ) -> Result<Self, StoreError> {
        let has_steps = |line: &&Entry| {
            let opened = &line.opened;
            let book = books.of(&opened.path.organization);
            let list = book.find(&opened.model, &opened.tier, priced_at(line));
            list.is_some_and(|list| list.prices.has_steps())
        };
        let of = |line: &Entry| line.opened.path.organization.clone();
        let organizations: BTreeSet<_> = lines.iter().filter(has_steps).map(of).collect();
        if let Transaction::Postgres(inner) = transaction
            && !organizations.is_empty()
        {
            let names: Vec<&str> = organizations.iter().map(OrganizationId::as_str).collect();
            sqlx::query(TURN_OF_EACH).bind(names).execute(&mut **inner).await?;
        }
        Ok(Self { books, organizations })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.organizations.is_empty()
    }

    pub(super) fn has(&self, line: &Entry) -> bool {
        self.organizations.contains(&line.opened.path.organization)
    }

    /// Says what lines cost that the ledger lacks, in their order.
    pub(super) async fn price(
        &self,
        transaction: &mut Transaction,
        lines: &mut [Entry],
    ) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut of_each = self.standings(transaction, lines).await?;
        // A line may come twice at once.
        let mut seen = HashSet::new();
        for line in lines {
            let organization = &line.opened.path.organization;
            if let Some(numbering) = of_each.get_mut(organization)
                && seen.insert(line.opened.request.clone())
            {
                line.cost = numbering.price(self.books.of(organization), line, priced_at(line));
            }
        }
        Ok(())
    }

    /// How the organizations stand in all that lines were settled in.
    async fn standings(
        &self,
        transaction: &mut Transaction,
        lines: &[Entry],
    ) -> Result<HashMap<OrganizationId, Numbering>, StoreError> {
        let mut days = HashMap::<u64, (UnixMillis, BTreeSet<&OrganizationId>)>::new();
        for line in lines.iter().filter(|line| self.has(line)) {
            let of_day = days.entry(Period::Day.number(line.settled_at));
            let (_, organizations) = of_day.or_insert((line.settled_at, BTreeSet::new()));
            organizations.insert(&line.opened.path.organization);
        }
        let mut of_each = HashMap::<_, Numbering>::new();
        for (at, organizations) in days.into_values() {
            let names: Vec<&str> = organizations.iter().map(|id| id.as_str()).collect();
            let mut sums = model_sums(transaction, &names, at).await?;
            for id in organizations {
                let of_one = sums.remove(&*id.as_str().bound()).unwrap_or_default();
                of_each.entry(id.clone()).or_default().begin(at, &of_one);
            }
        }
        Ok(of_each)
    }
}

/// When the list holds that a line is priced by: when a request was let in, or, of what is billed
/// by the clock, when its time is over.
pub(super) fn priced_at(line: &Entry) -> UnixMillis {
    let is_counted = COUNTED.contains(&line.opened.endpoint.as_str());
    if is_counted { line.settled_at } else { line.opened.opened_at }
}

/// Leaves lines that the ledger lacks.
pub(super) async fn retain_new(
    transaction: &mut Transaction,
    lines: &mut Vec<Entry>,
) -> Result<(), StoreError> {
    let mut known = HashSet::new();
    for part in lines.chunks(MAX_ASKED) {
        let rows: Vec<(String,)> = on!(&mut *transaction, |connection| {
            select(part).build_query_as().fetch_all(connection).await
        })?;
        known.extend(rows.into_iter().map(|(request,)| request));
    }
    lines.retain(|line| !known.contains(&*line.opened.request.as_str().bound()));
    Ok(())
}

fn select<DB>(lines: &[Entry]) -> QueryBuilder<DB>
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new("SELECT request_id FROM ledger WHERE request_id IN (");
    let mut names = sql.separated(", ");
    for line in lines {
        names.push_bind(line.opened.request.as_str().bound().into_owned());
    }
    sql.push(")");
    sql
}
