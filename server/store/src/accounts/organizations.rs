//! Organizations: each is a tenant.

use serde_json::{Value, json};
use server_accounts::{Allowed, AuditEvent, LimitsData, may};

use super::audit::{self, Who};
use super::check::{self, MAX_REASON_BYTES, not_found, unreadable, whole};
use super::list::{List, Part};
use crate::database::now;
use crate::page::{Page, PageQuery};
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError, revisions};

/// What it is called in errors.
const WHAT: &str = "organization";
const COLUMNS: &str =
    "id, name, created_at, archived_at, suspended, requires_two_factors, settings, limits";
const INSERT: &str = "INSERT INTO organizations (id, name, created_at, revision)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE organizations SET name = COALESCE($2, name),
    requires_two_factors = COALESCE($3, requires_two_factors),
    settings = COALESCE($4, settings), revision = $5 WHERE id = $1";
pub(super) const SET_LIMITS: &str =
    "UPDATE organizations SET limits = $2, revision = $3 WHERE id = $1";
const SUSPEND: &str = "UPDATE organizations SET suspended = $2, revision = $3 WHERE id = $1";
const ARCHIVE: &str = "UPDATE organizations SET archived_at = $2, revision = $3 WHERE id = $1";
const ARCHIVED_AT: &str = "SELECT archived_at FROM organizations WHERE id = $1";

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id, which is the tenant.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Unix time in seconds.
    pub created_at: i64,
    /// Since when it is no more, if it is no more.
    pub archived_at: Option<i64>,
    /// Why it may not go on, if it may not.
    pub suspended: Option<String>,
    /// Whether its members have to log in with two factors.
    pub requires_two_factors: bool,
    /// A JSON object.
    pub settings: String,
    /// What stands on all of it together.
    pub limits: LimitsData,
}

/// What is to be another; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationUpdate {
    /// 1 to 256 bytes without control characters.
    pub name: Option<String>,
    /// Whether its members have to log in with two factors.
    pub requires_two_factors: Option<bool>,
    /// A JSON object of at most 16 KiB.
    pub settings: Option<String>,
}

type Row = (String, String, i64, Option<i64>, Option<String>, i64, String, String);

