//! A real SQLite file: what is kept, for whom, and for how long.

mod completions;
mod conversations;
mod responses;

use std::path::PathBuf;
use std::time::Duration;

use server_store::{Item, Limits, PageQuery, Response, Store, StoreError};
use tempfile::TempDir;

pub(crate) struct Opened {
    pub(crate) store: Store,
    folder: TempDir,
}

impl Opened {
    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), limits).await.unwrap();
        Self { store, folder }
    }

    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// The same file, opened anew.
    pub(crate) async fn reopen(self, limits: Limits) -> Self {
        self.store.close().await;
        let store = Store::open(&self.path(), limits).await.unwrap();
        Self { store, folder: self.folder }
    }
}

pub(crate) fn response(id: &str, previous: Option<&str>) -> Response {
    Response {
        id: id.to_owned(),
        created_at: 7,
        status: "completed".to_owned(),
        previous_id: previous.map(str::to_owned),
        conversation_id: None,
        body: format!("{{\"id\":\"{id}\"}}"),
        input: "[]".to_owned(),
        output_ids: Vec::new(),
    }
}

pub(crate) fn item(id: &str) -> Item {
    Item { id: id.to_owned(), json: format!("{{\"id\":\"{id}\"}}") }
}

pub(crate) fn page(after: Option<&str>, limit: u32, descending: bool) -> PageQuery {
    PageQuery { after: after.map(str::to_owned), limit, descending }
}

pub(crate) fn is_missing<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

pub(crate) fn brief() -> Limits {
    Limits { retention: Duration::ZERO, ..Limits::default() }
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let opened = Opened::new().await;
    opened.store.add_response("a", &response("r", None), &[]).await.unwrap();
    for file in std::fs::read_dir(opened.path().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "not a database, but a text that someone has put here".repeat(40))
        .unwrap();
    assert!(Store::open(&path, Limits::default()).await.is_err());
    let missing = folder.path().join("no such folder/store.db");
    let error = Store::open(&missing, Limits::default()).await;
    assert!(matches!(error, Err(StoreError::Create(_))));
}

/// Another connection holds the lock that writers need, and does not let go.
#[tokio::test]
async fn a_database_that_hangs_is_an_error_in_time() {
    use sqlx::Connection;
    let limits = Limits { timeout: Duration::from_millis(100), ..Limits::default() };
    let opened = Opened::with(limits).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(opened.path());
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let added = opened.store.add_response("a", &response("r", None), &[]).await;
    assert!(matches!(added, Err(StoreError::Timeout)), "{added:?}");
    // It goes on when the lock is free: what was given up on was not done by half.
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let retry =
        async { while opened.store.add_response("a", &response("r", None), &[]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(60), retry).await.unwrap();
    assert_eq!(opened.store.used("a").await.unwrap().0, 1);
}
