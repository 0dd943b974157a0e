//! Keys: those of projects, and those of an organization's administration.
//!
//! Invariant: of a secret nothing is kept that leads back to it, and whoever lists keys sees no
//! more of it than some letters. What a revoked key signed with is kept no longer.

mod change;
mod create;
mod import;
mod owned;
mod rotate;
mod touch;

use server_accounts::{Allowed, KeyKind, LimitsData, Scopes, may};

pub use self::change::KeyUpdate;
pub(super) use self::change::revoke_all;
pub use self::create::{NewAdminKey, NewKey};
pub use self::import::ImportedKey;
pub(super) use self::owned::{
    create_of_service_account, of_service_account, of_user, revoke_exceeding, revoke_of,
};
use super::check::{not_found, unreadable, whole};
use super::list::{List, Part};
use crate::page::{Page, PageQuery};
use crate::{Store, StoreError};

/// What it is called in errors.
const WHAT: &str = "key";
/// The secret that does not end is the newest.
const COLUMNS: &str = "organization_id, project_id, id, name, kind, owner, role, scopes, limits,
    created_at, expires_at, revoked_at, used_at, COALESCE(
        (SELECT s.redacted FROM key_secrets AS s
        WHERE s.organization_id = keys.organization_id AND s.key_id = keys.id
        ORDER BY (s.expires_at IS NULL) DESC, s.created_at DESC, s.hash LIMIT 1), '')";
const PROJECT: &str = "project";
const ADMIN: &str = "admin";

/// A key, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its organization.
    pub organization: String,
    /// Its project; empty of an admin key.
    pub project: String,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub kind: KeyKind,
    /// Who it is of: `user:ID`, `service_account:ID` or `operator`.
    pub owner: String,
    /// What an admin key may; empty of another.
    pub role: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// What stands on it.
    pub limits: LimitsData,
    /// Unix time in seconds, as the following.
    pub created_at: i64,
    /// When it ends, if it does.
    pub expires_at: Option<i64>,
    /// Since when it is no more, if it is no more.
    pub revoked_at: Option<i64>,
    /// When it was last used, about.
    pub used_at: Option<i64>,
    /// The first and last letters of its newest secret.
    pub redacted: String,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    String,
);

/// Keys of projects that this is allowed in.
fn of_projects<P>(allowed: &Allowed<P>) -> List {
    let scope = scope(allowed.organization()).sql(" AND kind = 'project'");
    list(match allowed.projects() {
        Some(projects) => scope.and_any("project_id", projects),
        None => scope,
    })
}

/// Keys of the organization itself.
fn of_admins<P>(allowed: &Allowed<P>) -> Result<List, StoreError> {
    Ok(list(scope(whole(allowed)?).sql(" AND kind = 'admin'")))
}

fn scope(organization: &str) -> Part {
    Part::default().sql("organization_id = ").text(organization)
}

fn list(scope: Part) -> List {
    let (table, order, filter) = ("keys", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

fn read(row: Row) -> Result<Key, StoreError> {
    let (organization, project, id, name, kind, owner, role, scopes, limits, ..) = row;
    let (.., created_at, expires_at, revoked_at, used_at, redacted) = row;
    let kind = read_kind(&kind).ok_or_else(|| unreadable(WHAT, &id, "its kind is not known"))?;
    let scopes = serde_json::from_str(&scopes).map_err(|error| unreadable(WHAT, &id, error))?;
    let limits = LimitsData::parse(&limits).map_err(|error| unreadable(WHAT, &id, error))?;
    Ok(Key {
        organization,
        project,
        id,
        name,
        kind,
        owner,
        role,
        scopes,
        limits,
        created_at,
        expires_at,
        revoked_at,
        used_at,
        redacted,
    })
}

/// As the database names it.
pub(super) fn read_kind(kind: &str) -> Option<KeyKind> {
    match kind {
        PROJECT => Some(KeyKind::Project),
        ADMIN => Some(KeyKind::Admin),
        _ => None,
    }
}

fn size(row: &Row) -> usize {
    row.3.len() + row.7.len() + row.8.len()
}

impl Store {
    /// A project's key, revoked or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn key(&self, allowed: &Allowed<may::ReadKeys>, id: &str) -> Result<Key, StoreError> {
        read(self.listed(allowed.organization(), &of_projects(allowed), id).await?)
    }

    /// A page of keys of one project or of all, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there,
    /// [`StoreError::NotFound`] if this is not allowed in the project.
    pub async fn keys(
        &self,
        allowed: &Allowed<may::ReadKeys>,
        project: Option<&str>,
        with_revoked: bool,
        query: &PageQuery,
    ) -> Result<Page<Key>, StoreError> {
        let mut list = of_projects(allowed);
        if let Some(project) = project {
            if !allowed.covers(project) {
                return Err(not_found("project", project));
            }
            list.scope = list.scope.sql(" AND project_id = ").text(project);
        }
        if !with_revoked {
            list.filter = list.filter.sql(" AND revoked_at IS NULL");
        }
        self.page_of(allowed.organization(), &list, query, size).await?.try_map(read)
    }

    /// A key of the organization itself, revoked or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn admin_key(
        &self,
        allowed: &Allowed<may::WriteAdminKeys>,
        id: &str,
    ) -> Result<Key, StoreError> {
        read(self.listed(allowed.organization(), &of_admins(allowed)?, id).await?)
    }

    /// A page of the organization's own keys that were not revoked, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn admin_keys(
        &self,
        allowed: &Allowed<may::WriteAdminKeys>,
        query: &PageQuery,
    ) -> Result<Page<Key>, StoreError> {
        let mut list = of_admins(allowed)?;
        list.filter = list.filter.sql(" AND revoked_at IS NULL");
        self.page_of(allowed.organization(), &list, query, size).await?.try_map(read)
    }
}
