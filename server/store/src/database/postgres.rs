//! PostgreSQL: a pool of connections, and what a transaction begins with.
//!
//! Invariant: a transaction sees the rows of the tenant or project it was begun for, by the
//! database's own rule; a tenant's writers take turns, and so does housekeeping. What is given up
//! on here ends there too.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::presence::Session;
use crate::sql::{ONE_MOMENT, SEE_EVERY_TENANT, Transaction};
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
/// Sees what one project keeps, and of other tables what its tenant has.
pub(super) const OF_PROJECT: &str = "SELECT set_config('app.tenant', $1, true),
    set_config('app.project', $2, true)";
/// The same, and waits for the tenant's other writers.
pub(super) const TURN_OF_PROJECT: &str = "SELECT set_config('app.tenant', $1, true),
    set_config('app.project', $2, true), pg_advisory_xact_lock(hashtextextended($1, 0))";
/// Sees one tenant, and waits for who else asks for its limits; not for those who write what is not
/// lent.
pub(super) const TURN_OF_LEASES: &str = "SELECT set_config('app.tenant', $1, true),
    pg_advisory_xact_lock(hashtextextended($1, 1))";
/// Waits for the other writers of each of some tenants.
const TURN_OF_EACH: &str = "SELECT COUNT(pg_advisory_xact_lock(hashtextextended(t, 0)))
    FROM (SELECT t FROM unnest($1::TEXT[]) WITH ORDINALITY AS u (t, n) ORDER BY n) AS s";
/// Sees all tenants.
pub(super) const OF_EVERY_TENANT: &str = "SELECT set_config('app.every_tenant', $1, true)";
/// Sees all tenants, when nobody else does housekeeping.
pub(super) const EVERY_TENANT: &str = "SELECT set_config('app.every_tenant', $1, true),
    pg_advisory_xact_lock(24935, 0)";
/// Sees all tenants, beside others who add to the ledger: none of them begins while one waits to be
/// alone. The statements that follow see what was committed before that one was.
pub(super) const TO_LEDGER: &str = "SELECT set_config('app.every_tenant', $1, true),
    pg_advisory_xact_lock_shared(24935, 2)";
/// The same when nobody else adds to it.
pub(super) const TO_LEDGER_ALONE: &str = "SELECT set_config('app.every_tenant', $1, true),
    pg_advisory_xact_lock(24935, 2)";
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

/// A transaction that begins with a statement about a tenant and its project.
pub(super) async fn begin_project(
    pool: &PgPool,
    first: &'static str,
    (tenant, project): (&str, &str),
) -> Result<Transaction, StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::query(first).bind(tenant).bind(project).execute(&mut *transaction).await?;
    Ok(Transaction::Postgres(transaction))
}

/// A transaction that sees all tenants at one moment.
pub(super) async fn begin_moment(pool: &PgPool) -> Result<Transaction, StoreError> {
    let mut transaction = pool.begin_with(ONE_MOMENT).await?;
    sqlx::query(SEE_EVERY_TENANT).execute(&mut *transaction).await?;
    Ok(Transaction::Postgres(transaction))
}

/// A transaction that writes for several tenants. All who wait for several do so in one order, so
/// none waits for another in a circle.
pub(super) async fn begin_several(
    pool: &PgPool,
    tenants: &BTreeSet<&str>,
) -> Result<Transaction, StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::query(SEE_EVERY_TENANT).execute(&mut *transaction).await?;
    let tenants: Vec<&str> = tenants.iter().copied().collect();
    sqlx::query(TURN_OF_EACH).bind(tenants).execute(&mut *transaction).await?;
    Ok(Transaction::Postgres(transaction))
}
