//! The journal, what feeds the ledger from it, and the limits that go on from there.
//!
//! Invariant: limits begin with what the ledger says only when it has all that earlier processes
//! left in the journals of this folder. What such a process had reserved of limits is free when the
//! ledger has its journal, and not before.

mod lag;
mod owner;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use server_metering::{
    Behind, Clock, Durability, Entry, Follower, FollowerOptions, Journal, JournalError,
    JournalOptions, Ledger, LedgerError, Meters, PriceBook, SystemClock,
};
use server_store::{SqlLedger, Store};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};

use self::owner::Owner;
use crate::AccessError;
use crate::leases::Leases;

/// Processes that share a folder, each with a journal of its own in it.
const MAX_JOURNALS: usize = 64;

/// How long what was settled lies in the journal where the ledger keeps up: who asks what was used
/// right after an answer finds it.
const GIVE_EVERY: Duration = Duration::from_millis(20);

/// Requests of one transaction of the ledger: what they change together is written once.
const MAX_BATCH: usize = 2_048;

/// How books are kept.
#[derive(Clone, Debug)]
pub struct BooksOptions {
    /// Where the journals are.
    pub folder: PathBuf,
    /// When the disk has what was acknowledged.
    pub durability: Durability,
    /// How long a start waits for the ledger, and an end.
    pub patience: Duration,
}

/// The books of this process.
#[derive(Debug)]
pub struct Books {
    store: Store,
    meters: Meters,
    follower: Arc<Follower>,
    patience: Duration,
    /// Looks whether the ledger keeps up.
    watching: Option<JoinHandle<()>>,
    /// Gives back what is lent, where other servers have the same limits; and who it is lent to.
    lent: Option<(JoinHandle<()>, Owner)>,
}

/// The ledger, and who is told of what it has taken.
struct Told {
    ledger: SqlLedger,
    told: Arc<Listening>,
}

/// Who is told of what the ledger has taken.
#[derive(Debug, Default)]
struct Listening {
    /// What counts here, when that is there.
    meters: OnceLock<Meters>,
    /// Woken, where others lack what was reserved.
    hurry: Arc<Notify>,
}

impl Ledger for Told {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        self.ledger.append(entries)?;
        if self.told.meters.get().is_some_and(|meters| meters.appended(entries)) {
            self.told.hurry.notify_one();
        }
        Ok(())
    }
}

impl Books {
    /// Opens the journal, gives the ledger what earlier processes left, and fills the limits with
    /// what was used.
    ///
    /// # Errors
    /// If the folder, a journal or the database fails, or the ledger does not take it in time.
    pub async fn open(store: &Store, options: BooksOptions) -> Result<Self, AccessError> {
        let journals = spawn_blocking({
            let options = options.clone();
            move || journals(&options)
        });
        let mut journals = journals.await.map_err(|error| AccessError::Thread(error.into()))??;
        // The first one is this process's; the others were left by processes that are no more.
        let (own, number) = journals.remove(0);
        let (own, told) = (Arc::new(own), Arc::<Listening>::default());
        for (left, number) in journals {
            drop(drained(store, Arc::new(left), &Arc::default(), options.patience).await?);
            Owner::new(&options.folder, number).release(store).await?;
        }
        let follower = drained(store, Arc::clone(&own), &told, options.patience).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let prices = store.price_books(0).await?.unwrap_or_default();
        let (meters, lent) = if store.is_shared() {
            let owner = Owner::new(&options.folder, number);
            owner.release(store).await?;
            owner.take(store)?;
            let leases = Arc::new(Leases::new(store.clone()));
            let lender = Arc::clone(&leases) as _;
            let meters = Meters::shared(own, PriceBook::clone(&prices.all), clock, lender);
            let keeping = tokio::spawn(leases.keep_small(meters.clone(), Arc::clone(&told.hurry)));
            (meters, Some((keeping, owner)))
        } else {
            let meters = Meters::new(own, PriceBook::clone(&prices.all), clock);
            store.restore_meters(&meters, &prices, SystemClock.utc()).await?;
            (meters, None)
        };
        // It is set once, here.
        let _ = told.meters.set(meters.clone());
        let (store, follower, patience) = (store.clone(), Arc::new(follower), options.patience);
        Ok(Self { store, meters, follower, patience, watching: None, lent })
    }

