//! Removes what expired.
//!
//! Invariant: a transaction is one tenant's, bounded, and commits by itself, so writers wait for no
//! more than one.

use std::time::{Duration, Instant};

use crate::database::now;
use crate::ledger::{sweep_deleted, sweep_sums};
use crate::sql::query;
use crate::{Store, StoreError};

/// Rows of each kind, and of each tenant, in a batch.
const BATCH: i64 = 100;
/// Sums of a day or a month, which are small and many.
const BATCH_OF_SUMS: i64 = 2_000;
/// Between batches of one sweep, for others to write.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// Between sweeps.
const INTERVAL: Duration = Duration::from_secs(600);

/// Between deletions of old lines of the ledger.
const LINES_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Whose things expired: of those that expired first.
const TENANTS: &str = "SELECT tenant FROM (SELECT tenant FROM responses
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AS r
    UNION SELECT tenant FROM (SELECT tenant FROM completions
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AS c
    UNION SELECT tenant FROM (SELECT tenant FROM conversations
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AS v";
const RESPONSES: &str = "DELETE FROM responses WHERE tenant = $1 AND (project_id, id) IN
    (SELECT project_id, id FROM responses WHERE tenant = $1 AND expires_at <= $2
        ORDER BY expires_at LIMIT $3)
    RETURNING num_bytes";
const COMPLETIONS: &str = "DELETE FROM completions WHERE tenant = $1 AND (project_id, id) IN
    (SELECT project_id, id FROM completions WHERE tenant = $1 AND expires_at <= $2
        ORDER BY expires_at LIMIT $3)
    RETURNING num_bytes";
const CONVERSATIONS: &str = "SELECT project_id, id FROM conversations
    WHERE tenant = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3";

impl Store {
    /// Removes a batch of what expired; how many things those were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_batch(&self) -> Result<usize, StoreError> {
        let expired = async {
            let mut transaction = self.write_every().await?;
            Ok(query!(&mut transaction, fetch_all, TENANTS, now(), BATCH)?)
        };
        let tenants: Vec<(String,)> = self.in_time(expired).await?;
        let mut num_removed = 0;
        for (tenant,) in tenants {
            num_removed += self.in_time(self.sweep_tenant(&tenant)).await?;
        }
        num_removed += self.in_time(self.sweep_people(now(), BATCH)).await?;
        let sums = async {
            let mut transaction = self.write_every().await?;
            let mut num = sweep_sums(&mut transaction, BATCH_OF_SUMS).await?;
            num += sweep_deleted(&mut transaction, BATCH).await?;
            transaction.commit().await?;
            Ok(num)
        };
        Ok(num_removed + self.in_time(sums).await?)
    }

    async fn sweep_tenant(&self, tenant: &str) -> Result<usize, StoreError> {
        let (now, mut num_removed) = (now(), 0);
        let mut transaction = self.write(tenant).await?;
        for sql in [RESPONSES, COMPLETIONS] {
            let removed: Vec<(i64,)> =
                query!(&mut transaction, fetch_all, sql, tenant, now, BATCH)?;
            num_removed += removed.len();
            let num_rows = i64::try_from(removed.len()).unwrap_or(i64::MAX);
            let num_bytes: i64 = removed.iter().map(|(num_bytes,)| num_bytes).sum();
            if num_rows > 0 {
                self.charge(&mut transaction, tenant, (-num_rows, -num_bytes)).await?;
            }
        }
        let expired: Vec<(String, String)> =
            query!(&mut transaction, fetch_all, CONVERSATIONS, tenant, now, BATCH)?;
        num_removed += expired.len();
        for (project, id) in expired {
            self.remove_conversation(&mut transaction, (tenant, &project), &id).await?;
        }
        transaction.commit().await?;
        Ok(num_removed)
    }

    /// Removes what expires, for as long as it is polled.
    pub async fn sweep_forever(self) {
        let mut swept_lines: Option<Instant> = None;
        loop {
            if swept_lines.is_none_or(|at| at.elapsed() >= LINES_EVERY) {
                swept_lines = Some(Instant::now());
                match self.sweep_lines().await {
                    Ok(0) => {}
                    Ok(num) => tracing::info!(num, "old lines of the ledger are deleted"),
                    Err(error) => tracing::warn!(%error, "old lines of the ledger are there yet"),
                }
            }
            if let Err(error) = self.fail_left().await {
                tracing::warn!(%error, "what other processes left is not failed");
            }
            match self.sweep_batch().await {
                Ok(0) => tokio::time::sleep(INTERVAL).await,
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::warn!(%error, "expired things are not removed");
                    tokio::time::sleep(INTERVAL).await;
                }
            }
        }
    }
}
