//! Invitations to an organization.
//!
//! Invariant: an invitation makes one member, once, of the user whose address it was sent to. No
//! address is told to the audit log, which is kept when its user is deleted.

use serde_json::{Value, json};
use server_accounts::{Allowed, Kind, may, new_id};

use super::{members, project_members, roles};
use crate::accounts::audit;
use crate::accounts::check::{not_found, whole};
use crate::accounts::list::{List, Part};
use crate::accounts::organizations::check_in_force;
use crate::accounts::projects::check_active;
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Page, PageQuery, Store, StoreError};

/// What it is called in errors.
pub(super) const WHAT: &str = "invitation";
/// That one organization keeps, those that were accepted included.
const MAX_INVITATIONS: u64 = 10_000;
/// That one invitation is to.
const MAX_PROJECTS: usize = 100;

const COLUMNS: &str = "id, email, role, projects, invited_by, created_at, expires_at, accepted_at";
const INSERT: &str = "INSERT INTO invitations (organization_id, id, email, role, projects, hash,
    invited_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const COUNT: &str = "SELECT COUNT(*) FROM invitations WHERE organization_id = $1";
const FORGET_OVER: &str = "DELETE FROM invitations
    WHERE organization_id = $1 AND email = $2 AND accepted_at IS NULL AND expires_at <= $3";
const IS_INVITED: &str = "SELECT id FROM invitations
    WHERE organization_id = $1 AND email = $2 AND accepted_at IS NULL";
const IS_MEMBER: &str = "SELECT u.id FROM memberships AS m JOIN users AS u ON u.id = m.user_id
    WHERE m.organization_id = $1 AND u.email = $2";
const REMOVE: &str = "DELETE FROM invitations
    WHERE organization_id = $1 AND id = $2 AND accepted_at IS NULL";

/// A role in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRole {
    /// The project's id.
    pub id: String,
    /// The role's name: `owner`, `member`, a usual one or one of the organization's.
    pub role: String,
}

/// Somebody is to be invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvitation {
    /// In lower case, and checked to be an address.
    pub email: String,
    /// The role in the organization.
    pub role: String,
    /// Roles in projects, beside that.
    pub projects: Vec<ProjectRole>,
    /// The hash of the secret that is sent.
    pub hash: String,
    /// When it is over, in Unix seconds.
    pub expires_at: i64,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// `invite-…`.
    pub id: String,
    /// To whom.
    pub email: String,
    /// The role in the organization.
    pub role: String,
    /// Roles in projects.
    pub projects: Vec<ProjectRole>,
    /// By whom, as the audit log names them.
    pub invited_by: String,
    /// Unix time in seconds, as the others are.
    pub created_at: i64,
    /// When it is over.
    pub expires_at: i64,
    /// When it was accepted, if it was.
    pub accepted_at: Option<i64>,
}

/// As rows have it.
pub(super) type Row = (String, String, String, String, String, i64, i64, Option<i64>);

fn list(organization: &str) -> List {
    List {
        what: WHAT,
        columns: COLUMNS,
        table: "invitations",
        order: "created_at",
        scope: Part::default().sql("organization_id = ").text(organization),
        filter: Part::default(),
    }
}

fn size(row: &Row) -> usize {
    row.1.len() + row.3.len()
}

impl Invitation {
    pub(super) fn of(row: Row) -> Self {
        let (id, email, role, projects, invited_by, created_at, expires_at, accepted_at) = row;
        let projects = read_projects(&projects).collect();
        Self { id, email, role, projects, invited_by, created_at, expires_at, accepted_at }
    }
}

