//! What a user may, by its memberships.

use std::collections::BTreeMap;

use server_accounts::{Actor, ProjectGrant, Role};

use super::roles::role_of;
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

const ROLE: &str = "SELECT m.role FROM memberships AS m
    JOIN users AS u ON u.id = m.user_id JOIN organizations AS o ON o.id = m.organization_id
    WHERE m.organization_id = $1 AND m.user_id = $2
    AND u.disabled_at IS NULL AND o.archived_at IS NULL";
const GRANTS: &str = "SELECT m.project_id, m.role FROM project_memberships AS m
    JOIN projects AS p ON p.organization_id = m.organization_id AND p.id = m.project_id
    WHERE m.organization_id = $1 AND m.user_id = $2 AND p.archived_at IS NULL";
const ORGANIZATIONS: &str = "SELECT o.id, o.name, m.role, o.requires_two_factors
    FROM memberships AS m JOIN organizations AS o ON o.id = m.organization_id
    WHERE m.user_id = $1 AND o.archived_at IS NULL ORDER BY o.name, o.id";

/// An organization that a user belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationOf {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of the user's role there.
    pub role: String,
    /// Whether its members have to log in with two factors.
    pub requires_two_factors: bool,
}

impl Store {
    /// The organizations that a user belongs to, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn organizations_of(&self, user: &str) -> Result<Vec<OrganizationOf>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            Ok(query!(&mut transaction, fetch_all, ORGANIZATIONS, user)?)
        };
        let rows: Vec<(String, String, String, i64)> = self.in_time(work).await?;
        let organization = |(id, name, role, two_factors)| {
            let requires_two_factors = two_factors != 0;
            OrganizationOf { id, name, role, requires_two_factors }
        };
        Ok(rows.into_iter().map(organization).collect())
    }

    /// What a user may in an organization, and in its projects; none if the user is no member or
    /// disabled, or there is no such organization any more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn actor_of(
        &self,
        user: &str,
        organization: &str,
    ) -> Result<Option<Actor>, StoreError> {
        let work = async {
            let mut transaction = self.read(organization).await?;
            held(&mut transaction, organization, user).await
        };
        let held = self.in_time(work).await?;
        Ok(held.map(|(role, grants)| Actor::user(user, organization, role, grants)))
    }
}

/// What a user may as a member, and beyond that in projects; none of who is disabled or no member,
/// or where the organization is no more.
pub(in crate::accounts) async fn held(
    transaction: &mut Transaction,
    organization: &str,
    user: &str,
) -> Result<Option<(Role, ProjectGrant)>, StoreError> {
    let row: Option<(String,)> =
        query!(&mut *transaction, fetch_optional, ROLE, organization, user)?;
    let Some((name,)) = row else { return Ok(None) };
    let role = role_of(transaction, organization, &name).await?;
    let rows: Vec<(String, String)> =
        query!(&mut *transaction, fetch_all, GRANTS, organization, user)?;
    let (mut grants, mut known) = (ProjectGrant::new(), BTreeMap::<String, Role>::new());
    for (project, name) in rows {
        if !known.contains_key(&name) {
            known.insert(name.clone(), role_of(transaction, organization, &name).await?);
        }
        grants.insert(project, known[&name].permissions.clone());
    }
    Ok(Some((role, grants)))
}
