//! Who has keys, with what may be told of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use server_accounts::may;
use server_http::ApiError;
use server_store::{Key, StoreError};

use crate::Admin;
use crate::roles::told_of_project;
use crate::who::Asker;
use crate::wire::key::{KeyOwner, KeyOwnerDetail};

const USER: &str = "organization.project.user";
const SERVICE_ACCOUNT: &str = "organization.project.service_account";

/// What is known of the owners of some keys.
#[derive(Debug)]
pub(crate) struct Owners(HashMap<(String, String), KeyOwner>);

impl Owners {
    /// Asks for each of them once: no more than a page has keys.
    pub(crate) async fn find(
        admin: &Admin,
        asker: &Asker,
        keys: impl IntoIterator<Item = &Key>,
    ) -> Result<Self, ApiError> {
        let mut owners = HashMap::new();
        for key in keys {
            let place = (key.project.clone(), key.owner.clone());
            if let Entry::Vacant(free) = owners.entry(place) {
                free.insert(find(admin, asker, key).await?);
            }
        }
        Ok(Self(owners))
    }

    /// Whose a key is; the operator's, where that was not asked for.
    pub(crate) fn of(&self, key: &Key) -> KeyOwner {
        let place = (key.project.clone(), key.owner.clone());
        self.0.get(&place).cloned().unwrap_or(OPERATOR)
    }
}

const OPERATOR: KeyOwner = KeyOwner { kind: "operator", user: None, service_account: None };

async fn find(admin: &Admin, asker: &Asker, key: &Key) -> Result<KeyOwner, ApiError> {
    if let Some(id) = key.owner.strip_prefix("user:") {
        let user = Some(user(admin, asker, (&key.project, id)).await?);
        return Ok(KeyOwner { kind: "user", user, service_account: None });
    }
    let Some(id) = key.owner.strip_prefix("service_account:") else { return Ok(OPERATOR) };
    let allowed = asker.may_in::<may::ReadKeys>(&key.project)?;
    let found = known(admin.store.service_account(&allowed, &key.project, id).await)?;
    let detail = found.map_or_else(
        || unknown(SERVICE_ACCOUNT, id),
        |account| KeyOwnerDetail {
            object: SERVICE_ACCOUNT,
            id: account.id,
            name: Some(account.name),
            email: None,
            role: Some(told_of_project(&account.role)),
            created_at: Some(account.created_at),
        },
    );
    Ok(KeyOwner { kind: "service_account", user: None, service_account: Some(detail) })
}

/// A user, as much as whoever asks may see of members.
async fn user(
    admin: &Admin,
    asker: &Asker,
    (project, id): (&str, &str),
) -> Result<KeyOwnerDetail, ApiError> {
    let Ok(allowed) = asker.may_in::<may::ReadMembers>(project) else {
        return Ok(unknown(USER, id));
    };
    let in_project = known(admin.store.project_member(&allowed, project, id).await)?;
    let (user, role) = match in_project {
        Some(member) => (member.user, member.role),
        None => match known(admin.store.member(&allowed, id).await)? {
            Some(member) => (member.user, member.role),
            None => return Ok(unknown(USER, id)),
        },
    };
    Ok(KeyOwnerDetail {
        object: USER,
        id: user.id,
        name: Some(user.name),
        email: Some(user.email),
        role: Some(told_of_project(&role)),
        created_at: Some(user.created_at),
    })
}

fn unknown(object: &'static str, id: &str) -> KeyOwnerDetail {
    let id = id.to_owned();
    KeyOwnerDetail { object, id, name: None, email: None, role: None, created_at: None }
}

/// What was found, or nothing where it is no more or may not be seen.
fn known<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. } | StoreError::Denied(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
