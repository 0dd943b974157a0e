//! Stripe at work in a server, against a stand-in of it, on real databases: every test runs on
//! SQLite and on PostgreSQL.

mod database;
mod life;
mod requests;
#[allow(dead_code, reason = "it is shared with the tests of server/billing, which use all of it")]
#[path = "../../../billing/tests/billing/stand_in/mod.rs"]
mod stand_in;
mod world;

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
                super::$name(crate::On::Sqlite).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if crate::database::is_there() {
                    super::$name(crate::On::Postgres).await;
                }
            })*
        }
    };
}

pub(crate) use on_both;
