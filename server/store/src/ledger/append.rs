//! Settled requests, from the journal into the ledger.
//!
//! Invariant: a batch is one transaction, all or none of it. A request that the ledger has adds
//! nothing, to the sums neither.

use std::collections::HashSet;
use std::sync::LazyLock;

use server_metering::{Entry, Ledger, LedgerError};
use tokio::runtime::Handle;

use super::batch::{self, Line};
use super::cells::{COST, METERS, Written, chunks, insert};
use crate::sql::{Transaction, on};
use crate::{Store, StoreError};

static LEDGER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO ledger (request_id, organization_id, project_id, key_id, model, tier,
            endpoint, tag, ending, opened_at, settled_at, {METERS}, cost) "
    )
});
const ONCE: &str = " ON CONFLICT (request_id) DO NOTHING RETURNING request_id";
static HOURS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, model, tier, endpoint, tag, hour";
    upsert("usage_hours", key, &format!("num_requests, {METERS}, {COST}"))
});
pub(super) static SUMS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, model, tier, period, number";
    upsert("usage_sums", key, &format!("{METERS}, {COST}"))
});

/// A statement before and after its rows: it adds them to those that are there. What does not fit
/// stays at the largest, on both databases: one row must not stop the ledger.
fn upsert(table: &str, key: &str, counts: &str) -> [String; 2] {
    let max = i64::MAX;
    let sum = |column: &str| {
        let column = column.trim();
        let (old, new) = (format!("{table}.{column}"), format!("excluded.{column}"));
        format!("{column} = CASE WHEN {old} > {max} - {new} THEN {max} ELSE {old} + {new} END")
    };
    let sums: Vec<_> = counts.split(',').map(sum).collect();
    [
        format!("INSERT INTO {table} ({key}, {counts}) "),
        format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sums.join(", ")),
    ]
}

/// The ledger as a [`Follower`](server_metering::Follower) feeds it, from a thread of its own.
#[derive(Clone, Debug)]
pub struct SqlLedger {
    store: Store,
    runtime: Handle,
    is_failing: bool,
}

impl SqlLedger {
    /// The ledger in a database that is asked on a runtime.
    #[must_use]
    pub fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime, is_failing: false }
    }
}

impl Ledger for SqlLedger {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let appended = self.runtime.block_on(self.store.append_to_ledger(entries));
        match &appended {
            Ok(_) if self.is_failing => tracing::info!("the ledger takes usage again"),
            // Told once, not at each try.
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, "usage waits in the journal: the ledger does not take it");
            }
            _ => {}
        }
        self.is_failing = appended.is_err();
        appended?;
        Ok(())
    }
}

impl Store {
    /// Adds settled requests to the ledger and its sums; how many of them it did not have.
    ///
    /// # Errors
    /// If one does not fit or the database fails: none is added then. Several processes may append
    /// at once; what a database gives up on for that, another call may do.
    pub async fn append_to_ledger(&self, entries: &[Entry]) -> Result<usize, StoreError> {
        let lines = batch::lines(entries);
        let work = async {
            let mut transaction = self.write_every_unlocked().await?;
            let new = add_lines(&mut transaction, &lines).await?;
            add_to_sums(&mut transaction, &HOURS, &batch::hours(&new)).await?;
            add_to_sums(&mut transaction, &SUMS, &batch::days(&new)).await?;
            transaction.commit().await?;
            Ok(new.len())
        };
        self.in_time(work).await
    }
}

/// Adds lines, and gives those that were not there.
async fn add_lines<'a, 'b>(
    transaction: &mut Transaction,
    lines: &'a [Line<'b>],
) -> Result<Vec<&'a Line<'b>>, StoreError> {
    let mut new = Vec::with_capacity(lines.len());
    for chunk in chunks(lines) {
        let rows: Vec<_> = chunk.iter().map(Line::row).collect();
        let added: Vec<(String,)> = on!(transaction, |connection| {
            insert(&LEDGER, &rows, ONCE).build_query_as().fetch_all(connection).await
        })?;
        if added.len() == chunk.len() {
            new.extend(chunk);
        } else {
            let added: HashSet<_> = added.into_iter().map(|(request,)| request).collect();
            new.extend(chunk.iter().filter(|line| added.contains(line.request())));
        }
    }
    Ok(new)
}

/// Adds rows to those of a table.
pub(super) async fn add_to_sums<const T: usize, const N: usize>(
    transaction: &mut Transaction,
    [head, tail]: &[String; 2],
    rows: &[Written<'_, T, N>],
) -> Result<(), StoreError> {
    for chunk in chunks(rows) {
        on!(transaction, |connection| {
            insert(head, chunk, tail).build().execute(connection).await.map(drop)
        })?;
    }
    Ok(())
}
