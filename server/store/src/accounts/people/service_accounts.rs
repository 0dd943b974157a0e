//! Service accounts of projects: who is no person.
//!
//! Invariant: a service account begins with a key, and its keys end with it.

use serde_json::json;
use server_accounts::{Allowed, KeySecret, Kind, may, new_id};

use super::project_members::usual;
use super::roles;
use crate::accounts::check::{self, not_found};
use crate::accounts::list::{List, Part};
use crate::accounts::projects::check_active;
use crate::accounts::{audit, keys};
use crate::database::now;
use crate::sql::{execute, query};
use crate::{Page, PageQuery, Store, StoreError};

const WHAT: &str = "service account";
/// Of one project.
const MAX_ACCOUNTS: u64 = 10_000;

const COLUMNS: &str = "id, project_id, name, role, created_at";
const INSERT: &str = "INSERT INTO service_accounts
    (organization_id, project_id, id, name, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
const COUNT: &str = "SELECT COUNT(*) FROM service_accounts
    WHERE organization_id = $1 AND project_id = $2";
const REMOVE: &str = "DELETE FROM service_accounts
    WHERE organization_id = $1 AND project_id = $2 AND id = $3";

/// A service account that a project is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServiceAccount {
    /// The project's id.
    pub project: String,
    /// 1 to 256 bytes without control characters; its first key is called so, too.
    pub name: String,
    /// `member`, `owner`, a usual role or one of the organization's.
    pub role: String,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `svc_acct_…`.
    pub id: String,
    /// The project's id.
    pub project: String,
    /// What people call it.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// Unix time in seconds.
    pub created_at: i64,
}

type Row = (String, String, String, String, i64);

impl ServiceAccount {
    fn of((id, project, name, role, created_at): Row) -> Self {
        Self { id, project, name, role, created_at }
    }
}

/// Those of a project that this is allowed in.
fn list<P>(allowed: &Allowed<P>, project: &str) -> Result<List, StoreError> {
    if !allowed.covers(project) {
        return Err(not_found("project", project));
    }
    Ok(List {
        what: WHAT,
        columns: COLUMNS,
        table: "service_accounts",
        order: "created_at",
        scope: Part::default()
            .sql("organization_id = ")
            .text(allowed.organization())
            .sql(" AND project_id = ")
            .text(project),
        filter: Part::default(),
    })
}

impl Store {
    /// Makes a service account with a key; the account, the key's id, and its secret, which is kept
    /// nowhere.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project or role, [`StoreError::Invalid`] if the
    /// name cannot be or the project was archived, [`StoreError::Denied`] if the role may what who
    /// gives it may not, or [`StoreError::TooMany`].
    pub async fn create_service_account(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        new: &NewServiceAccount,
    ) -> Result<(ServiceAccount, String, KeySecret), StoreError> {
        let (organization, project) = (allowed.organization(), new.project.as_str());
        let account = ServiceAccount {
            id: new_id(Kind::ServiceAccount),
            project: new.project.clone(),
            name: check::name(&new.name)?,
            role: usual(&new.role).to_owned(),
            created_at: now(),
        };
        let ServiceAccount { id, name, role, created_at, .. } = &account;
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_active(&mut transaction, allowed, project).await?;
            let given = roles::get(&mut transaction, organization, role).await?;
            allowed.may_give_in(project, &given)?;
            let row = &mut transaction;
            let (num,): (i64,) = query!(row, fetch_one, COUNT, organization, project)?;
            if u64::try_from(num).unwrap_or(0) >= MAX_ACCOUNTS {
                let what = "project's service accounts";
                return Err(StoreError::TooMany { what, max: MAX_ACCOUNTS });
            }
            let row = &mut transaction;
            execute!(row, INSERT, organization, project, id, name, role, *created_at)?;
            let row = &mut transaction;
            let place = (organization, project);
            let (key, secret) = keys::create_of_service_account(row, place, (id, name)).await?;
            let data = json!({ "data": { "name": name, "role": role, "key": key } });
            let event = audit::event("service_account.created", id, Some(project), data);
            audit::commit(transaction, allowed, event).await?;
            Ok((key, secret))
        };
        let (key, secret) = self.in_time(work).await?;
        Ok((account, key, secret))
    }

    /// A page of a project's service accounts, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there,
    /// [`StoreError::NotFound`] if it is not allowed in the project.
    pub async fn service_accounts(
        &self,
        allowed: &Allowed<may::ReadKeys>,
        project: &str,
        query: &PageQuery,
    ) -> Result<Page<ServiceAccount>, StoreError> {
        let (list, size) = (list(allowed, project)?, |row: &Row| row.2.len());
        let page = self.page_of(allowed.organization(), &list, query, size).await?;
        Ok(page.map(ServiceAccount::of))
    }

    /// A service account of a project.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, or it is not allowed in the project.
    pub async fn service_account(
        &self,
        allowed: &Allowed<may::ReadKeys>,
        project: &str,
        id: &str,
    ) -> Result<ServiceAccount, StoreError> {
        let list = list(allowed, project)?;
        Ok(ServiceAccount::of(self.listed(allowed.organization(), &list, id).await?))
    }

    /// Removes a service account and revokes its keys.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, or it is not allowed in the project.
    pub async fn delete_service_account(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        project: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let (organization, list) = (allowed.organization(), list(allowed, project)?);
        let work = async {
            let mut transaction = self.write(organization).await?;
            list.one::<Row>(&mut transaction, id).await?;
            execute!(&mut transaction, REMOVE, organization, project, id)?;
            let owner = keys::of_service_account(id);
            let num = keys::revoke_of(&mut transaction, organization, &owner).await?;
            let detail = json!({ "num_keys_revoked": num });
            let event = audit::event("service_account.deleted", id, Some(project), detail);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}
