//! Removes what expired.
//!
//! Invariant: a batch is bounded and commits by itself, so writers wait for no more than one.

use std::time::Duration;

use crate::database::now;
use crate::{Store, StoreError};

/// Rows of each kind in a batch.
const BATCH: i64 = 100;
/// Between batches of one sweep, for others to write.
const PAUSE: Duration = Duration::from_millis(20);
/// Between sweeps.
const INTERVAL: Duration = Duration::from_secs(600);

const RESPONSES: &str = "DELETE FROM responses WHERE (tenant, id) IN
    (SELECT tenant, id FROM responses WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
    RETURNING tenant, num_bytes";
const COMPLETIONS: &str = "DELETE FROM completions WHERE (tenant, id) IN
    (SELECT tenant, id FROM completions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
    RETURNING tenant, num_bytes";
const CONVERSATIONS: &str = "SELECT tenant, id FROM conversations WHERE expires_at <= $1
    ORDER BY expires_at LIMIT $2";

impl Store {
    /// Removes a batch of what expired; how many things those were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_batch(&self) -> Result<usize, StoreError> {
        let work = async {
            let (now, mut num_removed) = (now(), 0);
            let mut transaction = self.write().await?;
            for sql in [RESPONSES, COMPLETIONS] {
                let removed = sqlx::query_as(sql).bind(now).bind(BATCH);
                let removed: Vec<(String, i64)> = removed.fetch_all(&mut *transaction).await?;
                num_removed += removed.len();
                for (tenant, num_bytes) in removed {
                    self.charge(&mut transaction, &tenant, (-1, -num_bytes)).await?;
                }
            }
            let expired = sqlx::query_as(CONVERSATIONS).bind(now).bind(BATCH);
            let expired: Vec<(String, String)> = expired.fetch_all(&mut *transaction).await?;
            num_removed += expired.len();
            for (tenant, id) in expired {
                self.remove_conversation(&mut transaction, &tenant, &id).await?;
            }
            transaction.commit().await?;
            Ok(num_removed)
        };
        self.in_time(work).await
    }

    /// Removes what expires, for as long as it is polled.
    pub async fn sweep_forever(self) {
        loop {
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
