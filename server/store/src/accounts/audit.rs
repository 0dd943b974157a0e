//! The audit log.
//!
//! Invariant: rows are only added, each to the end of its organization's chain, by one writer at a
//! time: the organization's writers take turns.

mod read;

use serde_json::{Map, Value, json};
use server_accounts::{Allowed, AuditEvent, AuditRecord, Kind, new_id};

pub use self::read::{AuditError, AuditFilter};
use crate::StoreError;
use crate::database::millis;
use crate::sql::{Bound, Transaction, execute, query};

const LAST: &str = "SELECT position, hash FROM audit_heads WHERE organization_id = $1";
const MOVE: &str = "INSERT INTO audit_heads (organization_id, position, hash)
    VALUES ($1, $2, $3) ON CONFLICT (organization_id) DO UPDATE SET
    position = excluded.position, hash = excluded.hash";
const INSERT: &str = "INSERT INTO audit_log (organization_id, position, id, at, actor, address,
    action, target, project_id, detail, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// Adds what was done to the log of an organization, in the transaction that does it, which was
/// begun to write for that organization.
pub(crate) async fn append<P>(
    transaction: &mut Transaction,
    allowed: &Allowed<P>,
    event: AuditEvent,
) -> Result<(), StoreError> {
    let who = Who {
        organization: allowed.organization(),
        actor: allowed.actor(),
        address: allowed.address(),
    };
    append_of(transaction, who, event).await
}

/// Who did it, where no permission of that organization was needed: a user who accepts, or leaves.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    /// Whose log.
    pub(crate) organization: &'a str,
    /// As [`Allowed::actor`] says.
    pub(crate) actor: &'a str,
    /// From where, if that is known.
    pub(crate) address: Option<&'a str>,
}

/// As [`append`].
pub(crate) async fn append_of(
    transaction: &mut Transaction,
    who: Who<'_>,
    event: AuditEvent,
) -> Result<(), StoreError> {
    let organization = who.organization;
    let last: Option<(i64, String)> = query!(transaction, fetch_optional, LAST, organization)?;
    let (last, previous) = last.unwrap_or_default();
    let record = AuditRecord {
        organization: organization.to_owned(),
        position: last + 1,
        id: new_id(Kind::AuditRecord),
        at: millis(),
        // As the database gives it back: the hash is of that.
        actor: who.actor.bound().into_owned(),
        address: who.address.map(|address| address.bound().into_owned()),
        action: event.action.to_owned(),
        target: event.target.bound().into_owned(),
        project: event.project.map(|project| project.bound().into_owned()),
        detail: event.detail.bound().into_owned(),
        hash: String::new(),
    };
    let record = record.sealed(&previous);
    execute!(
        transaction,
        INSERT,
        organization,
        record.position,
        record.id,
        record.at,
        record.actor,
        record.address,
        record.action,
        record.target,
        record.project,
        record.detail,
        record.hash
    )?;
    execute!(transaction, MOVE, organization, record.position, record.hash)?;
    Ok(())
}

/// The same, which ends the change.
pub(crate) async fn commit<P>(
    mut transaction: Transaction,
    allowed: &Allowed<P>,
    event: AuditEvent,
) -> Result<(), StoreError> {
    append(&mut transaction, allowed, event).await?;
    transaction.commit().await
}

/// An event with its detail.
pub(crate) fn event(
    action: &'static str,
    target: &str,
    project: Option<&str>,
    detail: Value,
) -> AuditEvent {
    let (target, project) = (target.to_owned(), project.map(str::to_owned));
    AuditEvent { action, target, project, detail: detail.to_string() }
}

/// The detail of a change: what of it was asked for.
pub(crate) fn requested<const N: usize>(changes: [(&str, Option<Value>); N]) -> Value {
    let asked = changes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let asked: Map<String, Value> = asked.collect();
    json!({ "changes_requested": asked })
}
