//! Settled requests, from the journal into the ledger.
//!
//! Invariant: a batch is one transaction, all or none of it. A request that the ledger has adds
//! nothing, to the sums neither.

use std::borrow::Cow;
use std::collections::HashSet;

use server_metering::Entry;
use sqlx::Row;

use super::batch::{self, Batch};
use super::books::PriceBooks;
use super::deleted::without_deleted;
use super::insert::{Insert, Written, chunks};
use super::line::Line;
use super::numbered::{Numbered, retain_new};
use super::prune::lines_since_if_old;
use super::runs::{Common, runs};
use super::statements::{DAYS, HOURS, LINES, LINES_ALIKE, LINES_OF_ONE, NEW_LINES, SUMS, Sums};
use crate::sql::{Bound, Transaction, on};
use crate::{Store, StoreError};

/// What a line is called in errors.
const WHAT: &str = "line of the ledger";

impl Store {
    /// Adds settled requests to the ledger and its sums, at the costs that they have; how many of
    /// them it did not have.
    ///
    /// # Errors
    /// If one does not fit or the database fails: none is added then. Several processes may append
    /// at once; what a database gives up on for that, another call may do.
    pub async fn append_to_ledger(&self, entries: &[Entry]) -> Result<usize, StoreError> {
        self.append_lines(entries, None).await
    }

    /// The same of what several processes use: by prices with free units, steps or discounts, a
    /// line costs what its place says among all of the organization that are in the ledger, and no
    /// more than it was charged. The books have the lists that held when the requests were let in.
    ///
    /// # Errors
    /// As those of [`Store::append_to_ledger`].
    pub async fn append_at_prices(
        &self,
        entries: &[Entry],
        books: &PriceBooks,
    ) -> Result<usize, StoreError> {
        self.append_lines(entries, Some(books)).await
    }

    async fn append_lines(
        &self,
        entries: &[Entry],
        books: Option<&PriceBooks>,
    ) -> Result<usize, StoreError> {
        let work = async {
            let mut transaction = self.write_ledger().await?;
            let countable_now = countable(&mut transaction, entries).await?;
            let charged = without_deleted(&mut transaction, countable_now).await?;
            let mut priced = Cow::Borrowed(&*charged);
            if let Some(books) = books {
                let numbered = Numbered::begin(&mut transaction, books, &charged).await?;
                if !numbered.is_empty() {
                    numbered.price(&mut transaction, priced.to_mut()).await?;
                }
            }
            let batch = Batch::new(&priced);
            if add_lines(&mut transaction, &batch).await? {
                let new: Vec<_> = batch.lines().iter().collect();
                add_sums(&mut transaction, &batch, &new).await?;
                transaction.commit().await?;
                return Ok(new.len());
            }
            // Rare: after a kill, say. What was added is taken back, to see which were new.
            drop(transaction);
            let mut transaction = self.write_ledger().await?;
            let charged = countable(&mut transaction, &charged).await?.into_owned();
            let new = add_new(&mut transaction, books, charged).await?;
            transaction.commit().await?;
            Ok(new.len())
        };
        self.in_time(work).await
    }
}

/// Without lines of before those that were deleted: whether they count already, nobody can tell.
async fn countable<'a>(
    transaction: &mut Transaction,
    entries: &'a [Entry],
) -> Result<Cow<'a, [Entry]>, StoreError> {
    let settled_at = |entry: &Entry| i64::try_from(entry.settled_at.0).unwrap_or(i64::MAX);
    let oldest = entries.iter().map(settled_at).min().unwrap_or(i64::MAX);
    let since = lines_since_if_old(transaction, oldest).await?;
    if oldest >= since {
        return Ok(Cow::Borrowed(entries));
    }
    let mut left = entries.to_vec();
    left.retain(|entry| settled_at(entry) >= since);
    let num_requests = entries.len() - left.len();
    tracing::warn!(
        num_requests,
        since,
        "usage this old is not added again: after a start that is what the ledger had before, and \
         nothing is to be done; in a journal that was put back by hand it may be missing"
    );
    Ok(Cow::Owned(left))
}