fn list(scope: Part) -> List {
    let (table, order, filter) = ("organizations", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

fn only(id: &str) -> List {
    list(Part::default().sql("id = ").text(id))
}

fn read(row: Row) -> Result<Organization, StoreError> {
    let (id, name, created_at, archived_at, suspended, two_factors, settings, limits) = row;
    let limits = LimitsData::parse(&limits).map_err(|error| unreadable(WHAT, &id, error))?;
    let requires_two_factors = two_factors != 0;
    Ok(Organization {
        id,
        name,
        created_at,
        archived_at,
        suspended,
        requires_two_factors,
        settings,
        limits,
    })
}

/// [`StoreError::NotFound`] unless the organization is there and [`StoreError::Invalid`] unless it
/// goes on.
pub(crate) async fn check_in_force(
    transaction: &mut Transaction,
    id: &str,
) -> Result<(), StoreError> {
    if is_archived(transaction, id).await? {
        return Err(StoreError::invalid(WHAT, "it was archived"));
    }
    Ok(())
}

/// Whether an organization is no more; [`StoreError::NotFound`] if it never was.
pub(crate) async fn is_archived(
    transaction: &mut Transaction,
    id: &str,
) -> Result<bool, StoreError> {
    Ok(archived_at(transaction, id).await?.is_some())
}

/// Since when an organization is no more; [`StoreError::NotFound`] if it never was.
pub(super) async fn archived_at(
    transaction: &mut Transaction,
    id: &str,
) -> Result<Option<i64>, StoreError> {
    let found: Option<(Option<i64>,)> = query!(transaction, fetch_optional, ARCHIVED_AT, id)?;
    found.map(|(archived_at,)| archived_at).ok_or_else(|| not_found(WHAT, id))
}

impl Store {
    /// Makes an organization; its id is the one that this is allowed for.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the id is taken, [`StoreError::Invalid`] if the id or name cannot
    /// be.
    pub async fn create_organization(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        name: &str,
    ) -> Result<Organization, StoreError> {
        let id = allowed.organization();
        check::id(id)?;
        let name = check::name(name)?;
        let work = async {
            let mut transaction = self.write(id).await?;
            let who = Who { organization: id, actor: allowed.actor(), address: allowed.address() };
            insert(&mut transaction, who, &name).await?;
            let made = read(only(id).one(&mut transaction, id).await?)?;
            transaction.commit().await?;
            Ok(made)
        };
        self.in_time(work).await
    }

    /// The organization.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn organization(
        &self,
        allowed: &Allowed<may::ReadOrganization>,
    ) -> Result<Organization, StoreError> {
        let id = allowed.organization();
        read(self.listed(id, &only(id), id).await?)
    }

    /// A page of all organizations, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn organizations(
        &self,
        _: &Allowed<may::RunPlatform>,
        query: &PageQuery,
    ) -> Result<Page<Organization>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let list = list(Part::default().sql("1 = 1"));
            let size = |row: &Row| row.1.len() + row.6.len() + row.7.len();
            list.page(&mut transaction, query, size).await?.try_map(read)
        };
        self.in_time(work).await
    }

    /// Changes the name or settings.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if it
    /// cannot be like that.
    pub async fn update_organization(
        &self,
        allowed: &Allowed<may::WriteOrganization>,
        update: &OrganizationUpdate,
    ) -> Result<(), StoreError> {
        let id = whole(allowed)?;
        let name = update.name.as_deref().map(check::name).transpose()?;
        let settings = update.settings.as_deref().map(check::settings).transpose()?;
        // Values of settings may be private: which they are is told, not what they are.
        let names: Option<Vec<&String>> = settings.as_ref().map(|map| map.keys().collect());
        let changes = audit::requested([
            ("name", name.as_ref().map(|name| json!(name))),
            ("requires_two_factors", update.requires_two_factors.map(Value::from)),
            ("settings", names.map(|names| json!(names))),
        ]);
        let two_factors = update.requires_two_factors.map(i64::from);
        let work = async {
            let mut transaction = self.write(id).await?;
            let revision = revisions::next(&mut transaction).await?;
            let settings = &update.settings;
            let row = &mut transaction;
            let num = execute!(row, UPDATE, id, name, two_factors, settings, revision)?;
            let event = audit::event("organization.updated", id, None, changes);
            finish(transaction, allowed, num, event).await
        };
        self.in_time(work).await
    }

    /// Sets the limits of the whole organization.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if these
    /// limits cannot be.
    pub async fn set_organization_limits(
        &self,
        allowed: &Allowed<may::WriteLimits>,
        limits: &LimitsData,
    ) -> Result<(), StoreError> {
        let (id, json) = (whole(allowed)?, check::limits(limits)?);
        let work = async {
            let mut transaction = self.write(id).await?;
            let revision = revisions::next(&mut transaction).await?;
            let num = execute!(&mut transaction, SET_LIMITS, id, json, revision)?;
            let changes = json!({ "changes_requested": limits });
            let event = audit::event("rate_limit.updated", id, None, changes);
            finish(transaction, allowed, num, event).await
        };
        self.in_time(work).await
    }

    /// Lets nobody of the organization in, and says why; or lets them in again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if the
    /// reason has not 1 to 1,024 bytes.
    pub async fn suspend_organization(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        let id = allowed.organization();
        let why = why.map(|why| check::text("reason", why, MAX_REASON_BYTES)).transpose()?;
        let work = async {
            let mut transaction = self.write(id).await?;
            let revision = revisions::next(&mut transaction).await?;
            let num = execute!(&mut transaction, SUSPEND, id, why, revision)?;
            let changes = json!({ "changes_requested": { "suspended": why } });
            let event = audit::event("organization.updated", id, None, changes);
            finish(transaction, allowed, num, event).await
        };
        self.in_time(work).await
    }

    /// Ends the organization: none of its keys is let in any more. Its rows stay. Once more, it
    /// does nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization.
    pub async fn archive_organization(
        &self,
        allowed: &Allowed<may::RunPlatform>,
    ) -> Result<(), StoreError> {
        let id = allowed.organization();
        let work = async {
            let mut transaction = self.write(id).await?;
            if is_archived(&mut transaction, id).await? {
                return Ok(());
            }
            let revision = revisions::next(&mut transaction).await?;
            let num = execute!(&mut transaction, ARCHIVE, id, now(), revision)?;
            let event = audit::event("organization.archived", id, None, json!({}));
            finish(transaction, allowed, num, event).await
        };
        self.in_time(work).await
    }
}

/// Adds an organization with a name that was checked, and tells so.
pub(super) async fn insert(
    transaction: &mut Transaction,
    who: Who<'_>,
    name: &str,
) -> Result<(), StoreError> {
    let id = who.organization;
    let revision = revisions::next(transaction).await?;
    if execute!(&mut *transaction, INSERT, id, name, now(), revision)? == 0 {
        return Err(StoreError::Exists { what: WHAT, id: id.to_owned() });
    }
    let data = json!({ "data": { "name": name } });
    audit::append_of(transaction, who, audit::event("organization.created", id, None, data)).await
}

/// Ends a change of the organization itself, which is there if a row was changed.
async fn finish<P>(
    transaction: Transaction,
    allowed: &Allowed<P>,
    num_changed: u64,
    event: AuditEvent,
) -> Result<(), StoreError> {
    if num_changed == 0 {
        return Err(not_found(WHAT, allowed.organization()));
    }
    audit::commit(transaction, allowed, event).await
}
