//! Stripe at work in a server, against a stand-in of it, on real databases: every test runs on
//! SQLite and on PostgreSQL.

#[path = "../../../store/tests/databases/mod.rs"]
mod databases;
mod letters;
mod life;
mod requests;
#[allow(dead_code, reason = "it is shared with the tests of server/billing, which use all of it")]
#[path = "../../../billing/tests/billing/stand_in/mod.rs"]
mod stand_in;
mod world;

pub(crate) use self::databases::{On, on_both};
