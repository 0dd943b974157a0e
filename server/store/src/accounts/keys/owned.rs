//! Keys that come and end with what their owner is.

use std::collections::BTreeMap;

use server_accounts::{KeySecret, Kind, LimitsData, Permission, Role, Scopes, new_id};

use super::create::{KeyRow, SecretRow};
use super::{ADMIN, PROJECT, WHAT};
use crate::accounts::check;
use crate::accounts::people::{held, role_of};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{StoreError, revisions};

const ANY: &str = "SELECT created_at FROM keys WHERE organization_id = $1 LIMIT 1";
const OF_OWNER: &str = "SELECT id, project_id, kind, role FROM keys
    WHERE organization_id = $1 AND owner = $2 AND revoked_at IS NULL";
const REVOKE: &str = "UPDATE keys SET revoked_at = $3, revision = $4
    WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL";
const FORGET: &str = "UPDATE key_secrets SET aws_secret = NULL
    WHERE organization_id = $1 AND key_id = $2 AND aws_secret IS NOT NULL";

/// The id of a key, its project, its kind and its role.
type Row = (String, String, String, String);

/// What keys of a user name as their owner.
pub(in crate::accounts) fn of_user(user: &str) -> String {
    format!("user:{user}")
}

/// What keys of a service account name as their owner.
pub(in crate::accounts) fn of_service_account(id: &str) -> String {
    format!("service_account:{id}")
}

/// Makes the key of a service account of a project; its id and secret.
pub(in crate::accounts) async fn create_of_service_account(
    transaction: &mut Transaction,
    (organization, project): (&str, &str),
    (account, name): (&str, &str),
) -> Result<(String, KeySecret), StoreError> {
    let secret = KeySecret::generate();
    let row = KeyRow {
        project: project.to_owned(),
        id: new_id(Kind::Key),
        name: name.to_owned(),
        kind: PROJECT,
        owner: of_service_account(account),
        role: String::new(),
        scopes: check::scopes(&Scopes::default())?,
        limits: LimitsData::default().to_json(),
        created_at: now(),
        expires_at: None,
    };
    let revision = revisions::next(transaction).await?;
    let secret_row = SecretRow::of(&secret, PROJECT);
    if !row.insert(transaction, organization, revision).await?
        || !secret_row.insert(transaction, organization, &row.id).await?
    {
        return Err(StoreError::Exists { what: WHAT, id: row.id });
    }
    Ok((row.id, secret))
}

/// Revokes all keys of an owner; how many those were.
pub(in crate::accounts) async fn revoke_of(
    transaction: &mut Transaction,
    organization: &str,
    owner: &str,
) -> Result<usize, StoreError> {
    let keys: Vec<Row> = query!(&mut *transaction, fetch_all, OF_OWNER, organization, owner)?;
    let ids = keys.into_iter().map(|(id, ..)| id).collect();
    revoke(transaction, organization, ids).await
}

/// Revokes the keys of a member that may more than the member may now; how many those were. A
/// project's key is for models, so its owner has to be allowed those there; a key of the
/// organization may what its role may.
pub(in crate::accounts) async fn revoke_exceeding(
    transaction: &mut Transaction,
    organization: &str,
    user: &str,
) -> Result<usize, StoreError> {
    let Some((role, grants)) = held(transaction, organization, user).await? else {
        return revoke_of(transaction, organization, &of_user(user)).await;
    };
    let owner = of_user(user);
    let keys: Vec<Row> = query!(&mut *transaction, fetch_all, OF_OWNER, organization, owner)?;
    let mut known: BTreeMap<String, Role> = BTreeMap::new();
    let mut exceeding = Vec::new();
    for (id, project, kind, name) in keys {
        let is_within = if kind == ADMIN {
            if !known.contains_key(&name) {
                known.insert(name.clone(), role_of(transaction, organization, &name).await?);
            }
            known[&name].permissions.is_subset(&role.permissions)
        } else {
            let models = Permission::UseModels;
            role.permissions.contains(&models)
                || grants.get(&project).is_some_and(|may| may.contains(&models))
        };
        if !is_within {
            exceeding.push(id);
        }
    }
    revoke(transaction, organization, exceeding).await
}

async fn revoke(
    transaction: &mut Transaction,
    organization: &str,
    ids: Vec<String>,
) -> Result<usize, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let revision = revisions::next(transaction).await?;
    for id in &ids {
        execute!(&mut *transaction, REVOKE, organization, id, now(), revision)?;
        execute!(&mut *transaction, FORGET, organization, id)?;
    }
    Ok(ids.len())
}

/// Whether an organization has a key, or had one.
pub(super) async fn has_keys(
    transaction: &mut Transaction,
    organization: &str,
) -> Result<bool, StoreError> {
    let any: Option<(i64,)> = query!(transaction, fetch_optional, ANY, organization)?;
    Ok(any.is_some())
}
