//! People: users, how they log in, and what they are in organizations.
//!
//! Invariant: whoever makes a user a member of an organization has had the user's turn before the
//! organization's, so what is done to a user everywhere is done in every organization.

mod address;
mod everywhere;
mod factors;
mod failures;
mod founding;
mod grants;
mod identities;
mod invitations;
mod joining;
mod members;
mod privacy;
mod project_members;
mod roles;
mod service_accounts;
mod sessions;
mod sweep;
mod tokens;
mod users;

pub use failures::LoginFailures;
pub use grants::OrganizationOf;
pub use identities::Identity;
pub use invitations::{Invitation, NewInvitation, ProjectRole};
pub use members::Member;
pub use project_members::ProjectMember;
pub use service_accounts::{NewServiceAccount, ServiceAccount};
pub use sessions::{NewSession, Session};
pub use users::{Login, NewUser, User};

pub(super) use self::grants::held;
pub(super) use self::roles::role_of;
use crate::database::turn_to;
use crate::sql::Transaction;
use crate::{Store, StoreError};

impl Store {
    /// A transaction that writes what is of a person and of no organization, when the person's
    /// other writers are done.
    async fn write_person(&self, who: &str) -> Result<Transaction, StoreError> {
        self.write(&person(who)).await
    }

    /// A transaction that makes a user something in an organization.
    async fn write_membership(
        &self,
        user: &str,
        organization: &str,
    ) -> Result<Transaction, StoreError> {
        let mut transaction = self.write_person(user).await?;
        turn_to(&mut transaction, organization).await?;
        Ok(transaction)
    }

    /// A transaction that writes what a user is in any organization; it has to take the turn of
    /// each.
    async fn write_person_everywhere(&self, user: &str) -> Result<Transaction, StoreError> {
        self.write_beside_every(&person(user)).await
    }
}

/// Whose turn it is. Ids of organizations have no control characters: none is called so.
fn person(who: &str) -> String {
    format!("\u{1}{who}")
}
