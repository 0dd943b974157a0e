//! Months: what is missing to what an organization pays at least.

use server_metering::{Entry, Micros, Period, Picos, UnixMillis, Usage};

use super::due::{Due, Span};
use super::{COMMITMENT, Clock, as_number};
use crate::ledger::append::add_new;
use crate::ledger::batch::number;
use crate::ledger::cells::PICOS_PER_MICRO;
use crate::ledger::filter::MILLIS_PER_HOUR;
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

const MONTHS: Clock = Clock { what: "month", max: 12 };
/// So long after a month's end its requests are in the ledger.
const GRACE: u64 = MILLIS_PER_HOUR.unsigned_abs();
/// Lines of one transaction.
const PAGE: i64 = 250;
const STANDARD: &str = "standard";

const COMMITTED: &str = "SELECT organization_id, amount FROM commitments
    WHERE from_month <= $1 AND (until_month IS NULL OR until_month > $1)
    AND organization_id > $2 ORDER BY organization_id LIMIT $3";
const SPENT: &str = "SELECT CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT),
    CAST(COALESCE(SUM(cost_picos), 0) AS BIGINT) FROM usage_hours
    WHERE organization_id = $1 AND hour >= $2 AND hour < $3 AND endpoint <> 'commitment'";

impl Store {
    /// Bills the next month that was over an hour before a moment and was not billed: to each
    /// organization what it spent less than it committed itself to. The new lines, or `None` if
    /// there is no such month. All hours are to be billed before.
    ///
    /// # Errors
    /// If the database fails: a part may be billed then, and the rest is with the next call.
    pub async fn count_month(&self, now: UnixMillis) -> Result<Option<Vec<Entry>>, StoreError> {
        let present = number(Period::Month, UnixMillis(now.0.saturating_sub(GRACE)));
        let Some(month) = MONTHS.next(self, present).await? else { return Ok(None) };
        let first = Period::Month.start(month.unsigned_abs()).unwrap_or_default();
        let end = Period::Month.end(first).unwrap_or_default();
        let span = Span { number: month, first, last: UnixMillis(end.0.saturating_sub(1)) };
        let (mut new, mut after) = (Vec::new(), Some(String::new()));
        while let Some(begun) = after {
            let (more, next) = self.in_time(self.count_committed(span, &begun)).await?;
            new.extend(more);
            after = next;
        }
        MONTHS.set_last(self, month).await?;
        Ok(Some(new))
    }

    async fn count_committed(
        &self,
        span: Span,
        after: &str,
    ) -> Result<(Vec<Entry>, Option<String>), StoreError> {
        let mut transaction = self.write_ledger().await?;
        let rows: Vec<(String, i64)> =
            query!(&mut transaction, fetch_all, COMMITTED, span.number, after, PAGE)?;
        let mut entries = Vec::new();
        for (organization, amount) in &rows {
            let spent = spent(&mut transaction, organization, span).await?;
            let missing = Micros::new(*amount).to_picos().get() - spent;
            if missing > 0 {
                let due = Due {
                    owner: organization,
                    organization,
                    project: None,
                    model: COMMITMENT,
                    tier: STANDARD,
                    endpoint: COMMITMENT,
                    usage: Usage::NONE,
                };
                entries.push(due.costing(Picos::new(missing), span)?);
            }
        }
        let is_full = i64::try_from(rows.len()) == Ok(PAGE);
        let next = rows.last().map(|(id, _)| id.clone()).filter(|_| is_full);
        let new = add_new(&mut transaction, None, entries).await?;
        transaction.commit().await?;
        Ok((new, next))
    }
}

/// Pico-units.
async fn spent(
    transaction: &mut Transaction,
    organization: &str,
    span: Span,
) -> Result<i128, StoreError> {
    let first = as_number(span.first) / MILLIS_PER_HOUR;
    let end = as_number(span.last) / MILLIS_PER_HOUR + 1;
    let (micros, picos): (i64, i64) =
        query!(transaction, fetch_one, SPENT, organization, first, end)?;
    Ok(i128::from(micros) * i128::from(PICOS_PER_MICRO) + i128::from(picos))
}
