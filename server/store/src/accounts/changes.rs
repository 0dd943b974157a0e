//! What changed of what requests depend on.
//!
//! Invariant: it is what the database had at one revision. Who does not understand a row lets
//! nobody in by it.

use std::collections::{BTreeSet, HashMap};

use server_accounts::{
    Changes, KeyChange, KeyHash, KeyKind, LimitsData, OrganizationChange, Permission,
    PrivacySettings, ProjectChange, Role, SecretChange, StorePrompts,
};

use super::keys::read_kind;
use crate::database::{now, within};
use crate::revisions::LAST;
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

/// For all that there is.
const TIMEOUTS_OF_ALL: u32 = 12;

const ORGANIZATIONS: &str = "SELECT id, archived_at, suspended, limits FROM organizations
    WHERE revision > $1";
const PROJECTS: &str = "SELECT organization_id, id, archived_at, limits, store_prompts,
    retention_days FROM projects WHERE revision > $1";
/// Whoever knows nothing yet need not know of what was revoked.
const KEYS: &str = "SELECT organization_id, project_id, id, kind, role, scopes, limits, expires_at,
    revoked_at FROM keys WHERE revision > $1 AND ($1 > 0 OR revoked_at IS NULL)";
const SECRETS: &str = "SELECT s.key_id, s.hash, s.aws_secret, s.expires_at
    FROM keys AS k JOIN key_secrets AS s
    ON s.organization_id = k.organization_id AND s.key_id = k.id
    WHERE k.revision > $1 AND k.revoked_at IS NULL
    AND (s.expires_at IS NULL OR s.expires_at > $2)";
const ROLES: &str = "SELECT r.organization_id, r.name, r.permissions FROM roles AS r
    WHERE EXISTS (SELECT 1 FROM keys AS k WHERE k.organization_id = r.organization_id
        AND k.role = r.name AND k.kind = 'admin' AND k.revision > $1)";

type OrganizationRow = (String, Option<i64>, Option<String>, String);
type ProjectRow = (String, String, Option<i64>, String, Option<String>, Option<i64>);
type KeyRow = (String, String, String, String, String, String, String, Option<i64>, Option<i64>);
type SecretRow = (String, String, Option<String>, Option<i64>);
/// By organization and name.
type Roles = HashMap<(String, String), Role>;

impl Store {
    /// All that changed after a revision, in all organizations, as it is now; after 0, all that is
    /// there but revoked keys. Secrets that ended are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let last: Option<(i64,)> = query!(&mut transaction, fetch_optional, LAST)?;
            let (revision,) = last.unwrap_or_default();
            if revision <= since {
                return Ok(Changes { revision, ..Changes::default() });
            }
            changes(&mut transaction, since, revision).await
        };
        // No request waits for the first load, and it may be of everything.
        let timeouts = if since <= 0 { TIMEOUTS_OF_ALL } else { 1 };
        within(self.limits().timeout.saturating_mul(timeouts), work).await
    }
}

async fn changes(
    transaction: &mut Transaction,
    since: i64,
    revision: i64,
) -> Result<Changes, StoreError> {
    let rows: Vec<OrganizationRow> = query!(&mut *transaction, fetch_all, ORGANIZATIONS, since)?;
    let organizations = rows.into_iter().map(organization).collect();
    let rows: Vec<ProjectRow> = query!(&mut *transaction, fetch_all, PROJECTS, since)?;
    let projects = rows.into_iter().map(project).collect();
    let rows: Vec<KeyRow> = query!(&mut *transaction, fetch_all, KEYS, since)?;
    if rows.is_empty() {
        return Ok(Changes { revision, organizations, projects, keys: Vec::new() });
    }
    let roles: Vec<(String, String, String)> = query!(&mut *transaction, fetch_all, ROLES, since)?;
    let roles = roles.into_iter().map(role).collect();
    let mut secrets: HashMap<String, Vec<SecretChange>> = HashMap::new();
    let secret_rows: Vec<SecretRow> = query!(transaction, fetch_all, SECRETS, since, now())?;
    for (key, hash, aws_secret, expires_at) in secret_rows {
        match KeyHash::parse(&hash) {
            Some(hash) => {
                let secret = SecretChange { hash, aws_secret, expires_at };
                secrets.entry(key).or_default().push(secret);
            }
            None => tracing::warn!(key, "a secret of this key is left out: it is no hash"),
        }
    }
    let of_key = |row: KeyRow| {
        let secrets = secrets.remove(&row.2).unwrap_or_default();
        key(row, &roles, secrets)
    };
    let keys = rows.into_iter().map(of_key).collect();
    Ok(Changes { revision, organizations, projects, keys })
}

