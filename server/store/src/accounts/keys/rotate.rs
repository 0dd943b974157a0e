//! A key's second secret.
//!
//! Invariant: a key has at most two secrets, and one of them does not end by itself.

use std::time::Duration;

use serde_json::json;
use server_accounts::{Allowed, KeySecret, may};

use super::change::in_force;
use super::create::SecretRow;
use super::{PROJECT, WHAT, of_projects};
use crate::accounts::audit;
use crate::database::{millis, now};
use crate::sql::execute;
use crate::{Store, StoreError, revisions};

/// Two secrets for longer than that are two keys.
const MAX_OVERLAP: Duration = Duration::from_secs(90 * 86_400);

/// All but the newest, which has no end yet.
const REMOVE: &str = "DELETE FROM key_secrets
    WHERE organization_id = $1 AND key_id = $2 AND expires_at IS NOT NULL";
const END: &str = "UPDATE key_secrets SET expires_at = $3
    WHERE organization_id = $1 AND key_id = $2";
const BUMP: &str = "UPDATE keys SET revision = $3 WHERE organization_id = $1 AND id = $2";

impl Store {
    /// Makes another secret of a project's key; the newest until now ends when `overlap`, of at
    /// most 90 days, is over, and an older one at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such key, [`StoreError::Invalid`] if it was revoked
    /// or the overlap is too long.
    pub async fn rotate_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        id: &str,
        overlap: Duration,
    ) -> Result<KeySecret, StoreError> {
        if overlap > MAX_OVERLAP {
            return Err(StoreError::invalid("overlap", "it is longer than 90 days"));
        }
        // Nothing overlaps for less than was asked for.
        let overlap = i64::try_from(overlap.as_millis()).unwrap_or(0);
        let end = if overlap > 0 { millis().saturating_add(overlap + 999) / 1000 } else { now() };
        let secret = KeySecret::generate();
        let row = SecretRow::of(&secret, PROJECT);
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            let key = in_force(&mut transaction, &of_projects(allowed), id).await?;
            let revision = revisions::next(&mut transaction).await?;
            execute!(&mut transaction, REMOVE, organization, id)?;
            execute!(&mut transaction, END, organization, id, end)?;
            if !row.insert(&mut transaction, organization, id).await? {
                return Err(StoreError::Exists { what: WHAT, id: id.to_owned() });
            }
            execute!(&mut transaction, BUMP, organization, id, revision)?;
            let changes = json!({ "changes_requested": { "rotated": { "old_ends_at": end } } });
            let event = audit::event("api_key.updated", id, Some(&key.project), changes);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await?;
        Ok(secret)
    }
}
