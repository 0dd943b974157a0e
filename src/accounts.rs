//! The accounts of a data directory or a database: opened, with what they begin with.
//!
//! Invariant: there is always the organization `default` with the project `default`, and keys of
//! versions that kept them in `keys.json` are among its keys.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use server_accounts::{
    Actor, Allowed, DEFAULT, Demand, KeyHash, KeySecret, LimitsData, Scopes, may,
};
use server_store::{ImportedKey, Limits, NewKey, PageQuery, Store, StoreError};

use crate::cli::{DatabaseArgs, OrgArgs};
use crate::keys;

const LOCK_NAME: &str = "keys.lock";
/// Who made what nobody asked for.
pub(crate) const OPERATOR: &str = "operator";

/// Opens the database for a command, whether a server uses it or not.
///
/// # Errors
/// If it cannot be opened, or what it begins with cannot be made.
pub(crate) async fn open(database: &DatabaseArgs, data_dir: &Path) -> Result<Store> {
    let database = database.database(data_dir)?;
    let store = Store::open(&database, Limits::default()).await;
    let store = store.with_context(|| format!("cannot open the database, {database}"))?;
    prepare(&store, data_dir).await?;
    Ok(store)
}

/// The same for a command on what an organization has: one that is not there has no empty lists,
/// but is an error, since its name is most likely mistyped.
///
/// # Errors
/// If there is no such organization, or the database cannot be opened.
pub(crate) async fn open_of(org: &OrgArgs, data_dir: &Path) -> Result<Store> {
    let store = open(&org.database, data_dir).await?;
    store.organization(&allowed(&org.org)?).await?;
    Ok(store)
}

/// Makes what every database has, and takes in the keys of older versions.
///
/// # Errors
/// If the database or the file of keys fails.
pub(crate) async fn prepare(store: &Store, data_dir: &Path) -> Result<()> {
    let _lock = lock(data_dir)?;
    begin(store, DEFAULT).await?;
    for key in keys::read(data_dir)? {
        begin(store, &key.tenant).await?;
        let hash = KeyHash::parse(&key.sha256);
        let imported = ImportedKey {
            project: DEFAULT.to_owned(),
            id: key.id,
            hash: hash.context("keys.json holds a hash that is none")?,
            aws_secret: key.aws_secret.map(|secret| secret.0),
            created_at: i64::try_from(key.created_unix).unwrap_or(0),
        };
        store.import_key(&allowed(&key.tenant)?, &imported).await?;
    }
    Ok(())
}

/// The first key, where there is none yet.
///
/// # Errors
/// If the database fails.
pub(crate) async fn first_key(
    store: &Store,
    data_dir: &Path,
) -> Result<Option<(String, KeySecret)>> {
    let _lock = lock(data_dir)?;
    let one = PageQuery { after: None, limit: 1, descending: false };
    let reading: Allowed<may::ReadKeys> = allowed(DEFAULT)?;
    if !store.keys(&reading, None, true, &one).await?.rows.is_empty() {
        return Ok(None);
    }
    let new = NewKey {
        project: DEFAULT.to_owned(),
        name: "first".to_owned(),
        owner: OPERATOR.to_owned(),
        scopes: Scopes::default(),
        limits: LimitsData::default(),
        expires_at: None,
    };
    let made = store.create_first_key(&allowed(DEFAULT)?, &new).await?;
    Ok(made.map(|(key, secret)| (key.id, secret)))
}

/// What the operator may, who has the data directory or the database.
///
/// # Errors
/// None: the operator may all.
pub(crate) fn allowed<P: Demand>(organization: &str) -> Result<Allowed<P>> {
    Ok(Actor::operator().allow_all(organization)?)
}

/// An organization and its first project, if they are not there.
async fn begin(store: &Store, organization: &str) -> Result<()> {
    // Most are there: commands that only read wait for no writer.
    if is_missing(&store.organization(&allowed(organization)?).await) {
        let made = store.create_organization(&allowed(organization)?, organization).await;
        unless_there(made)?;
    }
    if is_missing(&store.project(&allowed(organization)?, DEFAULT).await) {
        let made = store.create_project(&allowed(organization)?, Some(DEFAULT), "Default").await;
        unless_there(made)?;
    }
    Ok(())
}

fn is_missing<T>(found: &Result<T, StoreError>) -> bool {
    matches!(found, Err(StoreError::NotFound { .. }))
}

fn unless_there<T>(made: Result<T, StoreError>) -> Result<()> {
    match made {
        Ok(_) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nobody else prepares.
fn lock(data_dir: &Path) -> Result<fs::File> {
    let lock = data_dir.join(LOCK_NAME);
    fs::File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", lock.display()))
}
