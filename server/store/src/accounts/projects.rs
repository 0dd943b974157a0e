//! Projects: what keys belong to, within an organization.

use serde_json::json;
use server_accounts::{
    Allowed, DEFAULT, Kind, LimitsData, PrivacySettings, StorePrompts, may, new_id,
};

use super::audit::{self, Who};
use super::check::{self, not_found, unreadable};
use super::keys;
use super::list::{List, Part};
use super::organizations::check_in_force;
use crate::database::now;
use crate::page::{Page, PageQuery};
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError, revisions};

/// What it is called in errors.
const WHAT: &str = "project";
const COLUMNS: &str = "organization_id, id, name, created_at, archived_at, settings, limits,
    store_prompts, retention_days";
const INSERT: &str = "INSERT INTO projects (organization_id, id, name, created_at, revision)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE projects SET name = COALESCE($3, name),
    settings = COALESCE($4, settings), revision = $5 WHERE organization_id = $1 AND id = $2";
const SET_STORE_PROMPTS: &str = "UPDATE projects SET store_prompts = $3
    WHERE organization_id = $1 AND id = $2";
const SET_RETENTION: &str = "UPDATE projects SET retention_days = $3
    WHERE organization_id = $1 AND id = $2";
const SET_LIMITS: &str = "UPDATE projects SET limits = $3, revision = $4
    WHERE organization_id = $1 AND id = $2";
const ARCHIVE: &str = "UPDATE projects SET archived_at = $3, revision = $4
    WHERE organization_id = $1 AND id = $2";
const ARCHIVED_AT: &str = "SELECT archived_at FROM projects
    WHERE organization_id = $1 AND id = $2";

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its organization.
    pub organization: String,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Unix time in seconds.
    pub created_at: i64,
    /// Since when it is no more, if it is no more.
    pub archived_at: Option<i64>,
    /// A JSON object.
    pub settings: String,
    /// What stands on all of its keys together.
    pub limits: LimitsData,
    /// What it has said of what is kept.
    pub privacy: PrivacySettings,
}

/// What is to be another; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectUpdate {
    /// 1 to 256 bytes without control characters.
    pub name: Option<String>,
    /// A JSON object of at most 16 KiB.
    pub settings: Option<String>,
    /// Whether prompts are stored; `Some(None)`: as the server has it.
    pub store_prompts: Option<Option<StorePrompts>>,
    /// For how many days; `Some(None)`: as the server has it.
    pub retention_days: Option<Option<u32>>,
}

type Row = (String, String, String, i64, Option<i64>, String, String, Option<String>, Option<i64>);

