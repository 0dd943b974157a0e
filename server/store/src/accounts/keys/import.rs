//! Keys of earlier versions: taken in, and given what AWS's signatures are made with.

use std::fmt;

use serde_json::json;
use server_accounts::{
    Actor, Allowed, KeyHash, KeySecret, LimitsData, Permission, Role, Scopes, may,
};

use super::PROJECT;
use super::create::{KeyRow, SecretRow};
use crate::accounts::{audit, check, projects};
use crate::database::now;
use crate::sql::{execute, query};
use crate::{Store, StoreError, revisions};

const FIND: &str = "SELECT s.organization_id, s.key_id, k.project_id, s.aws_secret IS NOT NULL
    FROM key_secrets AS s
    JOIN keys AS k ON k.organization_id = s.organization_id AND k.id = s.key_id
    WHERE s.hash = $1 AND k.kind = 'project' AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > $2)
    AND (s.expires_at IS NULL OR s.expires_at > $2)";
const GIVE: &str = "UPDATE key_secrets SET aws_secret = $3
    WHERE organization_id = $1 AND hash = $2 AND aws_secret IS NULL
    AND EXISTS (SELECT 1 FROM keys AS k WHERE k.organization_id = $1
        AND k.id = key_secrets.key_id AND k.revoked_at IS NULL)";
const BUMP: &str = "UPDATE keys SET revision = $3 WHERE organization_id = $1 AND id = $2";

/// A key whose secret is known by its hash only.
#[derive(Clone)]
pub struct ImportedKey {
    /// Its project.
    pub project: String,
    /// Its id, which is its name, too.
    pub id: String,
    /// The hash of its secret.
    pub hash: KeyHash,
    /// What AWS's signatures are made with, if it has that.
    pub aws_secret: Option<String>,
    /// Unix time in seconds.
    pub created_at: i64,
}

impl fmt::Debug for ImportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportedKey({})", self.id)
    }
}

impl Store {
    /// Takes in a key that was made elsewhere; false where its id or its secret is there already,
    /// revoked or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such project, [`StoreError::Invalid`] if the id
    /// cannot be or the project was archived.
    pub async fn import_key(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        key: &ImportedKey,
    ) -> Result<bool, StoreError> {
        check::id(&key.id)?;
        let row = KeyRow {
            project: key.project.clone(),
            id: key.id.clone(),
            name: key.id.clone(),
            kind: PROJECT,
            owner: "operator".to_owned(),
            role: String::new(),
            scopes: check::scopes(&Scopes::default())?,
            limits: LimitsData::default().to_json(),
            created_at: key.created_at,
            expires_at: None,
        };
        let secret = SecretRow {
            hash: key.hash,
            redacted: "…".to_owned(),
            aws_secret: key.aws_secret.clone(),
            created_at: key.created_at,
        };
        let detail = json!({ "data": { "name": key.id, "imported": true } });
        let event = audit::event("api_key.created", &key.id, Some(&key.project), detail);
        let work = async {
            let organization = allowed.organization();
            let mut transaction = self.write(organization).await?;
            projects::check_active(&mut transaction, allowed, &key.project).await?;
            let revision = revisions::next(&mut transaction).await?;
            // What is not committed is not done.
            if !row.insert(&mut transaction, organization, revision).await?
                || !secret.insert(&mut transaction, organization, &key.id).await?
            {
                return Ok(false);
            }
            audit::commit(transaction, allowed, event).await?;
            Ok(true)
        };
        self.in_time(work).await
    }

    /// The id of the key that this is a secret of, if it is in force; it is given what AWS's
    /// signatures are made with, if it is of a version that did not know of them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn give_aws_secret(&self, secret: &KeySecret) -> Result<Option<String>, StoreError> {
        let hash = secret.hash().to_text();
        let find = async {
            let mut transaction = self.read_every().await?;
            Ok(query!(&mut transaction, fetch_optional, FIND, hash, now())?)
        };
        let found: Option<(String, String, String, bool)> = self.in_time(find).await?;
        let Some((organization, id, project, has_it)) = found else { return Ok(None) };
        if has_it {
            return Ok(Some(id));
        }
        // Whoever has the secret is the key.
        let role = Role { name: String::new(), permissions: [Permission::UseModels].into() };
        let allowed = Actor::key(&id, &organization, role).allow::<may::UseModels>(&organization);
        let allowed = allowed.map_err(|error| StoreError::invalid("key", error))?;
        let work = async {
            let mut transaction = self.write(&organization).await?;
            let aws_secret = secret.aws_secret();
            let row = &mut transaction;
            if execute!(row, GIVE, organization, hash, aws_secret)? == 0 {
                return Ok(());
            }
            let revision = revisions::next(&mut transaction).await?;
            execute!(&mut transaction, BUMP, organization, id, revision)?;
            let changes = json!({ "changes_requested": { "aws_secret": "given" } });
            let event = audit::event("api_key.updated", &id, Some(&project), changes);
            audit::commit(transaction, &allowed, event).await
        };
        self.in_time(work).await?;
        Ok(Some(id))
    }
}
