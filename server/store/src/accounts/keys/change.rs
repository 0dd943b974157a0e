//! Keys that are changed and revoked.

use serde_json::json;
use server_accounts::{Allowed, LimitsData, Scopes, may};

use super::{Key, List, Row, of_admins, of_projects, read};
use crate::accounts::{audit, check};
use crate::database::now;
use crate::sql::{Transaction, execute};
use crate::{Store, StoreError, revisions};

const UPDATE: &str = "UPDATE keys SET name = $3, scopes = $4, expires_at = $5, revision = $6
    WHERE organization_id = $1 AND id = $2";
const SET_LIMITS: &str = "UPDATE keys SET limits = $3, revision = $4
    WHERE organization_id = $1 AND id = $2";
const REVOKE: &str = "UPDATE keys SET revoked_at = $3, revision = $4
    WHERE organization_id = $1 AND id = $2";
const FORGET: &str = "UPDATE key_secrets SET aws_secret = NULL
    WHERE organization_id = $1 AND key_id = $2 AND aws_secret IS NOT NULL";
const REVOKE_ALL: &str = "UPDATE keys SET revoked_at = $3, revision = $4
    WHERE organization_id = $1 AND project_id = $2 AND revoked_at IS NULL";
const FORGET_ALL: &str = "UPDATE key_secrets SET aws_secret = NULL
    WHERE organization_id = $1 AND aws_secret IS NOT NULL AND key_id IN
    (SELECT id FROM keys WHERE organization_id = $1 AND project_id = $2)";

/// What is to be another; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUpdate {
    /// 1 to 256 bytes without control characters.
    pub name: Option<String>,
    /// What it may be used for.
    pub scopes: Option<Scopes>,
    /// When it ends, in Unix seconds; `Some(None)`: never.
    pub expires_at: Option<Option<i64>>,
}

/// A key that was not revoked.
pub(super) async fn in_force(
    transaction: &mut Transaction,
    list: &List,
    id: &str,
) -> Result<Key, StoreError> {
    let key = read(list.one::<Row>(transaction, id).await?)?;
    if key.revoked_at.is_some() {
        return Err(StoreError::invalid(super::WHAT, "it was revoked: make another one"));
    }
    Ok(key)
}

/// Revokes all keys of a project at a time and with a revision; how many those were.
pub(in crate::accounts) async fn revoke_all(
    transaction: &mut Transaction,
    organization: &str,
    project: &str,
    (now, revision): (i64, i64),
) -> Result<u64, StoreError> {
    execute!(transaction, FORGET_ALL, organization, project)?;
    Ok(execute!(transaction, REVOKE_ALL, organization, project, now, revision)?)
}

impl Store {
    /// Changes a project's key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Invalid`] if it cannot be like that
    /// or was revoked.
    pub async fn update_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        id: &str,
        update: &KeyUpdate,
    ) -> Result<(), StoreError> {
        let name = update.name.as_deref().map(check::name).transpose()?;
        if let Some(scopes) = &update.scopes {
            check::scopes(scopes)?;
        }
        let changes = audit::requested([
            ("name", name.as_ref().map(|name| json!(name))),
            ("scopes", update.scopes.as_ref().map(|scopes| json!(scopes))),
            ("expires_at", update.expires_at.map(|end| json!(end))),
        ]);
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            let key = in_force(&mut transaction, &of_projects(allowed), id).await?;
            let revision = revisions::next(&mut transaction).await?;
            let name = name.unwrap_or(key.name);
            let scopes = check::scopes(update.scopes.as_ref().unwrap_or(&key.scopes))?;
            let end = update.expires_at.unwrap_or(key.expires_at);
            let row = &mut transaction;
            execute!(row, UPDATE, organization, id, name, scopes, end, revision)?;
            let event = audit::event("api_key.updated", id, Some(&key.project), changes);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }

    /// Sets the limits of a project's key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Invalid`] if these limits cannot be
    /// or it was revoked.
    pub async fn set_key_limits(
        &self,
        allowed: &Allowed<may::WriteLimits>,
        id: &str,
        limits: &LimitsData,
    ) -> Result<(), StoreError> {
        let json = check::limits(limits)?;
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            let key = in_force(&mut transaction, &of_projects(allowed), id).await?;
            let revision = revisions::next(&mut transaction).await?;
            execute!(&mut transaction, SET_LIMITS, organization, id, json, revision)?;
            let changes = json!({ "changes_requested": limits });
            let event = audit::event("rate_limit.updated", id, Some(&key.project), changes);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }

    /// Ends a project's key; its row stays. Once more, it does nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn revoke_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        id: &str,
    ) -> Result<(), StoreError> {
        self.in_time(self.revoke(allowed, of_projects(allowed), id)).await
    }

    /// Ends a key of the organization itself; its row stays. Once more, it does nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn revoke_admin_key(
        &self,
        allowed: &Allowed<may::WriteAdminKeys>,
        id: &str,
    ) -> Result<(), StoreError> {
        self.in_time(self.revoke(allowed, of_admins(allowed)?, id)).await
    }

    async fn revoke<P>(
        &self,
        allowed: &Allowed<P>,
        list: List,
        id: &str,
    ) -> Result<(), StoreError> {
        let organization = allowed.organization();
        let mut transaction = self.write(organization).await?;
        let key = read(list.one::<Row>(&mut transaction, id).await?)?;
        if key.revoked_at.is_some() {
            return Ok(());
        }
        let revision = revisions::next(&mut transaction).await?;
        execute!(&mut transaction, REVOKE, organization, id, now(), revision)?;
        execute!(&mut transaction, FORGET, organization, id)?;
        let project = Some(key.project.as_str()).filter(|project| !project.is_empty());
        let event = audit::event("api_key.deleted", id, project, json!({}));
        audit::commit(transaction, allowed, event).await
    }
}
