//! An organization for somebody who signed up.
//!
//! Invariant: it is there with its project and its owner, or not at all; who belongs to one gets no
//! other one so.

use serde_json::json;
use server_accounts::{Allowed, DEFAULT, may};

use super::{everywhere, members, users};
use crate::accounts::audit::{self, Who};
use crate::accounts::{check, organizations, projects};
use crate::database::turn_to;
use crate::{Store, StoreError};

/// What its project is called.
const PROJECT: &str = "Default project";

impl Store {
    /// Makes an organization with the project `default`, whose owner a user is, in one transaction;
    /// its id is the one that this is allowed for. False, and nothing is made, if the user belongs
    /// to an organization that goes on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, [`StoreError::Exists`] if the id is
    /// taken, [`StoreError::Invalid`] if the id or name cannot be.
    pub async fn found_organization(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        user: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        let id = allowed.organization();
        check::id(id)?;
        let name = check::name(name)?;
        let who = Who { organization: id, actor: allowed.actor(), address: allowed.address() };
        let work = async {
            let mut transaction = self.write_person_everywhere(user).await?;
            users::find(&mut transaction, user).await?;
            if everywhere::belongs(&mut transaction, user).await? {
                return Ok(false);
            }
            turn_to(&mut transaction, id).await?;
            organizations::insert(&mut transaction, who, &name).await?;
            projects::insert(&mut transaction, who, (DEFAULT, PROJECT)).await?;
            members::insert(&mut transaction, id, (user, members::OWNER)).await?;
            let data = json!({ "data": { "role": members::OWNER } });
            let event = audit::event("user.added", user, None, data);
            audit::append_of(&mut transaction, who, event).await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.in_time(work).await
    }
}
