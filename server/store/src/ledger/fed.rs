//! The ledger as a [`Follower`](server_metering::Follower) feeds it.
//!
//! Invariant: what a batch was opened at is priced by the lists that held then, as the database has
//! them now.

use server_metering::{Entry, Ledger, LedgerError, UnixMillis};
use tokio::runtime::Handle;

use super::books::PriceBooks;
use crate::{Store, StoreError};

/// Requests run for less: lists that ended longer ago are read for what comes late only.
const READ_BEFORE_MS: u64 = 24 * 60 * 60 * 1000;

/// The ledger as a [`Follower`](server_metering::Follower) feeds it, from a thread of its own.
#[derive(Clone, Debug)]
pub struct SqlLedger {
    store: Store,
    runtime: Handle,
    is_failing: bool,
    /// Where it is the ledger that says what lines cost.
    known: Option<Known>,
}

/// Price lists as they were read.
#[derive(Clone, Debug, Default)]
struct Known {
    books: PriceBooks,
    /// All that held then or later, once they are read.
    since: Option<UnixMillis>,
}

impl SqlLedger {
    /// The ledger in a database that is asked on a runtime; lines cost what they were charged.
    #[must_use]
    pub fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime, is_failing: false, known: None }
    }

    /// The same of several servers, which charge the most that a line can cost: the ledger says
    /// what it does.
    #[must_use]
    pub fn of_several(store: Store, runtime: Handle) -> Self {
        Self { known: Some(Known::default()), ..Self::new(store, runtime) }
    }
}

impl Known {
    /// Reads what changed, and what is needed of the past.
    async fn follow(&mut self, store: &Store, entries: &[Entry]) -> Result<(), StoreError> {
        let Some(oldest) = entries.iter().map(|entry| entry.opened.opened_at).min() else {
            return Ok(());
        };
        let has_past = self.since.is_some_and(|since| since <= oldest);
        let revision = has_past.then_some(self.books.revision);
        let since = UnixMillis(oldest.0.saturating_sub(READ_BEFORE_MS));
        if let Some(books) = store.price_books_since(revision, since).await? {
            *self = Self { books, since: Some(since) };
        }
        Ok(())
    }
}

async fn append(
    store: &Store,
    known: Option<&mut Known>,
    entries: &[Entry],
) -> Result<usize, StoreError> {
    let Some(known) = known else { return store.append_to_ledger(entries).await };
    known.follow(store, entries).await?;
    store.append_at_prices(entries, &known.books).await
}

impl Ledger for SqlLedger {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let appended = self.runtime.block_on(append(&self.store, self.known.as_mut(), entries));
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