impl Store {
    /// Invites somebody.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if they are a member or invited already, [`StoreError::NotFound`] if
    /// there is no such role or project, [`StoreError::Denied`] if a role may what who gives it may
    /// not, or [`StoreError::TooMany`].
    pub async fn invite(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        new: &NewInvitation,
    ) -> Result<Invitation, StoreError> {
        let organization = whole(allowed)?;
        if new.projects.len() > MAX_PROJECTS {
            let what = "invitation's projects";
            return Err(StoreError::TooMany { what, max: MAX_PROJECTS as u64 });
        }
        let id = new_id(Kind::Invitation);
        let projects = write_projects(&new.projects);
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            check_new(&mut transaction, allowed, new).await?;
            execute!(
                &mut transaction,
                INSERT,
                organization,
                id,
                new.email,
                new.role,
                projects.to_string(),
                new.hash,
                allowed.actor(),
                now(),
                new.expires_at
            )?;
            let data = json!({ "data": { "role": new.role, "projects": projects } });
            let event = audit::event("invite.sent", &id, None, data);
            audit::append(&mut transaction, allowed, event).await?;
            let invited = list(organization).one(&mut transaction, &id).await?;
            transaction.commit().await?;
            Ok(Invitation::of(invited))
        };
        self.in_time(work).await
    }

    /// A page of invitations, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the invitation that the page comes after is not there.
    pub async fn invitations(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        query: &PageQuery,
    ) -> Result<Page<Invitation>, StoreError> {
        let organization = whole(allowed)?;
        let page = self.page_of(organization, &list(organization), query, size).await?;
        Ok(page.map(Invitation::of))
    }

    /// An invitation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn invitation(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        id: &str,
    ) -> Result<Invitation, StoreError> {
        let organization = whole(allowed)?;
        Ok(Invitation::of(self.listed(organization, &list(organization), id).await?))
    }

    /// Takes an invitation back that was not accepted yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_invitation(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        id: &str,
    ) -> Result<(), StoreError> {
        let organization = whole(allowed)?;
        let work = async {
            let mut transaction = self.write(organization).await?;
            if execute!(&mut transaction, REMOVE, organization, id)? == 0 {
                return Err(not_found(WHAT, id));
            }
            let event = audit::event("invite.deleted", id, None, json!({}));
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}

/// Whether somebody may be invited so.
async fn check_new(
    transaction: &mut Transaction,
    allowed: &Allowed<may::WriteMembers>,
    new: &NewInvitation,
) -> Result<(), StoreError> {
    let organization = allowed.organization();
    allowed.may_give(&roles::get(transaction, organization, &new.role).await?)?;
    for project in &new.projects {
        check_active(transaction, allowed, &project.id).await?;
        let role = project_members::usual(&project.role);
        let role = roles::get(transaction, organization, role).await?;
        allowed.may_give_in(&project.id, &role)?;
    }
    execute!(transaction, FORGET_OVER, organization, new.email, now())?;
    for (sql, what) in [(IS_MEMBER, members::WHAT), (IS_INVITED, WHAT)] {
        let found: Option<(String,)> =
            query!(transaction, fetch_optional, sql, organization, new.email)?;
        if found.is_some() {
            return Err(StoreError::Exists { what, id: new.email.clone() });
        }
    }
    let (num,): (i64,) = query!(transaction, fetch_one, COUNT, organization)?;
    if u64::try_from(num).unwrap_or(0) >= MAX_INVITATIONS {
        let what = "organization's invitations";
        return Err(StoreError::TooMany { what, max: MAX_INVITATIONS });
    }
    Ok(())
}

/// What is kept of roles in projects.
pub(super) fn write_projects(projects: &[ProjectRole]) -> Value {
    let project = |it: &ProjectRole| json!({ "id": it.id, "role": it.role });
    projects.iter().map(project).collect()
}

/// Reads what [`write_projects`] wrote.
pub(super) fn read_projects(json: &str) -> impl Iterator<Item = ProjectRole> {
    let list: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    list.into_iter().filter_map(|it| {
        let text = |name: &str| Some(it.get(name)?.as_str()?.to_owned());
        Some(ProjectRole { id: text("id")?, role: text("role")? })
    })
}
