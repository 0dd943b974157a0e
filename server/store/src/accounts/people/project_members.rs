//! What members may in a project, beyond what their roles in the organization allow.
//!
//! Invariant: only a member of the organization is one of a project; whoever may no models there
//! any more has no key there.

use serde_json::json;
use server_accounts::{Allowed, may};

use super::users::{self, User};
use super::{members, roles};
use crate::accounts::check::not_found;
use crate::accounts::list::{List, Part};
use crate::accounts::projects::check_active;
use crate::accounts::{audit, keys};
use crate::database::now;
use crate::sql::{Transaction, execute};
use crate::{Page, PageQuery, Store, StoreError};

const WHAT: &str = "project member";

const INSERT: &str = "INSERT INTO project_memberships
    (organization_id, project_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING";
const SET_ROLE: &str = "UPDATE project_memberships SET role = $4
    WHERE organization_id = $1 AND project_id = $2 AND user_id = $3";
const REMOVE: &str = "DELETE FROM project_memberships
    WHERE organization_id = $1 AND project_id = $2 AND user_id = $3";

/// A user in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectMember {
    /// Who.
    pub user: User,
    /// The name of the role there; OpenAI's `owner` is `admin` here, its `member` `developer`.
    pub role: String,
    /// Since when, in Unix seconds.
    pub created_at: i64,
}

impl ProjectMember {
    fn of(row: members::Row) -> Self {
        let (user, role, created_at) = members::read(row);
        Self { user, role, created_at }
    }
}

/// Those of a project that this is allowed in.
fn list<P>(allowed: &Allowed<P>, project: &str) -> Result<List, StoreError> {
    if !allowed.covers(project) {
        return Err(not_found("project", project));
    }
    Ok(List {
        what: WHAT,
        columns: members::COLUMNS,
        table: members::with_users!("project_memberships"),
        order: "created_at",
        scope: Part::default()
            .sql("organization_id = ")
            .text(allowed.organization())
            .sql(" AND project_id = ")
            .text(project),
        filter: Part::default(),
    })
}

/// The role that a project's role is: OpenAI's names are those of usual roles, any other is itself.
/// An organization's owner is none of a project, which has no billing.
pub(super) fn usual(role: &str) -> &str {
    match role {
        "owner" => "admin",
        "member" => "developer",
        other => other,
    }
}

impl Store {
    /// Gives a member of the organization a role in a project: `owner`, `member`, a usual one or
    /// one of the organization's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, member of the organization or role,
    /// [`StoreError::Exists`], or [`StoreError::Denied`] if the role may what who gives it may not.
    pub async fn add_project_member(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        project: &str,
        user: &str,
        role: &str,
    ) -> Result<ProjectMember, StoreError> {
        let (organization, role) = (allowed.organization(), usual(role));
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_active(&mut transaction, allowed, project).await?;
            members::get(&mut transaction, organization, user).await?;
            let given = roles::get(&mut transaction, organization, role).await?;
            allowed.may_give_in(project, &given)?;
            if !insert(&mut transaction, (organization, project), (user, role)).await? {
                return Err(StoreError::Exists { what: WHAT, id: user.to_owned() });
            }
            let data = json!({ "data": { "role": role } });
            let event = audit::event("user.added", user, Some(project), data);
            audit::append(&mut transaction, allowed, event).await?;
            let member = get(&mut transaction, allowed, (project, user)).await?;
            transaction.commit().await?;
            Ok(member)
        };
        self.in_time(work).await
    }

    /// A page of a project's members, in the order they came in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the user that the page comes after is none of them,
    /// [`StoreError::NotFound`] if it is not allowed there.
    pub async fn project_members(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        project: &str,
        query: &PageQuery,
    ) -> Result<Page<ProjectMember>, StoreError> {
        let list = list(allowed, project)?;
        let page = self.page_of(allowed.organization(), &list, query, members::size).await?;
        Ok(page.map(ProjectMember::of))
    }

    /// A member of a project.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user is none, or it is not allowed there.
    pub async fn project_member(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        project: &str,
        user: &str,
    ) -> Result<ProjectMember, StoreError> {
        let list = list(allowed, project)?;
        Ok(ProjectMember::of(self.listed(allowed.organization(), &list, user).await?))
    }

    /// Gives a member of a project another role there; keys of the member that may more are
    /// revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such member or role, [`StoreError::Denied`] if
    /// one of the two roles may what who gives it may not.
    pub async fn set_project_member_role(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        project: &str,
        user: &str,
        role: &str,
    ) -> Result<ProjectMember, StoreError> {
        let (organization, role) = (allowed.organization(), usual(role));
        let work = async {
            let mut transaction = self.write(organization).await?;
            let before = may_change(&mut transaction, allowed, (project, user)).await?;
            let given = roles::get(&mut transaction, organization, role).await?;
            allowed.may_give_in(project, &given)?;
            execute!(&mut transaction, SET_ROLE, organization, project, user, role)?;
            let num = keys::revoke_exceeding(&mut transaction, organization, user).await?;
            let changes = json!({ "changes_requested": { "role": role },
                "before": before.role, "num_keys_revoked": num });
            let event = audit::event("user.updated", user, Some(project), changes);
            audit::append(&mut transaction, allowed, event).await?;
            let member = get(&mut transaction, allowed, (project, user)).await?;
            transaction.commit().await?;
            Ok(member)
        };
        self.in_time(work).await
    }

    /// Takes a member's role in a project away; what it may in the organization stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such member, [`StoreError::Denied`] if the
    /// member may what who removes it may not.
    pub async fn remove_project_member(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        project: &str,
        user: &str,
    ) -> Result<(), StoreError> {
        let organization = allowed.organization();
        let work = async {
            let mut transaction = self.write(organization).await?;
            let before = may_change(&mut transaction, allowed, (project, user)).await?;
            execute!(&mut transaction, REMOVE, organization, project, user)?;
            let num = keys::revoke_exceeding(&mut transaction, organization, user).await?;
            let detail = json!({ "role": before.role, "num_keys_revoked": num });
            let event = audit::event("user.deleted", user, Some(project), detail);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}

/// Gives a user a role in a project; false if it has one.
pub(super) async fn insert(
    transaction: &mut Transaction,
    (organization, project): (&str, &str),
    (user, role): (&str, &str),
) -> Result<bool, StoreError> {
    Ok(execute!(transaction, INSERT, organization, project, user, role, now())? == 1)
}

async fn get<P>(
    transaction: &mut Transaction,
    allowed: &Allowed<P>,
    (project, user): (&str, &str),
) -> Result<ProjectMember, StoreError> {
    Ok(ProjectMember::of(list(allowed, project)?.one(transaction, user).await?))
}

/// A member of a project whose role whoever asks may take away.
async fn may_change(
    transaction: &mut Transaction,
    allowed: &Allowed<may::WriteMembers>,
    (project, user): (&str, &str),
) -> Result<ProjectMember, StoreError> {
    let member = get(transaction, allowed, (project, user)).await?;
    let role = roles::role_of(transaction, allowed.organization(), &member.role).await?;
    allowed.may_give_in(project, &role)?;
    Ok(member)
}