/// Adds lines of which some may be there, at what they cost by their places where there are books,
/// and what they add to sums; gives those that were not there, and are of no organization that was
/// deleted. The transaction is one of [`Store::write_ledger`] and has written nothing.
pub(super) async fn add_new(
    transaction: &mut Transaction,
    books: Option<&PriceBooks>,
    entries: Vec<Entry>,
) -> Result<Vec<Entry>, StoreError> {
    let mut entries = without_deleted(transaction, Cow::Owned(entries)).await?.into_owned();
    let mut is_numbered = HashSet::new();
    if let Some(books) = books {
        let numbered = Numbered::begin(transaction, books, &entries).await?;
        if !numbered.is_empty() {
            retain_new(transaction, &mut entries).await?;
            numbered.price(transaction, &mut entries).await?;
            let of_them = entries.iter().filter(|entry| numbered.has(entry));
            is_numbered = of_them.map(|entry| entry.opened.request.clone()).collect();
        }
    }
    let batch = Batch::new(&entries);
    let new = add_new_lines(transaction, &batch).await?;
    add_sums(transaction, &batch, &new).await?;
    let new: HashSet<String> = new.iter().map(|line| line.request().to_owned()).collect();
    entries.retain(|entry| new.contains(&*entry.opened.request.as_str().bound()));
    // Who added one in the meantime knew of no steps: others behind it have its place.
    is_numbered.retain(|request| !new.contains(&*request.as_str().bound()));
    match is_numbered.into_iter().next() {
        None => Ok(entries),
        Some(id) => Err(StoreError::Exists { what: WHAT, id: id.to_string() }),
    }
}

/// Adds to hours, days and what limits go on from what new lines have.
async fn add_sums(
    transaction: &mut Transaction,
    batch: &Batch<'_>,
    new: &[&Line<'_>],
) -> Result<(), StoreError> {
    let hours = batch.hours(new);
    add_to_sums(transaction, &HOURS, &hours).await?;
    let days = batch::days(&hours);
    add_to_sums(transaction, &DAYS, &days).await?;
    add_to_sums(transaction, &SUMS, &batch::sums(&days)).await
}

/// Adds lines, and says whether none of them was there. If one was, it is over: others are missing.
async fn add_lines(transaction: &mut Transaction, batch: &Batch<'_>) -> Result<bool, StoreError> {
    for (common, lines) in runs(batch.lines()) {
        let Some(first) = lines.first() else { continue };
        let is_usual = usize::from(first.is_usual());
        for chunk in chunks(lines) {
            let num_added = match common {
                Common::All => {
                    let rows: Vec<_> = chunk.iter().map(Line::alone).collect();
                    let shared = batch.shared_by_one(first);
                    add_rows(transaction, &LINES_OF_ONE[is_usual], &rows, &shared).await?
                }
                Common::Kind => {
                    let rows: Vec<_> = chunk.iter().map(|line| batch.own(line)).collect();
                    let shared = batch.shared(first);
                    add_rows(transaction, &LINES_ALIKE[is_usual], &rows, &shared).await?
                }
                Common::Nothing => {
                    let rows: Vec<_> = chunk.iter().map(|line| batch.row(line)).collect();
                    add_rows(transaction, &LINES, &rows, &[]).await?
                }
            };
            if num_added != chunk.len() as u64 {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Adds lines, and gives those that were not there.
async fn add_new_lines<'a, 'b>(
    transaction: &mut Transaction,
    batch: &'a Batch<'b>,
) -> Result<Vec<&'a Line<'b>>, StoreError> {
    let mut new = Vec::new();
    for chunk in chunks(batch.lines()) {
        let rows: Vec<_> = chunk.iter().map(|line| batch.row(line)).collect();
        let added: HashSet<String> = on!(transaction, |connection| {
            let rows = NEW_LINES.query(&rows, &[])?.fetch_all(connection).await?;
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()
        })?;
        new.extend(chunk.iter().filter(|line| added.contains(line.request())));
    }
    Ok(new)
}

/// Adds rows to those of a table of sums.
pub(super) async fn add_to_sums<const T: usize, const N: usize>(
    transaction: &mut Transaction,
    sums: &'static Sums,
    rows: &[Written<'_, T, N>],
) -> Result<(), StoreError> {
    for chunk in chunks(rows) {
        add_rows(transaction, sums.of(chunk), chunk, &[]).await?;
    }
    Ok(())
}

/// Writes rows by a statement.
pub(crate) async fn write_rows<const T: usize, const N: usize>(
    transaction: &mut Transaction,
    insert: &'static Insert,
    rows: &[Written<'_, T, N>],
) -> Result<(), StoreError> {
    add_rows(transaction, insert, rows, &[]).await.map(drop)
}

/// Writes rows, and says how many changed something.
async fn add_rows<const T: usize, const N: usize>(
    transaction: &mut Transaction,
    insert: &'static Insert,
    rows: &[Written<'_, T, N>],
    shared: &[&str],
) -> Result<u64, StoreError> {
    let mut num = 0;
    for chunk in chunks(rows) {
        num += on!(&mut *transaction, |connection| {
            let done = insert.query(chunk, shared)?.execute(connection).await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })?;
    }
    Ok(num)
}
