//! Hours: what organizations keep, and throughput that is held ready.

use server_metering::{Entry, Meter, UnixMillis};

use super::due::{Due, Span, units};
use super::{Clock, PROVISIONED, STORAGE, as_number};
use crate::ledger::append::add_new;
use crate::ledger::books::PriceBooks;
use crate::ledger::filter::MILLIS_PER_HOUR;
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

/// A month: a server that was off for longer bills the last month of it.
const HOURS: Clock = Clock { what: "hour", max: 744 };
/// Lines of one transaction.
const PAGE: i64 = 250;
const STANDARD: &str = "standard";

const KEPT: &str = "SELECT tenant, num_bytes FROM tenants
    WHERE num_bytes > 0 AND tenant > $1 ORDER BY tenant LIMIT $2";
/// One ends with its project.
const HELD: &str = "SELECT organization_id, id, project_id, model, units FROM provisions AS it
    WHERE from_hour <= $1 AND (until_hour IS NULL OR until_hour > $1) AND id > $2
    AND NOT EXISTS (SELECT 1 FROM projects AS p WHERE p.organization_id = it.organization_id
        AND p.id = it.project_id AND p.archived_at IS NOT NULL)
    ORDER BY id LIMIT $3";

type Held = (String, String, String, String, i64);

impl Store {
    /// Bills the next hour that is over at a moment and was not billed: the new lines, or `None` if
    /// there is no such hour. Of what is kept it bills what is kept now: while no server runs that
    /// does not change, so it is right for hours that were missed, too.
    ///
    /// # Errors
    /// If the database fails: a part may be billed then, and the rest is with the next call.
    pub async fn count_hour(&self, now: UnixMillis) -> Result<Option<Vec<Entry>>, StoreError> {
        let present = as_number(now) / MILLIS_PER_HOUR;
        let Some(number) = HOURS.next(self, present).await? else { return Ok(None) };
        let first = UnixMillis(number.saturating_mul(MILLIS_PER_HOUR).unsigned_abs());
        let last = UnixMillis(first.0 + MILLIS_PER_HOUR.unsigned_abs() - 1);
        let (span, books) = (Span { number, first, last }, self.price_books_of(last).await?);
        let (mut new, mut after) = (Vec::new(), Some(String::new()));
        while let Some(begun) = after {
            let work = self.count_kept(&books, span, &begun);
            after = self.in_time(work).await?.take_into(&mut new);
        }
        after = Some(String::new());
        while let Some(begun) = after {
            let work = self.count_held(&books, span, &begun);
            after = self.in_time(work).await?.take_into(&mut new);
        }
        HOURS.set_last(self, number).await?;
        Ok(Some(new))
    }

    async fn count_kept(
        &self,
        books: &PriceBooks,
        span: Span,
        after: &str,
    ) -> Result<Counted, StoreError> {
        let mut transaction = self.write_ledger().await?;
        let rows: Vec<(String, i64)> = query!(&mut transaction, fetch_all, KEPT, after, PAGE)?;
        let due = rows.iter().map(|(tenant, num_bytes)| Due {
            owner: tenant,
            organization: tenant,
            project: None,
            model: STORAGE,
            tier: STANDARD,
            endpoint: STORAGE,
            usage: units(Meter::StorageByteHours, *num_bytes),
        });
        let last = rows.last().map(|(tenant, _)| tenant.clone());
        bill(transaction, books, span, due, last).await
    }

    async fn count_held(
        &self,
        books: &PriceBooks,
        span: Span,
        after: &str,
    ) -> Result<Counted, StoreError> {
        let mut transaction = self.write_ledger().await?;
        let rows: Vec<Held> = query!(&mut transaction, fetch_all, HELD, span.number, after, PAGE)?;
        let due = rows.iter().map(|(organization, id, project, model, num_units)| Due {
            owner: id,
            organization,
            project: Some(project),
            model,
            tier: PROVISIONED,
            endpoint: PROVISIONED,
            usage: units(Meter::ProvisionedHours, *num_units),
        });
        let last = rows.last().map(|(_, id, ..)| id.clone());
        bill(transaction, books, span, due, last).await
    }
}

/// The new lines of a page, and what the next page comes after, if there is one.
struct Counted {
    new: Vec<Entry>,
    next: Option<String>,
}

impl Counted {
    fn take_into(self, all: &mut Vec<Entry>) -> Option<String> {
        all.extend(self.new);
        self.next
    }
}

async fn bill<'a>(
    mut transaction: Transaction,
    books: &PriceBooks,
    span: Span,
    due: impl ExactSizeIterator<Item = Due<'a>>,
    last: Option<String>,
) -> Result<Counted, StoreError> {
    let is_full = i64::try_from(due.len()) == Ok(PAGE);
    let entries = due.map(|due| due.priced(books, span)).collect::<Result<_, _>>()?;
    let new = add_new(&mut transaction, Some(books), entries).await?;
    transaction.commit().await?;
    Ok(Counted { new, next: last.filter(|_| is_full) })
}
