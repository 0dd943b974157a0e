//! A database for a test.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use server_store::Database;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::On;

const URL: &str = "AGENTBASE_TEST_POSTGRES";
/// An ordinary role: no superuser, and bound by row-level security.
const ROLE: &str = "agentbase_test";
/// Made at once by several processes, it fails in all but one of them.
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE agentbase_test LOGIN NOSUPERUSER NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Whether there is a PostgreSQL; if not, it says so.
#[allow(clippy::print_stderr, reason = "who runs the tests is told")]
pub(crate) fn is_there() -> bool {
    let is_there = std::env::var_os(URL).is_some();
    if !is_there {
        eprintln!("SKIPPED: {URL} names no PostgreSQL; `cargo xtask test` starts one");
    }
    is_there
}

/// An empty one.
pub(crate) async fn fresh(on: On, folder: &Path) -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if on == On::Sqlite {
        return Database::File(folder.join("store.db"));
    }
    let options: PgConnectOptions = std::env::var(URL).unwrap().parse().unwrap();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("subscriptions_{}_{number}", std::process::id());
    let mut admin = options.connect().await.unwrap();
    for sql in [
        MAKE_ROLE.to_owned(),
        // Left by an earlier process of the same number.
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
    Database::Postgres(Box::new(options.username(ROLE).database(&name)))
}
