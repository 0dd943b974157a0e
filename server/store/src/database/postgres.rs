//! PostgreSQL: a pool of connections, and what a transaction begins with.
//!
//! Invariant: a transaction sees the rows of the tenant it was begun for, by the database's own
//! rule; a tenant's writers take turns, and so does housekeeping. What is given up on here ends
//! there too.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::presence::Session;
use crate::sql::Transaction;
use crate::{StoreError, migrations};

/// Connections to one server, of the hundred that it has by default.
const MAX_CONNECTIONS: u32 = 16;
/// For a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sees one tenant.
pub(super) const OF_TENANT: &str = "SELECT set_config('app.tenant', $1, true)";
/// The same, and waits for the tenant's other writers.
pub(super) const TURN_OF_TENANT: &str = "SELECT set_config('app.tenant', $1, true),
    pg_advisory_xact_lock(hashtextextended($1, 0))";
/// Sees all tenants, when nobody else does housekeeping.
pub(super) const EVERY_TENANT: &str = "SELECT set_config('app.every_tenant', $1, true),
    pg_advisory_xact_lock(24935, 0)";
/// The lock that serving processes share, and that who restores has alone; `24935` is ours.
pub(crate) const RESTORE_OR_SERVE: &str = "24935, 1";

const BYPASSES: &str = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";

/// The pool, and the session that tells others of this process.
pub(super) async fn open(
    options: &PgConnectOptions,
    timeout: Duration,
) -> Result<(PgPool, Session), StoreError> {
    let mut connection = connect(options).await?;
    let (bypasses,): (bool,) = sqlx::query_as(BYPASSES).fetch_one(&mut connection).await?;
    if bypasses {
        tracing::warn!(
            role = options.get_username(),
            "this role sees past row-level security; let the server connect as an ordinary one"
        );
    }
    let session = Session::begin(options.clone()).await?;
    migrations::of_postgres().run(&mut connection).await?;
    connection.close().await?;
    let millis = timeout.as_millis();
    let options = options
        .clone()
        .options([("statement_timeout", millis), ("idle_in_transaction_session_timeout", millis)]);
    let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(timeout);
    Ok((pool.connect_lazy_with(options), session))
}

/// One connection.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    Ok(connected.map_err(|_| StoreError::Timeout)??)
}

/// A transaction that begins with a statement about `value`.
pub(super) async fn begin(
    pool: &PgPool,
    first: &'static str,
    value: &str,
) -> Result<Transaction, StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::query(first).bind(value).execute(&mut *transaction).await?;
    Ok(Transaction::Postgres(transaction))
}
