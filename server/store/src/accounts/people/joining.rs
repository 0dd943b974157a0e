//! Accepting an invitation.

use serde_json::json;

use super::invitations::{Invitation, Row, WHAT, write_projects};
use super::members::{self, Member};
use super::{project_members, roles, users};
use crate::accounts::audit::{self, Who};
use crate::accounts::check::not_found;
use crate::accounts::organizations::check_in_force;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

const WHERE_TO: &str = "SELECT organization_id FROM invitations WHERE hash = $1";
const TO_WHOM: &str = "SELECT email FROM invitations
    WHERE hash = $1 AND accepted_at IS NULL AND expires_at > $2";
const FIND: &str = "SELECT id, email, role, projects, invited_by, created_at, expires_at,
    accepted_at FROM invitations WHERE organization_id = $1 AND hash = $2";
const ACCEPT: &str = "UPDATE invitations SET accepted_at = $3
    WHERE organization_id = $1 AND id = $2 AND accepted_at IS NULL";
const PROJECT: &str = "SELECT id FROM projects
    WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL";

impl Store {
    /// Whose address an invitation was sent to that may be accepted at `now` (Unix seconds), by the
    /// hash of its secret.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn invited_by_hash(
        &self,
        hash: &str,
        now: i64,
    ) -> Result<Option<String>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let row: Option<(String,)> =
                query!(&mut transaction, fetch_optional, TO_WHOM, hash, now)?;
            Ok(row.map(|(email,)| email))
        };
        self.in_time(work).await
    }

    /// Makes a user a member by the secret that was sent to the user's address, of which this is
    /// the hash; projects that are no more are left out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such invitation to that user, it was accepted, or it
    /// is over at `now` (Unix seconds); [`StoreError::Exists`] if the user is a member already,
    /// [`StoreError::Invalid`] if the organization was archived.
    pub async fn accept_invitation(
        &self,
        hash: &str,
        user: &str,
        now: i64,
    ) -> Result<Member, StoreError> {
        // Which it was is told to nobody else, and its secret not back.
        let none = || not_found(WHAT, "of this link");
        let work = async {
            let mut transaction = self.read_every().await?;
            let found: Option<(String,)> =
                query!(&mut transaction, fetch_optional, WHERE_TO, hash)?;
            drop(transaction);
            let (organization,) = found.ok_or_else(none)?;
            let mut transaction = self.write_membership(user, &organization).await?;
            let found: Option<Row> =
                query!(&mut transaction, fetch_optional, FIND, organization, hash)?;
            let invitation = found.map(Invitation::of).ok_or_else(none)?;
            let user = users::find(&mut transaction, user).await?;
            let is_open = invitation.accepted_at.is_none() && invitation.expires_at > now;
            if !is_open || invitation.email != user.email || user.disabled_at.is_some() {
                return Err(none());
            }
            check_in_force(&mut transaction, &organization).await?;
            execute!(&mut transaction, ACCEPT, organization, invitation.id, now)?;
            let member = join(&mut transaction, &organization, (&user.id, &invitation)).await?;
            transaction.commit().await?;
            Ok(member)
        };
        self.in_time(work).await
    }
}

/// Makes a user what an invitation says, and tells so.
async fn join(
    transaction: &mut Transaction,
    organization: &str,
    (user, invitation): (&str, &Invitation),
) -> Result<Member, StoreError> {
    roles::get(transaction, organization, &invitation.role).await?;
    members::insert(transaction, organization, (user, &invitation.role)).await?;
    for project in &invitation.projects {
        let found: Option<(String,)> =
            query!(&mut *transaction, fetch_optional, PROJECT, organization, project.id)?;
        if found.is_some() {
            let (place, role) =
                ((organization, &*project.id), project_members::usual(&project.role));
            project_members::insert(transaction, place, (user, role)).await?;
        }
    }
    let actor = format!("user:{user}");
    let who = Who { organization, actor: &actor, address: None };
    let data = json!({ "data": { "user": user } });
    let event = audit::event("invite.accepted", &invitation.id, None, data);
    audit::append_of(transaction, who, event).await?;
    let projects = write_projects(&invitation.projects);
    let data = json!({ "data": { "role": invitation.role, "projects": projects } });
    audit::append_of(transaction, who, audit::event("user.added", user, None, data)).await?;
    members::get(transaction, organization, user).await
}
