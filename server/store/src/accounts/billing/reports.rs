//! What Stripe was told of usage.
//!
//! Invariant: an hour is pending before it is reported, one at a time, and its end is marked once:
//! who asks for a report to begin or end says which it saw.

use super::{Reported, UsageReport, spans};
use crate::ledger::{END_OF_TIME, MILLIS_PER_HOUR};
use crate::sql::{execute, query};
use crate::{Store, StoreError};

/// Those with anything after their watermark that counts, or with something pending.
const METERED: &str = "SELECT organization_id, watermark, reported, pending_hour, pending_amount,
    pending_customer, pending_at, pending_begun FROM billing AS b WHERE organization_id > $1
    AND (pending_hour IS NOT NULL OR EXISTS (SELECT 1 FROM billing_spans AS s
        JOIN ledger AS l ON l.organization_id = s.organization_id
            AND l.settled_at >= s.from_at * 1000
            AND l.settled_at < COALESCE(s.until_at * 1000, $2)
        WHERE s.organization_id = b.organization_id
            AND l.settled_at >= (COALESCE(b.watermark, -1) + 1) * 3600000
            AND l.settled_at < $2))
    ORDER BY organization_id LIMIT $3";
/// No hour is before 1970.
const BEGIN: &str = "UPDATE billing SET pending_hour = $3, pending_amount = $4,
    pending_customer = $5, pending_at = $6, pending_begun = $7
    WHERE organization_id = $1 AND COALESCE(watermark, -1) = $2 AND pending_hour IS NULL";
const END: &str = "UPDATE billing SET reported = reported + pending_amount,
    watermark = pending_hour, pending_hour = NULL, pending_amount = NULL, pending_customer = NULL,
    pending_at = NULL, pending_begun = NULL
    WHERE organization_id = $1 AND pending_hour = $2";

type Row =
    (String, Option<i64>, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>, Option<i64>);

impl Store {
    /// Up to `limit` organizations, in the order of their ids, after one, that have a report
    /// pending, or anything in the ledger that counts, after their watermark and before the Unix
    /// hour `before`; of all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_metered(
        &self,
        before: i64,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Reported>, StoreError> {
        let end = before.saturating_mul(MILLIS_PER_HOUR).min(END_OF_TIME);
        let after = after.unwrap_or_default();
        let work = async {
            let mut transaction = self.read_every().await?;
            let rows: Vec<Row> = query!(&mut transaction, fetch_all, METERED, after, end, limit)?;
            let mut all = Vec::with_capacity(rows.len());
            for row in rows {
                let mut reported = read(row);
                reported.spans = spans(&mut transaction, &reported.organization).await?;
                all.push(reported);
            }
            Ok(all)
        };
        self.in_time(work).await
    }

    /// Makes a report pending, if the organization still has this watermark and none is pending;
    /// whether that was so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_usage_report(
        &self,
        organization: &str,
        watermark: Option<i64>,
        report: &UsageReport,
    ) -> Result<bool, StoreError> {
        let UsageReport { hour, amount, customer, at, begun } = report;
        let mark = watermark.unwrap_or(-1);
        let work = async {
            let mut transaction = self.write(organization).await?;
            let row = &mut transaction;
            let num =
                execute!(row, BEGIN, organization, mark, *hour, *amount, customer, *at, *begun)?;
            transaction.commit().await?;
            Ok(num > 0)
        };
        self.in_time(work).await
    }

    /// Adds the pending report to what was reported, and makes its hour the watermark; does nothing
    /// if it is not pending.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_usage_report(&self, organization: &str, hour: i64) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write(organization).await?;
            execute!(&mut transaction, END, organization, hour)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }
}

fn read(row: Row) -> Reported {
    let (organization, watermark, reported, hour, amount, customer, at, begun) = row;
    // All of them, or none.
    let pending = || {
        Some(UsageReport {
            hour: hour?,
            amount: amount?,
            customer: customer?,
            at: at?,
            begun: begun?,
        })
    };
    Reported { organization, spans: Vec::new(), watermark, reported, pending: pending() }
}
