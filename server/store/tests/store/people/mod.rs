//! People: how they log in, and what they are in organizations.

mod address;
mod factors;
mod founding;
mod invitations;
mod logins;
mod members;
mod privacy;
mod project_members;
mod roles;
mod service_accounts;
mod sessions;
mod users;

use server_accounts::{Actor, Allowed, Demand, may as permission};
use server_store::{NewKey, NewUser, Store, StoreError, User};

use crate::accounts::may;

/// Signs somebody up, at `NAME@example.org`.
pub(crate) async fn sign_up(store: &Store, name: &str) -> User {
    let new = NewUser {
        email: format!("{name}@example.org"),
        name: name.to_owned(),
        password: Some("$argon2id$stub".to_owned()),
        email_verified: false,
    };
    store.create_user(&new).await.unwrap()
}

/// Signs somebody up who is a member of an organization.
pub(crate) async fn join(store: &Store, organization: &str, name: &str, role: &str) -> User {
    let user = sign_up(store, name).await;
    let allowed = may::<permission::WriteMembers>(organization);
    store.add_member(&allowed, &user.id, role).await.unwrap();
    user
}

/// What a member is.
pub(crate) async fn actor(store: &Store, user: &User, organization: &str) -> Actor {
    store.actor_of(&user.id, organization).await.unwrap().unwrap()
}

/// What a member may.
pub(crate) async fn leave_of<P: Demand>(store: &Store, user: &User, org: &str) -> Allowed<P> {
    actor(store, user, org).await.allow(org).unwrap()
}

/// A key of a project, of a user; its id.
pub(crate) async fn key_of(
    store: &Store,
    user: &User,
    organization: &str,
    project: &str,
) -> String {
    let new = NewKey {
        project: project.to_owned(),
        name: "key".to_owned(),
        owner: format!("user:{}", user.id),
        ..NewKey::default()
    };
    store.create_key(&may(organization), &new).await.unwrap().0.id
}

/// Whether a project's key was revoked, and servers are told so.
pub(crate) async fn is_revoked(store: &Store, organization: &str, key: &str) -> bool {
    let found = store.key(&may(organization), key).await.unwrap();
    let changes = store.changes(1).await.unwrap();
    let told = changes.keys.iter().find(|change| change.id == key).unwrap();
    assert_eq!(told.is_revoked, found.revoked_at.is_some());
    found.revoked_at.is_some()
}

pub(crate) fn exists<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Exists { .. }))
}

pub(crate) fn is_denied<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Denied(_)))
}

pub(crate) fn is_last_owner<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LastOwner(_)))
}
