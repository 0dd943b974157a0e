//! Which organizations were deleted: what journals have of them comes into the ledger no more.
//!
//! Invariant: once an organization is marked and [`Store::await_appends`] has returned, no line of
//! it is added that began before the deletion was through. Whoever adds lines has a lock that all
//! who do share, from before it reads the marks until it is over; the deletion waits once for that
//! lock alone. So an appender began before, and what it added is there to be deleted, or after, and
//! sees the mark. SQLite has one writer at a time, which is the same.

use std::borrow::Cow;
use std::collections::HashMap;

use server_metering::Entry;

use super::numbered::priced_at;
use crate::database::millis;
use crate::sql::{Bound, Transaction, execute, query};
use crate::{Store, StoreError};

/// For what is being deleted: all of it, whenever it was.
pub(crate) const UNTIL_THROUGH: i64 = i64::MAX;
/// No journal that is read yet is older, as long as servers are off for less.
const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1000;

const MARK: &str = "INSERT INTO deleted_organizations (organization_id, deleted_at) VALUES ($1, $2)
    ON CONFLICT (organization_id) DO UPDATE SET deleted_at = excluded.deleted_at";
/// None of them, but where a batch has what is older than a deletion.
const SINCE: &str = "SELECT organization_id, deleted_at FROM deleted_organizations
    WHERE deleted_at >= $1";
const FORGET: &str = "DELETE FROM deleted_organizations WHERE organization_id IN
    (SELECT organization_id FROM deleted_organizations WHERE deleted_at < $1 LIMIT $2)";

impl Store {
    /// Waits until whatever is being added to the ledger is there, or is given up.
    pub(crate) async fn await_appends(&self) -> Result<(), StoreError> {
        self.in_time(async { self.write_ledger_alone().await?.commit().await }).await
    }
}

/// Says that an organization was deleted at a Unix time in milliseconds.
pub(crate) async fn mark(
    transaction: &mut Transaction,
    organization: &str,
    deleted_at: i64,
) -> Result<(), StoreError> {
    execute!(transaction, MARK, organization, deleted_at)?;
    Ok(())
}

/// Forgets deletions of so long ago that no journal has what was before; how many.
pub(crate) async fn sweep(transaction: &mut Transaction, batch: i64) -> Result<usize, StoreError> {
    let num = execute!(transaction, FORGET, millis() - KEPT_MS, batch)?;
    Ok(usize::try_from(num).unwrap_or(usize::MAX))
}

/// Leaves out lines of organizations that were deleted since the lines began. Another organization
/// may have the id by now: what began later is of that one. The transaction is one of
/// [`Store::write_ledger`].
pub(super) async fn without_deleted<'a>(
    transaction: &mut Transaction,
    entries: Cow<'a, [Entry]>,
) -> Result<Cow<'a, [Entry]>, StoreError> {
    // Not by its end: what began before the deletion is of the one that was deleted.
    let begun = |entry: &Entry| i64::try_from(priced_at(entry).0).unwrap_or(i64::MAX);
    let Some(oldest) = entries.iter().map(begun).min() else { return Ok(entries) };
    let deleted: Vec<(String, i64)> = query!(transaction, fetch_all, SINCE, oldest)?;
    if deleted.is_empty() {
        return Ok(entries);
    }
    let deleted: HashMap<_, _> = deleted.into_iter().collect();
    let num_all = entries.len();
    let mut left = entries.into_owned();
    left.retain(|entry| {
        let id = entry.opened.path.organization.as_str().bound();
        deleted.get(&*id).is_none_or(|deleted_at| begun(entry) > *deleted_at)
    });
    if left.len() < num_all {
        let num_requests = num_all - left.len();
        tracing::info!(num_requests, "usage of organizations that were deleted is not added");
    }
    Ok(Cow::Owned(left))
}
