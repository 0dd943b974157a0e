//! New keys.

use serde_json::json;
use server_accounts::{Allowed, KeyHash, KeySecret, Kind, LimitsData, Role, Scopes, may, new_id};

use super::{ADMIN, Key, PROJECT, of_admins, of_projects, read};
use crate::accounts::check::{self, whole};
use crate::accounts::organizations::check_in_force;
use crate::accounts::{audit, projects};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError, revisions};

const INSERT: &str = "INSERT INTO keys (organization_id, project_id, id, name, kind, owner, role,
    scopes, limits, created_at, expires_at, revision)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING";
const INSERT_SECRET: &str = "INSERT INTO key_secrets
    (hash, organization_id, key_id, redacted, aws_secret, created_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const ROLE: &str = "SELECT name FROM roles WHERE organization_id = $1 AND name = $2";

/// The year 10000, in Unix seconds.
const END_OF_TIME: i64 = 253_402_300_800;

/// A key that a project is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// Its project.
    pub project: String,
    /// 1 to 256 bytes without control characters.
    pub name: String,
    /// Who it is of: `user:ID`, `service_account:ID` or `operator`.
    pub owner: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// What stands on it.
    pub limits: LimitsData,
    /// When it ends, in Unix seconds; never, if `None`.
    pub expires_at: Option<i64>,
}

/// A key that an organization's administration is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAdminKey {
    /// 1 to 256 bytes without control characters.
    pub name: String,
    /// Who it is of: `user:ID` or `operator`.
    pub owner: String,
    /// A usual role, or one of the organization's own.
    pub role: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it ends, in Unix seconds; never, if `None`.
    pub expires_at: Option<i64>,
}

/// A row of a key.
pub(super) struct KeyRow {
    pub(super) project: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) owner: String,
    pub(super) role: String,
    pub(super) scopes: String,
    pub(super) limits: String,
    pub(super) created_at: i64,
    pub(super) expires_at: Option<i64>,
}

impl KeyRow {
    /// Adds it; false if its id is taken.
    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        organization: &str,
        revision: i64,
    ) -> Result<bool, StoreError> {
        let num = execute!(
            transaction,
            INSERT,
            organization,
            self.project,
            self.id,
            self.name,
            self.kind,
            self.owner,
            self.role,
            self.scopes,
            self.limits,
            self.created_at,
            self.expires_at,
            revision
        )?;
        Ok(num > 0)
    }
}

/// A row of a secret.
pub(super) struct SecretRow {
    pub(super) hash: KeyHash,
    pub(super) redacted: String,
    pub(super) aws_secret: Option<String>,
    pub(super) created_at: i64,
}

impl SecretRow {
    /// That of a new secret, which AWS's signatures may be made with if it is a project's.
    pub(super) fn of(secret: &KeySecret, kind: &str) -> Self {
        let aws_secret = (kind == PROJECT).then(|| secret.aws_secret());
        let (hash, redacted) = (secret.hash(), secret.redacted());
        Self { hash, redacted, aws_secret, created_at: now() }
    }

    /// Adds it; false if it is there already, whosever it is.
    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        organization: &str,
        key: &str,
    ) -> Result<bool, StoreError> {
        let Self { hash, redacted, aws_secret, created_at } = self;
        let (row, hash) = (transaction, hash.to_text());
        let num = execute!(
            row,
            INSERT_SECRET,
            hash,
            organization,
            key,
            redacted,
            aws_secret,
            created_at
        )?;
        Ok(num > 0)
    }
}

fn check_owner(owner: &str) -> Result<String, StoreError> {
    let is_known = ["user:", "service_account:"].iter().any(|prefix| {
        owner.strip_prefix(prefix).is_some_and(|id| !id.is_empty() && check::id(id).is_ok())
    });
    if is_known || owner == "operator" {
        return Ok(owner.to_owned());
    }
    Err(StoreError::invalid("owner", "it is user:ID, service_account:ID or operator"))
}

pub(super) fn check_end(expires_at: Option<i64>) -> Result<(), StoreError> {
    if expires_at.is_some_and(|end| end > END_OF_TIME) {
        return Err(StoreError::invalid("expires_at", "it is after the year 9999"));
    }
    if expires_at.is_some_and(|end| end <= now()) {
        return Err(StoreError::invalid("end", "it is not in the future"));
    }
    Ok(())
}

