//! Gives what was settled to the ledger, behind the requests.
//!
//! Invariant: what the ledger acknowledged is the journal's beginning up to a place, and nothing
//! behind that place is removed. What it did not acknowledge is given again; so it is told of each
//! request once or more, and never of one that was not settled.

use std::error::Error;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Entry, Journal};

/// What a ledger says that could not take entries.
pub type LedgerError = Box<dyn Error + Send + Sync>;

/// Where settled requests are kept for good.
pub trait Ledger: Send {
    /// Takes entries, all or none; one whose request it has counts once.
    ///
    /// # Errors
    /// If it has not taken them: they come again.
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError>;
}

/// How a ledger is fed.
#[derive(Clone, Copy, Debug)]
pub struct FollowerOptions {
    /// How long what was settled may lie before it is given; up to four times as long where much
    /// is: what a batch costs by itself is for many then.
    pub every: Duration,
    /// How many entries are given at once; half as many after each failure.
    pub max_batch: usize,
    /// How long it waits after a failure; twice as long after the next, up to `max_backoff`.
    pub min_backoff: Duration,
    /// The longest it waits.
    pub max_backoff: Duration,
}

/// How far the ledger is behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Bytes of the journal that it has not taken.
    pub bytes: u64,
    /// Whether ends of requests wait for the journal's disk.
    pub waits_for_disk: bool,
    /// How often it failed since it last took some.
    pub num_failures: u32,
    /// Whether it was the journal that could not be read, so that the ledger was not asked.
    pub is_unread: bool,
    /// What it said then.
    pub last_error: Option<String>,
}

/// Feeds a ledger on a thread of its own. Dropping it gives what there is once more, and ends.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    journal: Arc<Journal>,
    state: Mutex<State>,
    /// There is a reason not to wait.
    wake: Condvar,
    /// The ledger was asked.
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    is_hurried: bool,
    num_failures: u32,
    is_unread: bool,
    last_error: Option<String>,
}

/// Why nothing was given.
struct Failure {
    is_unread: bool,
    error: LedgerError,
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(250),
            max_batch: 256,
            min_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// Begins with what the journal still has of earlier processes.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(
        journal: Arc<Journal>,
        ledger: Box<dyn Ledger>,
        options: FollowerOptions,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            journal,
            state: Mutex::default(),
            wake: Condvar::new(),
            asked: Condvar::new(),
        });
        let thread = Builder::new().name("ledger".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, ledger, options)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How far the ledger is behind.
    #[must_use]
    pub fn behind(&self) -> Behind {
        let (bytes, waits_for_disk) = self.shared.journal.behind();
        let state = self.shared.state();
        let (num_failures, is_unread) = (state.num_failures, state.is_unread);
        let last_error = state.last_error.clone();
        Behind { bytes, waits_for_disk, num_failures, is_unread, last_error }
    }

    /// Waits until the ledger has all that was settled, and says whether it came to that in time.
    /// At a start this goes before sums are read out of the ledger.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.shared.state();
        loop {
            if self.shared.journal.behind() == (0, false) {
                return true;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state.is_hurried = true;
            self.shared.wake.notify_one();
            let waited = self.shared.asked.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.state().is_stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so; the journal keeps what was not taken.
            let _ = thread.join();
        }
    }
}

/// So many at once are a load, and how much longer the next are waited for at most.
const MANY: usize = 32;
const MAX_STRETCH: u32 = 4;

/// Requests go before what is done behind them. Not much before: the ledger must keep up with them.
#[cfg(target_os = "linux")]
fn give_way() {
    const NICENESS: i32 = 5;
    // Of this thread only. Without it all is as right, and less even.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

fn run(shared: &Shared, mut ledger: Box<dyn Ledger>, options: FollowerOptions) {
    give_way();
    let max_batch = options.max_batch.max(1);
    let (mut backoff, mut batch) = (options.min_backoff, max_batch);
    // Its room is used again: new room of that size would be cleared by the system each time.
    let mut entries = Vec::new();
    loop {
        let is_stopping = shared.state().is_stopping;
        entries.clear();
        let given = give(&shared.journal, &mut *ledger, (&mut entries, batch));
        let mut state = shared.state();
        let pause = match given {
            Ok(num_given) => {
                (state.num_failures, state.is_unread, state.last_error) = (0, false, None);
                backoff = options.min_backoff;
                let is_full = num_given == batch;
                // Slowly, since what is too much may cost a whole time limit to find out.
                batch = (batch + batch / 8 + 1).min(max_batch);
                let load = u32::try_from(num_given / MANY).unwrap_or(u32::MAX);
                if is_full { Duration::ZERO } else { options.every * load.clamp(1, MAX_STRETCH) }
            }
            Err(Failure { is_unread, error }) => {
                state.num_failures = state.num_failures.saturating_add(1);
                state.is_unread = is_unread;
                state.last_error = Some(error.to_string());
                let pause = backoff;
                backoff = (backoff * 2).min(options.max_backoff);
                // What takes a slow ledger too long it may take in parts.
                batch = (batch / 2).max(1);
                if is_stopping {
                    return;
                }
                pause
            }
        };
        shared.asked.notify_all();
        if pause.is_zero() {
            continue;
        }
        if is_stopping {
            return;
        }
        // Hurry is for what lies there, and not for a ledger that failed.
        let is_asleep = |state: &mut State| {
            !(state.is_stopping || (state.is_hurried && state.num_failures == 0))
        };
        let waited = shared.wake.wait_timeout_while(state, pause, is_asleep);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_hurried = false;
    }
}

/// Gives the next entries, and says how many there were.
fn give(
    journal: &Journal,
    ledger: &mut dyn Ledger,
    (entries, max_batch): (&mut Vec<Entry>, usize),
) -> Result<usize, Failure> {
    let failed = |is_unread| move |error| Failure { is_unread, error };
    let read = journal.read_into(entries, journal.acknowledged(), max_batch);
    let upto = read.map_err(|error| failed(true)(error.into()))?;
    if !entries.is_empty() {
        ledger.append(entries).map_err(failed(false))?;
    }
    journal.acknowledge(upto);
    Ok(entries.len())
}