    /// What lets requests in.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Tells each second how far the ledger is behind, and logs what keeps it from usage, until the
    /// books are closed.
    pub fn watch(&mut self, report: impl Fn(&Behind) + Send + 'static) {
        self.watch_every(lag::LOOK_EVERY, report);
    }

    fn watch_every(&mut self, every: Duration, report: impl Fn(&Behind) + Send + 'static) {
        let watch = lag::watch(Arc::downgrade(&self.follower), every, report);
        if let Some(before) = self.watching.replace(tokio::spawn(watch)) {
            before.abort();
        }
    }

    /// Gives the ledger what is left, and others what was reserved. What the ledger does not take
    /// is in the journal at the next start, and reserved until then.
    pub async fn close(mut self) {
        let (follower, patience) = (Arc::clone(&self.follower), self.patience);
        let lent = self.lent.take();
        if let Some((keeping, _)) = &lent {
            keeping.abort();
        }
        let closing = spawn_blocking(move || follower.drain(patience));
        if !matches!(closing.await, Ok(true)) {
            tracing::warn!("the ledger has not taken all usage: it will at the next start");
            return;
        }
        let Some((_, owner)) = lent else { return };
        if let Err(error) = owner.release(&self.store).await {
            tracing::warn!(%error, "what is reserved of limits is free at the next start");
        }
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
        if let Some((keeping, _)) = &self.lent {
            keeping.abort();
        }
    }
}

/// A follower whose ledger has all that the journal had.
async fn drained(
    store: &Store,
    journal: Arc<Journal>,
    told: &Arc<Listening>,
    patience: Duration,
) -> Result<Follower, AccessError> {
    let recovered = journal.recovered();
    if recovered.cut_bytes > 0 {
        tracing::warn!(
            cut_bytes = recovered.cut_bytes,
            "the journal ends in bytes that are no whole record: they are left out, and what they \
             told of usage is not billed. See to the disk, unless the machine lost its power"
        );
    }
    if recovered.num_lost > 0 {
        tracing::info!(
            num_requests = recovered.num_lost,
            "requests that a process left unfinished are billed by what they had delivered"
        );
    }
    let runtime = Handle::current();
    let ledger = match store.is_shared() {
        true => SqlLedger::of_several(store.clone(), runtime),
        false => SqlLedger::new(store.clone(), runtime),
    };
    let ledger = Box::new(Told { ledger, told: Arc::clone(told) });
    let (every, max_batch) = (GIVE_EVERY, MAX_BATCH);
    let options = FollowerOptions { every, max_batch, ..FollowerOptions::default() };
    let follower = Follower::start(journal, ledger, options);
    let follower = follower.map_err(AccessError::Thread)?;
    let waiting = spawn_blocking(move || {
        let is_drained = follower.drain(patience);
        (is_drained, follower)
    });
    let (is_drained, follower) =
        waiting.await.map_err(|error| AccessError::Thread(error.into()))?;
    if is_drained {
        return Ok(follower);
    }
    let error = follower.behind().last_error.unwrap_or_else(|| "it takes too long".to_owned());
    Err(AccessError::Behind(patience, error))
}

/// The journal of this process, and those that nobody has, with their numbers.
fn journals(options: &BooksOptions) -> Result<Vec<(Journal, usize)>, AccessError> {
    let folder = &options.folder;
    let failed = |source| AccessError::Folder { folder: folder.clone(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let kept = JournalOptions { durability: options.durability, ..JournalOptions::default() };
    let mut journals = Vec::new();
    for number in 0..MAX_JOURNALS {
        let dir = folder.join(number.to_string());
        if !journals.is_empty() && !is_left(&dir) {
            continue;
        }
        match Journal::open(&dir, kept) {
            Ok(journal) => journals.push((journal, number)),
            Err(JournalError::Locked { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if journals.is_empty() { Err(AccessError::TooMany(MAX_JOURNALS)) } else { Ok(journals) }
}

/// Whether there is a journal.
fn is_left(dir: &Path) -> bool {
    dir.is_dir()
}
