//! Keys: those of projects, and those of the organization's administration.

use std::fmt;

use serde::{Deserialize, Serialize};
use server_accounts::{KeySecret, LimitsData, Scopes};
use server_store::Key;
use utoipa::ToSchema;

use super::given;
use super::limits::LimitsSchema;
use crate::list::Listed;

/// A key of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectApiKey {
    /// Always `organization.project.api_key`.
    object: &'static str,
    /// `key_…`
    id: String,
    /// What people call it.
    name: String,
    /// The first and last letters of its secret.
    redacted_value: String,
    /// Unix time in seconds.
    created_at: i64,
    /// When it was last used, about; null if it never was.
    last_used_at: Option<i64>,
    /// When it ends; null if it does not.
    expires_at: Option<i64>,
    /// Whose it is.
    owner: KeyOwner,
    /// Always `active`: the keys of who loses access are revoked.
    owner_project_access: &'static str,
}

/// Whose a key is: a user's, a service account's, or that of whoever runs the server.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct KeyOwner {
    /// `user`, `service_account` or `operator`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<KeyOwnerDetail>,
    /// Of a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_account: Option<KeyOwnerDetail>,
}

/// Who has a key. Of one that is no more, only the id is known.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct KeyOwnerDetail {
    /// `organization.project.user` or `organization.project.service_account`.
    pub(crate) object: &'static str,
    /// The id.
    pub(crate) id: String,
    /// The name.
    pub(crate) name: Option<String>,
    /// The address; of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    /// The role.
    pub(crate) role: Option<String>,
    /// Unix time in seconds.
    pub(crate) created_at: Option<i64>,
}

/// A key of a project with all that it may.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyObject {
    #[serde(flatten)]
    key: ProjectApiKey,
    /// Its project.
    project_id: String,
    /// Since when it is revoked; null while it is not.
    revoked_at: Option<i64>,
    /// What it may be used for.
    #[schema(value_type = ScopesSchema)]
    scopes: Scopes,
    /// What stands on it.
    #[schema(value_type = LimitsSchema)]
    limits: LimitsData,
    /// The key itself, where it was made; never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// What a key may be used for; an empty list allows all of that kind.
#[derive(ToSchema)]
#[schema(as = KeyScopes)]
#[allow(dead_code, reason = "only its schema is used; server/accounts reads and writes it")]
pub(crate) struct ScopesSchema {
    /// Paths like `/v1/embeddings`; `*` at the end stands for anything: `/v1/chat/*`.
    endpoints: Option<Vec<String>>,
    /// Models as requests name them; `*` at the end stands for anything: `llama:*`.
    models: Option<Vec<String>>,
    /// Where requests may come from: `10.0.0.0/8`, `2001:db8::/32`.
    networks: Option<Vec<String>>,
}

/// A key to make for a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyRequest {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: String,
    /// Whose it is to be; without it, the operator's.
    pub(crate) service_account_id: Option<String>,
    /// What it may be used for; all, without it.
    #[schema(value_type = Option<ScopesSchema>)]
    pub(crate) scopes: Option<Scopes>,
    /// What stands on it; nothing, without it.
    #[schema(value_type = Option<LimitsSchema>)]
    pub(crate) limits: Option<LimitsData>,
    /// When it ends, in Unix seconds; never, without it.
    pub(crate) expires_at: Option<i64>,
}

/// What is to be another of a key; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPatch {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: Option<String>,
    /// In place of all that it may be used for.
    #[schema(value_type = Option<ScopesSchema>)]
    pub(crate) scopes: Option<Scopes>,
    /// When it ends, in Unix seconds; null: never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(crate) expires_at: Option<Option<i64>>,
}

/// How to rotate a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateRequest {
    /// How long the secret until now works on; a day, without it, and 90 days at most.
    pub(crate) overlap_seconds: Option<u64>,
}

/// A key of the organization itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminApiKey {
    /// Always `organization.admin_api_key`.
    object: &'static str,
    /// `key_…`
    id: String,
    /// What people call it.
    name: String,
    /// The first and last letters of its secret.
    redacted_value: String,
    /// Unix time in seconds.
    created_at: i64,
    /// When it was last used, about; null if it never was.
    last_used_at: Option<i64>,
    /// When it ends; null if it does not.
    expires_at: Option<i64>,
    /// Whose it is, with the role that says what it may.
    owner: AdminKeyOwner,
    /// The key itself, where it was made; never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Whose an admin key is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKeyOwner {
    /// `user` or `operator`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Always `organization.user`.
    object: &'static str,
    /// The user's id; null of the operator.
    id: Option<String>,
    /// What the key may.
    role: String,
}

/// A key to make for the organization itself.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AdminApiKeyRequest {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: String,
    /// Until it ends; never, without it.
    pub(crate) expires_in_seconds: Option<i64>,
    /// What it may: a role that may no more than the key that asks, whose role it is without it.
    pub(crate) role: Option<String>,
}

impl ProjectApiKey {
    pub(crate) fn new(key: Key, owner: KeyOwner) -> Self {
        Self {
            object: "organization.project.api_key",
            id: key.id,
            name: key.name,
            redacted_value: key.redacted,
            created_at: key.created_at,
            last_used_at: key.used_at,
            expires_at: key.expires_at,
            owner,
            owner_project_access: "active",
        }
    }
}

impl KeyObject {
    pub(crate) fn new(key: Key, owner: KeyOwner, secret: Option<&KeySecret>) -> Self {
        let (project_id, revoked_at) = (key.project.clone(), key.revoked_at);
        let (scopes, limits) = (key.scopes.clone(), key.limits.clone());
        let value = secret.map(|secret| secret.expose().to_owned());
        let key = ProjectApiKey::new(key, owner);
        Self { key, project_id, revoked_at, scopes, limits, value }
    }
}

impl AdminApiKey {
    pub(crate) fn new(key: Key, secret: Option<&KeySecret>) -> Self {
        let user = key.owner.strip_prefix("user:").map(str::to_owned);
        let owner = AdminKeyOwner {
            kind: if user.is_some() { "user" } else { "operator" },
            object: "organization.user",
            id: user,
            role: key.role,
        };
        Self {
            object: "organization.admin_api_key",
            id: key.id,
            name: key.name,
            redacted_value: key.redacted,
            created_at: key.created_at,
            last_used_at: key.used_at,
            expires_at: key.expires_at,
            owner,
            value: secret.map(|secret| secret.expose().to_owned()),
        }
    }
}

impl fmt::Debug for KeyObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyObject({}, …)", self.key.id)
    }
}

impl fmt::Debug for AdminApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminApiKey({}, …)", self.id)
    }
}

impl Listed for ProjectApiKey {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for KeyObject {
    fn id(&self) -> &str {
        &self.key.id
    }
}

impl Listed for AdminApiKey {
    fn id(&self) -> &str {
        &self.id
    }
}