fn organization((id, archived_at, suspended, limits): OrganizationRow) -> OrganizationChange {
    let (limits, is_fine) = read_limits(&id, &limits);
    let unread = (!is_fine).then(|| "its limits cannot be read".to_owned());
    let is_archived = archived_at.is_some();
    OrganizationChange { id, is_archived, suspended: suspended.or(unread), limits }
}

fn project(row: ProjectRow) -> ProjectChange {
    let (organization, id, archived_at, limits, prompts, days) = row;
    let (limits, is_fine) = read_limits(&id, &limits);
    let is_archived = archived_at.is_some() || !is_fine;
    let store_prompts = prompts.map(|name| {
        name.parse().unwrap_or_else(|error| {
            tracing::warn!(id, %error, "nothing of this project's prompts is stored");
            StorePrompts::Never
        })
    });
    let retention_days = days.and_then(|days| u32::try_from(days).ok());
    let privacy = PrivacySettings { store_prompts, retention_days };
    ProjectChange { organization, id, is_archived, limits, privacy }
}

fn key(row: KeyRow, roles: &Roles, secrets: Vec<SecretChange>) -> KeyChange {
    let (organization, project, id, kind, role, scopes, limits, expires_at, revoked_at) = row;
    let (limits, mut is_fine) = read_limits(&id, &limits);
    let scopes = serde_json::from_str(&scopes).unwrap_or_else(|error| {
        tracing::warn!(key = id, %error, "this key lets nobody in: its scopes cannot be read");
        is_fine = false;
        Default::default()
    });
    let kind = read_kind(&kind).unwrap_or_else(|| {
        tracing::warn!(key = id, kind, "this key lets nobody in: its kind is not known");
        is_fine = false;
        KeyKind::Project
    });
    let role = match kind {
        KeyKind::Project => Role { name: role, permissions: [Permission::UseModels].into() },
        KeyKind::Admin => of_admin(&organization, role, roles),
    };
    KeyChange {
        organization,
        project,
        id,
        kind,
        role,
        scopes,
        limits,
        is_revoked: revoked_at.is_some() || !is_fine,
        expires_at,
        secrets,
    }
}

/// What an admin key may; nothing, if its role is no more.
fn of_admin(organization: &str, name: String, roles: &Roles) -> Role {
    if let Some(role) = Role::find_usual(&name) {
        return role;
    }
    let place = (organization.to_owned(), name);
    let found = roles.get(&place).cloned();
    found.unwrap_or_else(|| Role { name: place.1, permissions: BTreeSet::new() })
}

/// A role of an organization's own; what it has of permissions that are not known it has not.
fn role((organization, name, permissions): (String, String, String)) -> ((String, String), Role) {
    let known = permissions.split_whitespace().filter_map(|name| name.parse().ok());
    let known = known.filter(|permission| *permission != Permission::RunPlatform).collect();
    let role = Role { name: name.clone(), permissions: known };
    ((organization, name), role)
}

fn read_limits(id: &str, json: &str) -> (LimitsData, bool) {
    match LimitsData::parse(json) {
        Ok(limits) => (limits, true),
        Err(error) => {
            tracing::warn!(id, %error, "nobody is let in by what has limits that cannot be read");
            (LimitsData::default(), false)
        }
    }
}
