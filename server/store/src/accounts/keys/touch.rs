//! When keys were used.

use std::collections::BTreeSet;

use crate::accounts::list::Part;
use crate::{Store, StoreError};

/// Keys of one statement and transaction.
const BATCH: usize = 500;

impl Store {
    /// Notes that keys were used: their organization, id, and Unix seconds. It says about when, so
    /// it is neither a change that servers ask for nor one of the audit log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn touch_keys(&self, used: &[(String, String, i64)]) -> Result<(), StoreError> {
        for batch in used.chunks(BATCH) {
            self.in_time(self.touch_batch(batch)).await?;
        }
        Ok(())
    }

    async fn touch_batch(&self, batch: &[(String, String, i64)]) -> Result<(), StoreError> {
        let organizations: BTreeSet<&str> = batch.iter().map(|(id, ..)| id.as_str()).collect();
        let mut transaction = self.write_several(&organizations).await?;
        let mut part = Part::default().sql("WITH used (organization_id, id, at) AS (VALUES ");
        for (idx, (organization, id, at)) in batch.iter().enumerate() {
            part = part.sql(if idx == 0 { "(" } else { ", (" }).text(organization);
            part = part.sql(", ").text(id).sql(", ").number(*at).sql(")");
        }
        // Servers may tell of it in any order.
        part.sql(
            ") UPDATE keys SET used_at = used.at FROM used
            WHERE keys.organization_id = used.organization_id AND keys.id = used.id
            AND (keys.used_at IS NULL OR keys.used_at < used.at)",
        )
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }
}