fn list<P>(allowed: &Allowed<P>) -> List {
    let mut scope = Part::default().sql("organization_id = ").text(allowed.organization());
    if let Some(projects) = allowed.projects() {
        scope = scope.and_any("id", projects);
    }
    let (table, order, filter) = ("projects", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

fn read(row: Row) -> Result<Project, StoreError> {
    let (organization, id, name, created_at, archived_at, settings, limits, prompts, days) = row;
    let limits = LimitsData::parse(&limits).map_err(|error| unreadable(WHAT, &id, error))?;
    let store_prompts = prompts.map(|name| name.parse()).transpose();
    let store_prompts = store_prompts.map_err(|error| unreadable(WHAT, &id, error))?;
    let retention_days = days.and_then(|days| u32::try_from(days).ok());
    let privacy = PrivacySettings { store_prompts, retention_days };
    Ok(Project { organization, id, name, created_at, archived_at, settings, limits, privacy })
}

fn check_covered<P>(allowed: &Allowed<P>, id: &str) -> Result<(), StoreError> {
    if allowed.covers(id) { Ok(()) } else { Err(not_found(WHAT, id)) }
}

/// [`StoreError::NotFound`] unless the project is there and covered, [`StoreError::Invalid`] unless
/// it and its organization go on.
pub(crate) async fn check_active<P>(
    transaction: &mut Transaction,
    allowed: &Allowed<P>,
    id: &str,
) -> Result<(), StoreError> {
    check_in_force(transaction, allowed.organization()).await?;
    if is_archived(transaction, allowed, id).await? {
        return Err(StoreError::invalid(WHAT, "it was archived"));
    }
    Ok(())
}

async fn is_archived<P>(
    transaction: &mut Transaction,
    allowed: &Allowed<P>,
    id: &str,
) -> Result<bool, StoreError> {
    check_covered(allowed, id)?;
    let organization = allowed.organization();
    let found: Option<(Option<i64>,)> =
        query!(transaction, fetch_optional, ARCHIVED_AT, organization, id)?;
    let (archived_at,) = found.ok_or_else(|| not_found(WHAT, id))?;
    Ok(archived_at.is_some())
}

/// Adds a project with an id and a name that were checked, and tells so.
pub(super) async fn insert(
    transaction: &mut Transaction,
    who: Who<'_>,
    (id, name): (&str, &str),
) -> Result<(), StoreError> {
    let revision = revisions::next(transaction).await?;
    let row = &mut *transaction;
    if execute!(row, INSERT, who.organization, id, name, now(), revision)? == 0 {
        return Err(StoreError::Exists { what: WHAT, id: id.to_owned() });
    }
    let data = json!({ "data": { "name": name } });
    audit::append_of(transaction, who, audit::event("project.created", id, Some(id), data)).await
}

impl Store {
    /// Makes a project, with an id of its own if none is given.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the id is taken, [`StoreError::Invalid`] if the id or name cannot
    /// be or the organization was archived, [`StoreError::NotFound`] if there is no organization or
    /// this is not allowed in it or in the project of that id.
    pub async fn create_project(
        &self,
        allowed: &Allowed<may::WriteProjects>,
        id: Option<&str>,
        name: &str,
    ) -> Result<Project, StoreError> {
        let id = id.map_or_else(|| new_id(Kind::Project), str::to_owned);
        check::id(&id)?;
        check_covered(allowed, &id)?;
        let name = check::name(name)?;
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            let who = Who { organization, actor: allowed.actor(), address: allowed.address() };
            insert(&mut transaction, who, (&id, &name)).await?;
            let made = read(list(allowed).one(&mut transaction, &id).await?)?;
            transaction.commit().await?;
            Ok(made)
        };
        self.in_time(work).await
    }

    /// A project, archived or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn project(
        &self,
        allowed: &Allowed<may::ReadProjects>,
        id: &str,
    ) -> Result<Project, StoreError> {
        read(self.listed(allowed.organization(), &list(allowed), id).await?)
    }

    /// A page of projects, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn projects(
        &self,
        allowed: &Allowed<may::ReadProjects>,
        with_archived: bool,
        query: &PageQuery,
    ) -> Result<Page<Project>, StoreError> {
        let mut list = list(allowed);
        if !with_archived {
            list.filter = list.filter.sql(" AND archived_at IS NULL");
        }
        let size = |row: &Row| row.2.len() + row.5.len() + row.6.len();
        self.page_of(allowed.organization(), &list, query, size).await?.try_map(read)
    }

    /// Changes the name or settings. What was stored before stays until its own end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, [`StoreError::Invalid`] if it cannot
    /// be like that or was archived.
    pub async fn update_project(
        &self,
        allowed: &Allowed<may::WriteProjects>,
        id: &str,
        update: &ProjectUpdate,
    ) -> Result<(), StoreError> {
        let name = update.name.as_deref().map(check::name).transpose()?;
        let map = update.settings.as_deref().map(check::settings).transpose()?;
        let days = update.retention_days;
        days.flatten().map_or(Ok(()), check::retention_days)?;
        // Values of settings may be private: which they are is told, not what they are.
        let names: Option<Vec<&String>> = map.as_ref().map(|map| map.keys().collect());
        let changes = audit::requested([
            ("name", name.as_ref().map(|name| json!(name))),
            ("settings", names.map(|names| json!(names))),
            ("store_prompts", update.store_prompts.map(|it| json!(it))),
            ("retention_days", days.map(|days| json!(days))),
        ]);
        let event = audit::event("project.updated", id, Some(id), changes);
        let work = async {
            let (organization, settings) = (allowed.organization(), &update.settings);
            let mut transaction = self.write(organization).await?;
            check_active(&mut transaction, allowed, id).await?;
            let revision = revisions::next(&mut transaction).await?;
            let row = &mut transaction;
            execute!(row, UPDATE, organization, id, name, settings, revision)?;
            if let Some(choice) = update.store_prompts {
                let name = choice.map(StorePrompts::name);
                execute!(&mut transaction, SET_STORE_PROMPTS, organization, id, name)?;
            }
            if let Some(days) = days {
                let days = days.map(i64::from);
                execute!(&mut transaction, SET_RETENTION, organization, id, days)?;
            }
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }

    /// Ends a project and revokes its keys; its rows stay. Once more, it does nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, [`StoreError::Stays`] of `default`.
    pub async fn archive_project(
        &self,
        allowed: &Allowed<may::WriteProjects>,
        id: &str,
    ) -> Result<(), StoreError> {
        let work = async {
            let (organization, now) = (allowed.organization(), now());
            let mut transaction = self.write(organization).await?;
            if is_archived(&mut transaction, allowed, id).await? {
                return Ok(());
            }
            if id == DEFAULT {
                let why = "what names no project is in it";
                return Err(StoreError::Stays { what: WHAT, id: id.to_owned(), why });
            }
            let revision = revisions::next(&mut transaction).await?;
            execute!(&mut transaction, ARCHIVE, organization, id, now, revision)?;
            let at = (now, revision);
            let num_keys = keys::revoke_all(&mut transaction, organization, id, at).await?;
            let detail = json!({ "num_keys_revoked": num_keys });
            let event = audit::event("project.archived", id, Some(id), detail);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }

    /// Sets the limits of all keys of a project together.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, [`StoreError::Invalid`] if these
    /// limits cannot be or it was archived.
    pub async fn set_project_limits(
        &self,
        allowed: &Allowed<may::WriteLimits>,
        id: &str,
        limits: &LimitsData,
    ) -> Result<(), StoreError> {
        let json = check::limits(limits)?;
        let changes = json!({ "changes_requested": limits });
        let event = audit::event("rate_limit.updated", id, Some(id), changes);
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            check_active(&mut transaction, allowed, id).await?;
            let revision = revisions::next(&mut transaction).await?;
            execute!(&mut transaction, SET_LIMITS, organization, id, json, revision)?;
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}
