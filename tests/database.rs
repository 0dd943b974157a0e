//! The database as who runs a server sees it. On SQLite, and on PostgreSQL where there is one.

mod support;

use std::{path::Path, process::Command};

use support::binary::{fail, succeed};
use tempfile::TempDir;

/// A database of PostgreSQL for one test; `None`, and a word of it, without a PostgreSQL.
#[allow(clippy::print_stderr, reason = "who runs the tests is told")]
fn postgres(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("AGENTBASE_TEST_POSTGRES") else {
        eprintln!("SKIPPED: AGENTBASE_TEST_POSTGRES names no PostgreSQL; `cargo xtask test` does");
        return None;
    };
    let name = format!("{name}_{}", std::process::id());
    for sql in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
        let made = Command::new("psql").args(["--quiet", "--command", &sql, &url]).status();
        assert!(made.expect("psql is there").success());
    }
    Some(url.replace("/postgres?", &format!("/{name}?")))
}

/// Arguments that name a database; none for the file in the data directory.
fn naming(url: Option<&str>) -> Vec<&str> {
    url.map(|url| vec!["--database-url", url]).unwrap_or_default()
}

fn run(dir: &Path, args: &[&str], url: Option<&str>) -> String {
    succeed(dir, &[args, &naming(url)].concat())
}

fn refused(dir: &Path, args: &[&str], url: Option<&str>) -> String {
    fail(dir, &[args, &naming(url)].concat())
}

fn is_migrated_once(url: Option<&str>) {
    let dir = TempDir::new().expect("a folder");
    let told = run(dir.path(), &["migrate"], url);
    assert!(told.contains("from version 0 to "), "{told}");
    let told = run(dir.path(), &["migrate"], url);
    assert!(told.contains("is up to date"), "{told}");
}

#[test]
fn sqlite_is_migrated_once() {
    is_migrated_once(None);
}

#[test]
fn postgresql_is_migrated_once() {
    if let Some(url) = postgres("migrated") {
        is_migrated_once(Some(&url));
    }
}

#[test]
fn a_url_that_is_none_is_told_without_its_password() {
    let dir = TempDir::new().expect("a folder");
    for url in ["mysql://me:secret@host/kept", "postgres://me:secret@:x/kept", "secret"] {
        let error = refused(dir.path(), &["migrate"], Some(url));
        assert!(error.contains("postgres://USER") && !error.contains("secret"), "{error}");
    }
    // Nobody listens there; the start fails, and says which database it is.
    let url = "postgres://me:secret@127.0.0.1:9/kept";
    let error = refused(dir.path(), &["migrate"], Some(url));
    assert!(error.contains("127.0.0.1:9") && !error.contains("secret"), "{error}");
}
