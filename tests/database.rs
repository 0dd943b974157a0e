//! The database as who runs a server sees it: brought up to date, backed up and restored, beside
//! the real binary that serves from it. On SQLite, and on PostgreSQL where there is one.

mod support;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use support::binary::{Server, fail, id, import, naming, postgres, send, succeed};
use tempfile::TempDir;

fn run(dir: &Path, args: &[&str], url: Option<&str>) -> String {
    succeed(dir, &[args, &naming(url)].concat())
}

fn refused(dir: &Path, args: &[&str], url: Option<&str>) -> String {
    fail(dir, &[args, &naming(url)].concat())
}

fn serve(dir: &Path, url: Option<&str>) -> Server {
    let stores = ["--kv-cache", "8MiB", "--store-prompts", "when-asked"];
    Server::start_with(dir, &[&stores, &*naming(url)].concat())
}

/// A backup is taken while a writer goes on, and is what comes back.
fn is_backed_up_and_restored(url: Option<&str>) {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = serve(dir.path(), url);
    let key = server.key.clone().expect("the first start shows a key");
    let body = r#"{"metadata": {"title": "before"}}"#;
    let made = send(&server.address, &key, "POST", "/v1/conversations", body).expect("it is made");
    let before = format!("/v1/conversations/{}", id(&made));
    let file = dir.path().join("kept.backup").display().to_string();
    let (num_written, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let made = send(&server.address, &key, "POST", "/v1/conversations", "{}");
                made.expect("it is written");
                num_written.fetch_add(1, Ordering::SeqCst);
            }
        });
        let wait_for_more = || {
            let so_far = num_written.load(Ordering::SeqCst);
            while num_written.load(Ordering::SeqCst) < so_far + 3 {
                std::thread::yield_now();
            }
        };
        wait_for_more();
        let told = run(dir.path(), &["backup", &file], url);
        assert!(told.contains("version"), "{told}");
        wait_for_more();
        is_over.store(true, Ordering::SeqCst);
    });
    let made = send(&server.address, &key, "POST", "/v1/conversations", "{}").expect("it is made");
    let after = format!("/v1/conversations/{}", id(&made));
    let error = refused(dir.path(), &["restore", &file, "--force"], url);
    assert!(error.contains("stop its servers"), "{error}");
    server.kill();
    let error = refused(dir.path(), &["restore", &file], url);
    assert!(error.contains("--force") && error.contains("not changed"), "{error}");
    let told = run(dir.path(), &["restore", &file, "--force"], url);
    assert!(told.contains("kept.backup"), "{told}");
    let server = serve(dir.path(), url);
    let kept = send(&server.address, &key, "GET", &before, "").expect("it came back");
    assert!(kept.contains("before"), "{kept}");
    assert_eq!(send(&server.address, &key, "GET", &after, ""), None, "it came after the backup");
    server.kill();
    // A damaged one changes nothing.
    let mut bytes = std::fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("it is written");
    let error = refused(dir.path(), &["restore", &file, "--force"], url);
    assert!(error.contains("damaged"), "{error}");
    let server = serve(dir.path(), url);
    assert!(send(&server.address, &key, "GET", &before, "").is_some());
    server.kill();
}

#[test]
fn sqlite_is_backed_up_and_restored() {
    is_backed_up_and_restored(None);
}

#[test]
fn postgresql_is_backed_up_and_restored() {
    if let Some(url) = postgres("backed_up") {
        is_backed_up_and_restored(Some(&url));
    }
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
