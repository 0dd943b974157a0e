//! Users, invitations, service accounts and roles.

use std::fmt;

use serde::{Deserialize, Serialize};
use server_accounts::{KeySecret, Role};
use server_store::{Invitation, Member, ProjectMember};
use utoipa::ToSchema;

use crate::list::Listed;
use crate::roles::{told_of_organization, told_of_project};

/// A member of the organization, or of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountUser {
    /// `organization.user` or `organization.project.user`.
    object: &'static str,
    /// `user-…`
    id: String,
    /// What others see.
    name: String,
    /// The address.
    email: String,
    /// `owner`, `reader`, or a role of another name; in a project `owner`, `member`, …
    role: String,
    /// Since when, Unix time in seconds.
    added_at: i64,
}

/// A role to give.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RoleChange {
    /// The role's name.
    pub(crate) role: String,
}

/// Who is to belong to a project.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProjectUserRequest {
    /// A member of the organization.
    pub(crate) user_id: String,
    /// What it may in the project, beside what it may in the organization.
    pub(crate) role: String,
}

/// Somebody who is invited.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invite {
    /// Always `organization.invite`.
    object: &'static str,
    /// `invite-…`
    id: String,
    /// To whom.
    email: String,
    /// The role in the organization.
    role: String,
    /// `pending`, `accepted` or `expired`.
    status: &'static str,
    /// Unix time in seconds.
    created_at: i64,
    /// The same.
    invited_at: i64,
    /// When it is over.
    expires_at: i64,
    /// When it was accepted; null if it was not.
    accepted_at: Option<i64>,
    /// Roles in projects, beside that.
    projects: Vec<InviteProject>,
}

/// A role in a project.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct InviteProject {
    /// The project.
    pub(crate) id: String,
    /// The role's name: `member`, `owner`, …
    pub(crate) role: String,
}

/// Whom to invite.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InviteRequest {
    /// The address.
    pub(crate) email: String,
    /// The role in the organization: `owner`, `reader`, or another.
    pub(crate) role: String,
    /// Roles in projects, beside that.
    pub(crate) projects: Option<Vec<InviteProject>>,
}

/// A program that has keys of a project.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAccount {
    /// Always `organization.project.service_account`.
    object: &'static str,
    /// `svc_acct_…`
    id: String,
    /// What people call it.
    name: String,
    /// `owner`, `member`, or a role of another name.
    role: String,
    /// Unix time in seconds.
    created_at: i64,
    /// Its first key, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<ServiceAccountKey>,
}

/// The first key of a service account.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAccountKey {
    /// Always `organization.project.service_account.api_key`.
    object: &'static str,
    /// `key_…`
    id: String,
    /// What people call it.
    name: String,
    /// Unix time in seconds.
    created_at: i64,
    /// The key itself; never again.
    value: String,
}

/// A service account to make.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ServiceAccountRequest {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: String,
}

/// A name for a set of permissions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleObject {
    /// Always `role`.
    object: &'static str,
    /// Its name, which is its id.
    id: String,
    /// The same.
    name: String,
    /// Whether it is one of the usual ones, which stay as they are.
    predefined_role: bool,
    /// What it may: `projects.read`, `keys.write`, …
    permissions: Vec<&'static str>,
}

/// A role to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleRequest {
    /// 1 to 64 letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// What it may.
    pub(crate) permissions: Vec<String>,
}

impl From<Member> for AccountUser {
    fn from(it: Member) -> Self {
        Self {
            object: "organization.user",
            id: it.user.id,
            name: it.user.name,
            email: it.user.email,
            role: told_of_organization(&it.role),
            added_at: it.created_at,
        }
    }
}

impl From<ProjectMember> for AccountUser {
    fn from(it: ProjectMember) -> Self {
        Self {
            object: "organization.project.user",
            id: it.user.id,
            name: it.user.name,
            email: it.user.email,
            role: told_of_project(&it.role),
            added_at: it.created_at,
        }
    }
}

impl Invite {
    /// As it is at a Unix time in seconds.
    pub(crate) fn new(it: Invitation, now: i64) -> Self {
        let status = match it.accepted_at {
            Some(_) => "accepted",
            None if it.expires_at <= now => "expired",
            None => "pending",
        };
        let project = |role: server_store::ProjectRole| InviteProject {
            role: told_of_project(&role.role),
            id: role.id,
        };
        Self {
            object: "organization.invite",
            id: it.id,
            email: it.email,
            role: told_of_organization(&it.role),
            status,
            created_at: it.created_at,
            invited_at: it.created_at,
            expires_at: it.expires_at,
            accepted_at: it.accepted_at,
            projects: it.projects.into_iter().map(project).collect(),
        }
    }
}

impl ServiceAccount {
    pub(crate) fn new(it: server_store::ServiceAccount, key: Option<(String, KeySecret)>) -> Self {
        let api_key = key.map(|(id, secret)| ServiceAccountKey {
            object: "organization.project.service_account.api_key",
            id,
            name: it.name.clone(),
            created_at: it.created_at,
            value: secret.expose().to_owned(),
        });
        Self {
            object: "organization.project.service_account",
            id: it.id,
            name: it.name,
            role: told_of_project(&it.role),
            created_at: it.created_at,
            api_key,
        }
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({}, …)", self.id)
    }
}

impl From<Role> for RoleObject {
    fn from(it: Role) -> Self {
        Self {
            object: "role",
            id: it.name.clone(),
            predefined_role: Role::find_usual(&it.name).is_some(),
            name: it.name,
            permissions: it.permissions.iter().map(|permission| permission.name()).collect(),
        }
    }
}

impl Listed for AccountUser {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Invite {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for ServiceAccount {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for RoleObject {
    fn id(&self) -> &str {
        &self.id
    }
}
