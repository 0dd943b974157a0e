//! Deletes old lines of the ledger. Its sums stay, so reports of whole hours, limits and bills do.
//!
//! Invariant: a line goes only when all that still needs it has it in sums. Stripe is told of a
//! span's first and last hour by lines, and finds hours to tell of by them: those lines stay. From
//! before the moment up to which lines were deleted none is added: it might be there in the sums.

use std::sync::LazyLock;

use server_accounts::{Allowed, may};
use tokio::time::sleep;

use super::counted::COUNTED;
use super::error::BillingError;
use super::filter::{MILLIS_PER_HOUR, Part, Scope, Table};
use crate::database::millis;
use crate::sql::{Transaction, execute, query};
use crate::sweep::PAUSE;
use crate::{Store, StoreError};

/// The shortest time that lines are kept: journals of servers that were down are longer over.
const MIN_KEPT: i64 = 7 * 24 * MILLIS_PER_HOUR;
/// Lines of one transaction.
const BATCH: i64 = 2_000;
const BATCH_LEN: u64 = BATCH.unsigned_abs();

const SINCE: &str = "SELECT lines_since FROM installation WHERE id = 0";
const MOVE: &str = "INSERT INTO installation (id, lines_since) VALUES (0, $1)
    ON CONFLICT (id) DO UPDATE SET lines_since = CASE
        WHEN installation.lines_since > excluded.lines_since THEN installation.lines_since
        ELSE excluded.lines_since END";
/// Each organization once, by a look into the index for each.
const NEXT: &str = "SELECT MIN(organization_id) FROM ledger WHERE organization_id > $1";
const DELETE: &str = "DELETE FROM ledger WHERE organization_id = $1 AND request_id IN
    (SELECT l.request_id FROM ledger AS l WHERE l.organization_id = $1 AND l.settled_at < $2
        AND NOT EXISTS (SELECT 1 FROM billing_spans AS s
            LEFT JOIN billing AS b ON b.organization_id = s.organization_id
            WHERE s.organization_id = l.organization_id AND (
                l.settled_at / 3600000 = s.from_at / 3600
                OR l.settled_at / 3600000 = s.until_at / 3600
                OR (l.settled_at / 3600000 > COALESCE(b.watermark, -1)
                    AND l.settled_at >= s.from_at * 1000
                    AND (s.until_at IS NULL OR l.settled_at < s.until_at * 1000))))
        ORDER BY l.settled_at LIMIT $3)";
/// How many requests of some hours have no line any more.
static MISSING: LazyLock<String> = LazyLock::new(|| {
    let [storage, provisioned, commitment] = COUNTED;
    format!(
        "SELECT (SELECT CAST(COALESCE(SUM(num_requests), 0) AS BIGINT) FROM usage_hours
            WHERE organization_id = $1 AND hour >= $2 AND hour < $3)
        - (SELECT COUNT(*) FROM ledger
            WHERE organization_id = $1 AND settled_at >= $4 AND settled_at < $5
            AND endpoint NOT IN ('{storage}', '{provisioned}', '{commitment}'))"
    )
});

impl Store {
    /// Deletes lines of all organizations that were settled before a Unix time in milliseconds,
    /// rounded down to an hour; how many those were. Lines that Stripe has yet to be told of stay.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if that is not seven days ago; if the database fails: what was
    /// deleted until then is, and another call goes on.
    pub async fn prune_ledger(
        &self,
        _: &Allowed<may::RunPlatform>,
        before: i64,
    ) -> Result<u64, StoreError> {
        if before > millis() - MIN_KEPT {
            let why = "lines are kept for seven days at least: choose an earlier one";
            return Err(StoreError::invalid("time", why));
        }
        self.delete_lines(before - before.rem_euclid(MILLIS_PER_HOUR)).await
    }

    /// The same for the time that lines are kept for, if that is limited.
    pub(crate) async fn sweep_lines(&self) -> Result<u64, StoreError> {
        let Some(kept) = self.limits().ledger_retention else { return Ok(0) };
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX).max(MIN_KEPT);
        let before = millis().saturating_sub(kept).max(0);
        self.delete_lines(before - before.rem_euclid(MILLIS_PER_HOUR)).await
    }

    async fn delete_lines(&self, before: i64) -> Result<u64, StoreError> {
        // First of all: from now on nothing is added that might be deleted.
        let begin = async {
            let mut transaction = self.write("").await?;
            execute!(&mut transaction, MOVE, before)?;
            transaction.commit().await
        };
        self.in_time(begin).await?;
        // Who did not know of it is through: a line that is deleted is not added once more by them.
        self.await_appends().await?;
        let (mut organization, mut num_deleted) = (String::new(), 0);
        loop {
            let next = async {
                let mut transaction = self.read_every().await?;
                let (next,): (Option<String>,) =
                    query!(&mut transaction, fetch_one, NEXT, organization)?;
                Ok(next)
            };
            let Some(next) = self.in_time(next).await? else { return Ok(num_deleted) };
            organization = next;
            loop {
                let batch = async {
                    let mut transaction = self.write(&organization).await?;
                    let row = &mut transaction;
                    let num = execute!(row, DELETE, organization, before, BATCH)?;
                    transaction.commit().await?;
                    Ok(num)
                };
                let num = self.in_time(batch).await?;
                num_deleted += num;
                if num < BATCH_LEN {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// The moment before which lines were deleted, Unix milliseconds.
async fn lines_since(transaction: &mut Transaction) -> Result<i64, StoreError> {
    let row: Option<(i64,)> = query!(transaction, fetch_optional, SINCE)?;
    Ok(row.unwrap_or_default().0)
}

/// The same, if a moment is so old that lines of then may have been deleted.
pub(super) async fn lines_since_if_old(
    transaction: &mut Transaction,
    moment: i64,
) -> Result<i64, StoreError> {
    if moment >= millis() - MIN_KEPT { Ok(0) } else { lines_since(transaction).await }
}

/// Whether all lines are there that parts of a time are the sums of.
pub(super) async fn check_lines(
    transaction: &mut Transaction,
    scope: &Scope<'_>,
    parts: &[Part],
) -> Result<(), StoreError> {
    for part in parts {
        let Part { table: Table::Lines, since, until } = *part else { continue };
        let deleted = lines_since_if_old(transaction, since).await?;
        if since >= deleted {
            continue;
        }
        let first = since / MILLIS_PER_HOUR;
        let end = (until - 1).min(deleted - 1) / MILLIS_PER_HOUR + 1;
        let (from, to) = (first * MILLIS_PER_HOUR, end * MILLIS_PER_HOUR);
        let organization = scope.organization();
        let (missing,): (i64,) =
            query!(transaction, fetch_one, MISSING.as_str(), organization, first, end, from, to)?;
        if missing != 0 {
            return Err(BillingError::Deleted { since: deleted }.into());
        }
    }
    Ok(())
}
