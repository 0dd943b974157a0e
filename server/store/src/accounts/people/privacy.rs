//! What is stored of a user: told, and removed.
//!
//! Invariant: nothing that is told lets anybody in. What stays of a user that was deleted is its
//! id, in audit logs and as the owner of keys that were revoked.

use serde_json::{Map, Value, json};
use server_accounts::{Allowed, may};

use super::{everywhere, members, users};
use crate::accounts::audit::{self, Who};
use crate::accounts::keys;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// Lines of audit logs that are told, the newest.
const MAX_LINES: i64 = 10_000;

const CODES: &str = "SELECT used_at FROM recovery_codes WHERE user_id = $1";
const IDENTITIES: &str = "SELECT issuer, subject, created_at FROM identities WHERE user_id = $1";
const SESSIONS: &str = "SELECT id, created_at, used_at, expires_at, two_factors, address, agent
    FROM sessions WHERE user_id = $1";
const TOKENS: &str = "SELECT purpose, email, created_at, expires_at FROM user_tokens
    WHERE user_id = $1";
const FAILURES: &str = "SELECT num, last_at, blocked_until FROM login_failures WHERE email = $1";
const MEMBERSHIPS: &str = "SELECT organization_id, role, created_at FROM memberships
    WHERE user_id = $1";
const PROJECTS: &str = "SELECT organization_id, project_id, role, created_at
    FROM project_memberships WHERE user_id = $1";
const INVITATIONS: &str = "SELECT organization_id, id, email, role, projects, invited_by,
    created_at, expires_at, accepted_at FROM invitations WHERE email = $1 OR invited_by = $2";
const KEYS: &str = "SELECT organization_id, project_id, id, name, kind, role, scopes, limits,
    created_at, expires_at, revoked_at, used_at FROM keys WHERE owner = $1";
const AUDIT: &str = "SELECT organization_id, id, at, actor, address, action, target, project_id,
    detail FROM audit_log WHERE actor = $1 OR target = $2 ORDER BY at DESC, id LIMIT $3";

const FORGET_FAILURES: &str = "DELETE FROM login_failures WHERE email = $1";
const FORGET_INVITATIONS: &str = "DELETE FROM invitations
    WHERE organization_id = $1 AND email = $2 RETURNING id";
const REMOVE: &str = "DELETE FROM users WHERE id = $1";

/// Rows as JSON: `rows!(transaction, SQL, (column: type, …), values…)`.
macro_rules! rows {
    ($transaction:expr, $sql:expr, ($($name:ident: $type:ty),*) $(, $value:expr)*) => {{
        let rows: Vec<($($type,)*)> = query!($transaction, fetch_all, $sql $(, $value)*)?;
        let row = |($($name,)*): ($($type,)*)| {
            let columns = [$((stringify!($name).to_owned(), json!($name)),)*];
            Value::Object(Map::from_iter(columns))
        };
        rows.into_iter().map(row).collect::<Value>()
    }};
}

impl Store {
    /// All that is stored of a user, as a JSON object; of lines of audit logs that name the user
    /// the newest 10,000. Times are Unix seconds, those of audit logs milliseconds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user.
    pub async fn export_user(&self, user: &str) -> Result<String, StoreError> {
        let work = async {
            let row = &mut self.read_every().await?;
            let found = users::find(row, user).await?;
            let told = json!({
                "user": {
                    "id": found.id,
                    "email": found.email,
                    "name": found.name,
                    "created_at": found.created_at,
                    "email_verified_at": found.email_verified_at,
                    "disabled_at": found.disabled_at,
                    "has_password": found.has_password,
                    "totp_enabled_at": found.totp_enabled_at,
                },
                "recovery_codes": rows!(row, CODES, (used_at: Option<i64>), user),
                "identities": rows!(
                    row, IDENTITIES, (issuer: String, subject: String, created_at: i64), user
                ),
                "sessions": rows!(row, SESSIONS, (id: String, created_at: i64, used_at: i64,
                    expires_at: i64, two_factors: i64, address: Option<String>,
                    agent: Option<String>), user),
                "tokens": rows!(row, TOKENS, (purpose: String, email: String, created_at: i64,
                    expires_at: i64), user),
                "login_failures": rows!(
                    row, FAILURES, (num: i64, last_at: i64, blocked_until: i64), found.email
                ),
                "organizations": of_organizations(row, user, &found.email).await?,
            });
            Ok(told.to_string())
        };
        self.in_time(work).await
    }

    /// Removes a user who asks for it, and what is the user's: memberships with the keys that came
    /// with them, sessions, identities, invitations to the address.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, [`StoreError::LastOwner`] if the user is
    /// the last owner of an organization that goes on and has other members.
    pub async fn delete_user(&self, user: &str) -> Result<(), StoreError> {
        self.forget(user, (&keys::of_user(user), None), true).await
    }

    /// Removes a user as the operator: the same, but the last owner of an organization that has no
    /// other members is removed only if it `may_abandon` that, which has nobody then.
    ///
    /// # Errors
    /// As [`Store::delete_user`].
    pub async fn delete_user_as_operator(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        user: &str,
        may_abandon: bool,
    ) -> Result<(), StoreError> {
        self.forget(user, (allowed.actor(), allowed.address()), may_abandon).await
    }

    async fn forget(
        &self,
        user: &str,
        (actor, address): (&str, Option<&str>),
        may_abandon: bool,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person_everywhere(user).await?;
            let email = users::find(&mut transaction, user).await?.email;
            for organization in everywhere::turns(&mut transaction, user, &email).await? {
                let who = Who { organization: &organization, actor, address };
                members::leave(&mut transaction, who, (user, may_abandon)).await?;
                let invited: Vec<(String,)> =
                    query!(&mut transaction, fetch_all, FORGET_INVITATIONS, organization, email)?;
                for (id,) in invited {
                    let event = audit::event("invite.deleted", &id, None, json!({}));
                    audit::append_of(&mut transaction, who, event).await?;
                }
            }
            execute!(&mut transaction, FORGET_FAILURES, email)?;
            execute!(&mut transaction, REMOVE, user)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }
}

/// What organizations have of a user.
async fn of_organizations(
    row: &mut Transaction,
    user: &str,
    email: &str,
) -> Result<Value, StoreError> {
    let owner = keys::of_user(user);
    Ok(json!({
        "memberships": rows!(
            row, MEMBERSHIPS, (organization_id: String, role: String, created_at: i64), user
        ),
        "project_memberships": rows!(row, PROJECTS, (organization_id: String,
            project_id: String, role: String, created_at: i64), user),
        "invitations": rows!(row, INVITATIONS, (organization_id: String, id: String,
            email: String, role: String, projects: String, invited_by: String, created_at: i64,
            expires_at: i64, accepted_at: Option<i64>), email, owner),
        "keys": rows!(row, KEYS, (organization_id: String, project_id: String, id: String,
            name: String, kind: String, role: String, scopes: String, limits: String,
            created_at: i64, expires_at: Option<i64>, revoked_at: Option<i64>,
            used_at: Option<i64>), owner),
        "audit_log": rows!(row, AUDIT, (organization_id: String, id: String, at: i64,
            actor: String, address: Option<String>, action: String, target: String,
            project_id: Option<String>, detail: String), owner, user, MAX_LINES),
    }))
}
