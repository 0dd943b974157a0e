//! SQLite: one connection writes, others read. Its work runs on threads of its own.
//!
//! Invariant: a commit is on disk before it returns, and what is deleted is overwritten.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::sql::Transaction;
use crate::{StoreError, migrations};

/// Connections that read.
const NUM_READERS: u32 = 4;
/// KiB of pages in memory, of each connection: a batch of the ledger changes thousands of pages.
const CACHE: &str = "-65536";
/// Pages of the log until they go into the file, 64 MiB: those that change often go there once.
const PAGES_OF_LOG: &str = "16384";
/// Rows that are read before they are asked for.
const ROWS_AHEAD: usize = 512;
/// For a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The thread that writes; the system knows 15 letters of a name.
const WRITER: &str = "sqlite-writer";

/// Requests go before what is written behind them, which is the ledger above all. Not much before:
/// it must keep up with them, and some wait for what they write. Threads that read are as others.
#[cfg(target_os = "linux")]
fn give_way() {
    const NICENESS: i32 = 5;
    // sqlx makes the thread. Without this all is as right, and less even.
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let thread = entry.file_name().to_str().and_then(|id| id.parse().ok());
        let thread = thread.and_then(rustix::process::Pid::from_raw);
        if name.trim_end() == WRITER && thread.is_some() {
            let _ = rustix::process::setpriority_process(thread, NICENESS);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// The connection that writes and those that read; the file is made if there is none.
pub(super) async fn open(
    path: &Path,
    timeout: Duration,
) -> Result<(SqlitePool, SqlitePool), StoreError> {
    create_private(path)?;
    let pool = |num| SqlitePoolOptions::new().max_connections(num).acquire_timeout(timeout);
    let writer = pool(1).after_connect(|_, _| {
        give_way();
        Box::pin(std::future::ready(Ok(())))
    });
    let named = options(path).thread_name(|_| WRITER.to_owned());
    let writer = writer.connect_with(named).await?;
    migrations::of_sqlite(None).run(&writer).await?;
    let readers = pool(NUM_READERS).connect_with(options(path).read_only(true)).await?;
    Ok((writer, readers))
}

/// A transaction that writes. It waits for other processes' at its beginning: who has read before
/// could not wait any more, since what it read might be old then.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Transaction, StoreError> {
    Ok(Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?))
}

/// One connection to a file that is there.
pub(crate) async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    Ok(options(path).connect().await?)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // Each commit reaches the disk before it is acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // What is deleted is overwritten.
        .pragma("secure_delete", "ON")
        .pragma("cache_size", CACHE)
        .pragma("wal_autocheckpoint", PAGES_OF_LOG)
        // Who reads all sums does not wait for each handful of them.
        .row_buffer_size(ROWS_AHEAD)
        .optimize_on_close(false, None)
}

/// Makes an empty file that only its owner can read; SQLite's other files take after it.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
