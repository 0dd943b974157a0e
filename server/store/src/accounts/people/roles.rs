//! Roles of an organization's own, beside the usual ones.
//!
//! Invariant: a role that somebody has, or is invited to have, stays what it is.

use serde_json::json;
use server_accounts::{Allowed, Role, may};

use super::invitations::read_projects;
use super::project_members::usual;
use crate::accounts::audit;
use crate::accounts::check::{not_found, whole};
use crate::accounts::organizations::check_in_force;
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "role";
/// Of one organization.
const MAX_ROLES: u64 = 100;

const INSERT: &str = "INSERT INTO roles (organization_id, name, permissions) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT COUNT(*) FROM roles WHERE organization_id = $1";
const LIST: &str = "SELECT name, permissions FROM roles WHERE organization_id = $1 ORDER BY name";
const FIND: &str = "SELECT permissions FROM roles WHERE organization_id = $1 AND name = $2";
const REMOVE: &str = "DELETE FROM roles WHERE organization_id = $1 AND name = $2";
/// Who has it.
const USES: &str = "SELECT CAST(
    (SELECT COUNT(*) FROM memberships WHERE organization_id = $1 AND role = $2)
    + (SELECT COUNT(*) FROM project_memberships WHERE organization_id = $1 AND role = $2)
    + (SELECT COUNT(*) FROM service_accounts WHERE organization_id = $1 AND role = $2)
    + (SELECT COUNT(*) FROM keys
        WHERE organization_id = $1 AND role = $2 AND revoked_at IS NULL) AS BIGINT)";
const INVITED: &str = "SELECT role, projects FROM invitations
    WHERE organization_id = $1 AND accepted_at IS NULL AND expires_at > $2";

impl Store {
    /// Adds a role.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Invalid`] if its name or a permission cannot be,
    /// [`StoreError::Denied`] if it may what who makes it may not, or [`StoreError::TooMany`].
    pub async fn create_role(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        role: &Role,
    ) -> Result<(), StoreError> {
        let organization = whole(allowed)?;
        let permissions = role.permissions.iter().map(|permission| permission.name());
        let role = Role::custom(&role.name, permissions);
        let role = role.map_err(|error| StoreError::invalid(WHAT, error))?;
        allowed.may_give(&role)?;
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            let (num,): (i64,) = query!(&mut transaction, fetch_one, COUNT, organization)?;
            if u64::try_from(num).unwrap_or(0) >= MAX_ROLES {
                let what = "organization's own roles";
                return Err(StoreError::TooMany { what, max: MAX_ROLES });
            }
            let permissions = role.permission_names();
            if execute!(&mut transaction, INSERT, organization, role.name, permissions)? == 0 {
                return Err(StoreError::Exists { what: WHAT, id: role.name.clone() });
            }
            let names: Vec<&str> = role.permissions.iter().map(|it| it.name()).collect();
            let data = json!({ "data": { "permissions": names } });
            audit::commit(
                transaction,
                allowed,
                audit::event("role.created", &role.name, None, data),
            )
            .await
        };
        self.in_time(work).await
    }

    /// All roles: the usual ones, the mightiest first, and then the organization's own by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not allowed in the whole organization.
    pub async fn roles(
        &self,
        allowed: &Allowed<may::ReadMembers>,
    ) -> Result<Vec<Role>, StoreError> {
        let organization = whole(allowed)?;
        let work = async {
            let mut transaction = self.read(organization).await?;
            Ok(query!(&mut transaction, fetch_all, LIST, organization)?)
        };
        let own: Vec<(String, String)> = self.in_time(work).await?;
        let own = own.iter().map(|(name, permissions)| Role::from_names(name, permissions));
        Ok(Role::usual().into_iter().chain(own).collect())
    }

    /// A role.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn role(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        name: &str,
    ) -> Result<Role, StoreError> {
        let organization = allowed.organization();
        let work = async {
            let mut transaction = self.read(organization).await?;
            get(&mut transaction, organization, name).await
        };
        self.in_time(work).await
    }

    /// Removes a role of the organization's own that nobody has.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::InUse`], or [`StoreError::Denied`] if it may what
    /// who removes it may not.
    pub async fn delete_role(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        name: &str,
    ) -> Result<(), StoreError> {
        let organization = whole(allowed)?;
        if Role::find_usual(name).is_some() {
            return Err(StoreError::invalid(WHAT, "the usual roles stay"));
        }
        let work = async {
            let mut transaction = self.write(organization).await?;
            let role = get(&mut transaction, organization, name).await?;
            allowed.may_give(&role)?;
            if is_used(&mut transaction, organization, name).await? {
                return Err(StoreError::InUse { what: WHAT, id: name.to_owned() });
            }
            execute!(&mut transaction, REMOVE, organization, name)?;
            let event = audit::event("role.deleted", name, None, json!({}));
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}

async fn is_used(
    transaction: &mut Transaction,
    organization: &str,
    name: &str,
) -> Result<bool, StoreError> {
    let (num,): (i64,) = query!(transaction, fetch_one, USES, organization, name)?;
    if num > 0 {
        return Ok(true);
    }
    let invited: Vec<(String, String)> =
        query!(transaction, fetch_all, INVITED, organization, now())?;
    Ok(invited.iter().any(|(role, projects)| {
        role == name || read_projects(projects).any(|it| usual(&it.role) == name)
    }))
}

/// A role of an organization, usual or its own, if there is one.
pub(super) async fn find(
    transaction: &mut Transaction,
    organization: &str,
    name: &str,
) -> Result<Option<Role>, StoreError> {
    if let Some(role) = Role::find_usual(name) {
        return Ok(Some(role));
    }
    let row: Option<(String,)> = query!(transaction, fetch_optional, FIND, organization, name)?;
    Ok(row.map(|(permissions,)| Role::from_names(name, &permissions)))
}

/// The same, where there has to be one.
pub(super) async fn get(
    transaction: &mut Transaction,
    organization: &str,
    name: &str,
) -> Result<Role, StoreError> {
    find(transaction, organization, name).await?.ok_or_else(|| not_found(WHAT, name))
}

/// The same, where one that is not there any more may nothing.
pub(in crate::accounts) async fn role_of(
    transaction: &mut Transaction,
    organization: &str,
    name: &str,
) -> Result<Role, StoreError> {
    let role = find(transaction, organization, name).await?;
    Ok(role.unwrap_or_else(|| Role::from_names(name, "")))
}
