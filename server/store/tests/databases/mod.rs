//! The databases that tests run on: SQLite, and the PostgreSQL of `AGENTBASE_TEST_POSTGRES`, which
//! is the URL of a superuser. Other crates' tests have this file by its path.

use std::sync::atomic::{AtomicU32, Ordering};

use server_store::Database;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

const URL: &str = "AGENTBASE_TEST_POSTGRES";
/// An ordinary role: no superuser, and bound by row-level security.
const ROLE: &str = "agentbase_test";
/// Made at once by several processes, it fails in all but one of them.
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE agentbase_test LOGIN NOSUPERUSER NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// Makes two tests of each function that takes [`On`]. Without a PostgreSQL, which `cargo xtask
/// test` starts, the second does nothing but say so.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::databases::On::Sqlite).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if crate::databases::has_postgres() {
                    super::$name(crate::databases::On::Postgres).await;
                }
            })*
        }
    };
}

pub(crate) use on_both;

/// Whether there is a PostgreSQL; if not, it says so.
#[allow(clippy::print_stderr, reason = "who runs the tests is told")]
pub(crate) fn has_postgres() -> bool {
    let is_there = std::env::var_os(URL).is_some();
    if !is_there {
        eprintln!("SKIPPED: {URL} names no PostgreSQL; `cargo xtask test` starts one");
    }
    is_there
}

/// A new database of PostgreSQL, for the role that owns it; crates differ by what its name begins
/// with.
pub(crate) async fn fresh_postgres(prefix: &str) -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let options: PgConnectOptions = std::env::var(URL).expect("it is set").parse().expect("a URL");
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{prefix}_{}_{number}", std::process::id());
    let mut admin = options.connect().await.unwrap();
    sqlx::raw_sql(MAKE_ROLE).execute(&mut admin).await.unwrap();
    // Left by an earlier process of the same number.
    for sql in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
    admin.close().await.unwrap();
    Database::Postgres(Box::new(options.username(ROLE).database(&name)))
}