async fn check_role(
    transaction: &mut Transaction,
    organization: &str,
    role: &str,
) -> Result<(), StoreError> {
    if Role::find_usual(role).is_some() {
        return Ok(());
    }
    let own: Option<(String,)> = query!(transaction, fetch_optional, ROLE, organization, role)?;
    own.map(drop).ok_or_else(|| {
        let role: String = role.chars().take(64).collect();
        StoreError::invalid("role", format!("the organization has no role '{role}'"))
    })
}

/// Adds a key with its first secret.
async fn insert(
    transaction: &mut Transaction,
    organization: &str,
    key: &KeyRow,
    secret: &KeySecret,
) -> Result<(), StoreError> {
    let revision = revisions::next(transaction).await?;
    let is_new = key.insert(transaction, organization, revision).await?
        && SecretRow::of(secret, key.kind).insert(transaction, organization, &key.id).await?;
    if is_new { Ok(()) } else { Err(StoreError::Exists { what: super::WHAT, id: key.id.clone() }) }
}

impl Store {
    /// Makes a key of a project; its secret is kept nowhere, and cannot be had again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, [`StoreError::Invalid`] if the key
    /// cannot be like that or the project was archived.
    pub async fn create_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        new: &NewKey,
    ) -> Result<(Key, KeySecret), StoreError> {
        let made = self.make_key(allowed, new, false).await?;
        made.ok_or_else(|| StoreError::invalid(super::WHAT, "it was not made"))
    }

    /// The same, unless the organization has a key or had one: once, however many ask at once.
    ///
    /// # Errors
    /// As [`Store::create_key`].
    pub async fn create_first_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        new: &NewKey,
    ) -> Result<Option<(Key, KeySecret)>, StoreError> {
        self.make_key(allowed, new, true).await
    }

    async fn make_key(
        &self,
        allowed: &Allowed<may::WriteKeys>,
        new: &NewKey,
        is_first: bool,
    ) -> Result<Option<(Key, KeySecret)>, StoreError> {
        check_end(new.expires_at)?;
        let (project, secret) = (&new.project, KeySecret::generate());
        let row = KeyRow {
            project: project.clone(),
            id: new_id(Kind::Key),
            name: check::name(&new.name)?,
            kind: PROJECT,
            owner: check_owner(&new.owner)?,
            role: String::new(),
            scopes: check::scopes(&new.scopes)?,
            limits: check::limits(&new.limits)?,
            created_at: now(),
            expires_at: new.expires_at,
        };
        let data = json!({ "data": {
            "name": row.name,
            "owner": row.owner,
            "scopes": new.scopes,
            "limits": new.limits,
            "expires_at": row.expires_at,
        }});
        let event = audit::event("api_key.created", &row.id, Some(project), data);
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            if is_first && super::owned::has_keys(&mut transaction, organization).await? {
                return Ok(None);
            }
            projects::check_active(&mut transaction, allowed, project).await?;
            insert(&mut transaction, organization, &row, &secret).await?;
            let made = read(of_projects(allowed).one(&mut transaction, &row.id).await?)?;
            audit::commit(transaction, allowed, event).await?;
            Ok(Some(made))
        };
        Ok(self.in_time(work).await?.map(|made| (made, secret)))
    }

    /// Makes a key of the organization itself; its secret cannot be had again. Whether whoever
    /// makes it may all that its role may is the caller's to check.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if the
    /// key cannot be like that, there is no such role or the organization was archived.
    pub async fn create_admin_key(
        &self,
        allowed: &Allowed<may::WriteAdminKeys>,
        new: &NewAdminKey,
    ) -> Result<(Key, KeySecret), StoreError> {
        check_end(new.expires_at)?;
        let (organization, secret) = (whole(allowed)?, KeySecret::generate_admin());
        let row = KeyRow {
            project: String::new(),
            id: new_id(Kind::Key),
            name: check::name(&new.name)?,
            kind: ADMIN,
            owner: check_owner(&new.owner)?,
            role: new.role.clone(),
            scopes: check::scopes(&new.scopes)?,
            limits: LimitsData::default().to_json(),
            created_at: now(),
            expires_at: new.expires_at,
        };
        let data = json!({ "data": {
            "name": row.name,
            "owner": row.owner,
            "role": row.role,
            "scopes": new.scopes,
            "expires_at": row.expires_at,
        }});
        let event = audit::event("api_key.created", &row.id, None, data);
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            check_role(&mut transaction, organization, &row.role).await?;
            insert(&mut transaction, organization, &row, &secret).await?;
            let made = read(of_admins(allowed)?.one(&mut transaction, &row.id).await?)?;
            audit::commit(transaction, allowed, event).await?;
            Ok(made)
        };
        Ok((self.in_time(work).await?, secret))
    }
}
