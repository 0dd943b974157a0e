//! What tells other processes that this one uses the database.
//!
//! Invariant: it is there while the process lives and the database can be reached, and it is gone
//! when the process is, however that ended: locks of files and of sessions are like that.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{FileLock, RESTORE_OR_SERVE, connect_postgres};
use crate::StoreError;

/// How often it is looked whether the session is still there.
const INTERVAL: Duration = Duration::from_secs(5);
/// For a server that does not answer any more.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// For a machine that lost its power: the server notices so many seconds later.
const KEEPALIVES: [(&str, u32); 3] =
    [("tcp_keepalives_idle", 20), ("tcp_keepalives_interval", 5), ("tcp_keepalives_count", 4)];

#[derive(Debug)]
pub(crate) enum Presence {
    File(FileLock),
    Session(Session),
}

impl Presence {
    pub(super) async fn end(self) {
        match self {
            Self::File(lock) => drop(lock),
            Self::Session(session) => session.end().await,
        }
    }
}

/// A session of PostgreSQL that holds a lock of this process's number.
#[derive(Debug)]
pub(crate) struct Session {
    process: i64,
    stop: oneshot::Sender<()>,
    kept: JoinHandle<()>,
}

impl Session {
    /// Begins it, and keeps it until it is ended or dropped.
    pub(super) async fn begin(options: PgConnectOptions) -> Result<Self, StoreError> {
        let options = options.options(KEEPALIVES);
        let mut connection = connect_postgres(&options).await?;
        // Not 0, and nobody else's: of 2⁵³ numbers.
        let process = "SELECT CAST(random() * 9007199254740990 AS BIGINT) + 1";
        let (process,): (i64,) = sqlx::query_as(process).fetch_one(&mut connection).await?;
        announce(&mut connection, process).await?;
        let (stop, stopped) = oneshot::channel();
        let kept = tokio::spawn(keep(options, connection, process, stopped));
        Ok(Self { process, stop, kept })
    }

    pub(super) fn process(&self) -> i64 {
        self.process
    }

    async fn end(self) {
        drop(self.stop);
        // Who panicked is over, too; who hangs is not waited for.
        timeout(PATIENCE, self.kept).await.ok();
    }
}

/// Tells of this process, unless the database is being restored.
async fn announce(connection: &mut PgConnection, process: i64) -> Result<(), StoreError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let serve = format!("SELECT pg_try_advisory_lock_shared({RESTORE_OR_SERVE})");
        let serve = sqlx::query_as(AssertSqlSafe(serve));
        let (may_serve,): (bool,) = serve.fetch_one(&mut *connection).await?;
        if may_serve {
            break;
        }
        // Of who restored just now the server may not know that it is over.
        if Instant::now() >= end {
            return Err(StoreError::Restoring);
        }
        sleep(PAUSE).await;
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(process).execute(connection).await?;
    Ok(())
}

/// Begins the session again where it was cut, until `stopped`.
async fn keep(
    options: PgConnectOptions,
    connection: PgConnection,
    process: i64,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connection = Some(connection);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = sleep(INTERVAL) => {}
        }
        let is_there = match &mut connection {
            Some(connection) => matches!(timeout(PATIENCE, connection.ping()).await, Ok(Ok(()))),
            None => false,
        };
        if !is_there {
            connection = match again(&options, process).await {
                Ok(connection) => Some(connection),
                Err(error) => {
                    tracing::warn!(%error, "other processes do not see this one");
                    None
                }
            };
        }
    }
    if let Some(mut connection) = connection {
        // Said, since the server may notice the end of a connection later. It does notice.
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut connection).await.ok();
        connection.close().await.ok();
    }
}

async fn again(options: &PgConnectOptions, process: i64) -> Result<PgConnection, StoreError> {
    let mut connection = connect_postgres(options).await?;
    // The number may still be the old session's, which the server holds for alive.
    let announced = timeout(PATIENCE, announce(&mut connection, process)).await;
    announced.map_err(|_| StoreError::Timeout)??;
    Ok(connection)
}
