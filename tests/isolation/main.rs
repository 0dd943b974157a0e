//! Nobody sees or changes anything of another organization, or of another project, by whichever
//! operation of the served description: the real binary with all that it serves, on SQLite, and on
//! PostgreSQL where there is one, as a role that row-level security binds.
//!
//! Invariant: what is sent is made from the description. An operation that it gains is tried
//! without a word here; a parameter that it gains has to be named in `named.rs`.

mod attack;
mod control;
mod document;
mod marks;
mod named;
mod other;
mod sample;
#[path = "../support/mod.rs"]
mod support;
mod tenant;
mod unnamed;
mod world;

use support::binary::postgres;

#[test]
fn nothing_of_another_is_told_or_changed() {
    attack::run(None);
}

#[test]
fn nothing_of_another_is_told_or_changed_on_postgres() {
    let Some(url) = postgres("isolation") else { return };
    attack::run(Some(url));
}
