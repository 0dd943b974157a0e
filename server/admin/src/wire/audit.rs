//! The audit log.

use serde::Serialize;
use serde_json::{Map, Value, json};
use server_accounts::AuditRecord;
use utoipa::ToSchema;

use crate::list::Listed;

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    /// `audit_log-…`
    id: String,
    /// What was done: `project.created`, `api_key.deleted`, …
    #[serde(rename = "type")]
    kind: String,
    /// Unix time in seconds.
    effective_at: i64,
    /// In which project, if in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<AuditProject>,
    /// Who did it.
    actor: AuditActor,
    /// Under the name that `type` has: to what, and what changed.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    detail: Map<String, Value>,
}

/// A project of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditProject {
    /// Its id.
    id: String,
}

/// Who did something: a user, a key, or whoever runs the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditActor {
    /// `session`, `api_key` or `operator`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<AuditSession>,
    /// Of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<AuditKey>,
}

/// A user who was logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditSession {
    /// Who.
    user: AuditUser,
    /// From where, if that was known.
    ip_address: Option<String>,
}

/// A user of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditUser {
    /// The user's id.
    id: String,
}

/// A key that was used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditKey {
    /// Its id.
    id: String,
    /// From where, if that was known.
    ip_address: Option<String>,
}

/// What an audit log comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditVerification {
    /// Always `organization.audit_verification`.
    pub(crate) object: &'static str,
    /// Whether the chain of hashes holds.
    pub(crate) valid: bool,
    /// How many records it has; null where it does not hold.
    pub(crate) num_records: Option<u64>,
    /// Where it breaks, if it does.
    pub(crate) error: Option<String>,
}

impl AuditActor {
    fn of(actor: &str, address: Option<String>) -> Self {
        let (mut session, mut api_key) = (None, None);
        let kind = if let Some(id) = actor.strip_prefix("user:") {
            let user = AuditUser { id: id.to_owned() };
            session = Some(AuditSession { user, ip_address: address });
            "session"
        } else if let Some(id) = actor.strip_prefix("key:") {
            api_key = Some(AuditKey { id: id.to_owned(), ip_address: address });
            "api_key"
        } else {
            "operator"
        };
        Self { kind, session, api_key }
    }
}

impl From<AuditRecord> for AuditLog {
    fn from(it: AuditRecord) -> Self {
        // What the store writes is an object; whatever else it may be is told as it is.
        let detail = serde_json::from_str(&it.detail).unwrap_or(Value::String(it.detail));
        let mut told = Map::from_iter([("id".to_owned(), json!(it.target))]);
        match detail {
            Value::Object(fields) => told.extend(fields),
            other => _ = told.insert("detail".to_owned(), other),
        }
        Self {
            id: it.id,
            effective_at: it.at.div_euclid(1000),
            project: it.project.map(|id| AuditProject { id }),
            actor: AuditActor::of(&it.actor, it.address),
            detail: Map::from_iter([(it.action.clone(), Value::Object(told))]),
            kind: it.action,
        }
    }
}

impl Listed for AuditLog {
    fn id(&self) -> &str {
        &self.id
    }
}
