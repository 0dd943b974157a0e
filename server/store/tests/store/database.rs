//! Files, what is no database, and one that hangs.

use std::time::Duration;

use server_store::{Database, Item, Limits, Store, StoreError, migrate};
use sqlx::{Connection, SqliteConnection};

use crate::{On, Opened, is_missing, item, of, page, postgres, response};

crate::on_both! {
    a_database_that_hangs_is_an_error_in_time,
    migrating_says_from_what_to_what,
    a_newer_database_is_refused,
    any_text_can_be_looked_for,
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let opened = Opened::new(On::Sqlite).await;
    opened.store.add_response(&of("a"), &response("r", None), &[]).await.unwrap();
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
    assert!(Store::open(&Database::File(path), Limits::default()).await.is_err());
    let missing = Database::File(folder.path().join("no such folder/store.db"));
    let error = Store::open(&missing, Limits::default()).await;
    assert!(matches!(error, Err(StoreError::Create(_))));
}

/// A connection that holds what writers need, and does not let go.
enum Holder {
    Sqlite(SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Holder {
    async fn new(on: On, opened: &Opened) -> Self {
        match on {
            On::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(opened.path());
                let mut other = SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
                Self::Sqlite(other)
            }
            On::Postgres => {
                let mut other = postgres::connect(&opened.database).await;
                let hold = "BEGIN; LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE";
                sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
                Self::Postgres(other)
            }
        }
    }

    async fn let_go(self) {
        match self {
            Self::Sqlite(mut other) => {
                sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            }
            Self::Postgres(mut other) => {
                sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            }
        }
    }
}

async fn a_database_that_hangs_is_an_error_in_time(on: On) {
    // Enough to connect to a server.
    let timeout = Duration::from_millis(if on == On::Postgres { 2000 } else { 100 });
    let opened = Opened::with(on, Limits { timeout, ..Limits::default() }).await;
    let holder = Holder::new(on, &opened).await;
    let added = opened.store.add_response(&of("a"), &response("r", None), &[]).await;
    match added {
        Err(StoreError::Timeout) => {}
        // PostgreSQL gives up on it at the same time.
        Err(StoreError::Database(error)) if on == On::Postgres => {
            assert!(error.to_string().contains("statement timeout"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // It goes on when the lock is free: what was given up on was not done by half.
    holder.let_go().await;
    let retry = async {
        while opened.store.add_response(&of("a"), &response("r", None), &[]).await.is_err() {}
    };
    tokio::time::timeout(Duration::from_secs(60), retry).await.unwrap();
    assert_eq!(opened.store.used("a").await.unwrap().0, 1);
}

async fn migrating_says_from_what_to_what(on: On) {
    let folder = tempfile::tempdir().unwrap();
    let database = match on {
        On::Sqlite => Database::File(folder.path().join("store.db")),
        On::Postgres => postgres::fresh().await,
    };
    let first = migrate(&database).await.unwrap();
    assert_eq!(first.from, 0);
    assert!(first.to >= 2, "{first:?}");
    let again = migrate(&database).await.unwrap();
    assert_eq!((again.from, again.to), (first.to, first.to));
    // What was made so is what a server opens.
    let store = Store::open(&database, Limits::default()).await.unwrap();
    store.add_response(&of("a"), &response("r", None), &[]).await.unwrap();
    // Beside a server, too.
    assert_eq!(migrate(&database).await.unwrap(), again);
    store.close().await;
}

async fn a_newer_database_is_refused(on: On) {
    let opened = Opened::new(on).await;
    opened.store.close().await;
    let newer = "INSERT INTO _sqlx_migrations
        (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', TRUE, '', 0)";
    match on {
        On::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(opened.path());
            let mut other = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query(newer).execute(&mut other).await.unwrap();
            other.close().await.unwrap();
        }
        On::Postgres => {
            let mut other = postgres::connect(&opened.database).await;
            sqlx::query(newer).execute(&mut other).await.unwrap();
        }
    }
    let error = Store::open(&opened.database, Limits::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error}");
    assert!(matches!(migrate(&opened.database).await, Err(StoreError::Migration(_))));
}

/// Texts of PostgreSQL have no NUL, and clients choose ids.
async fn any_text_can_be_looked_for(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    assert!(is_missing(store.response(&of("a"), "r\0").await));
    let metadata = [("k\0".to_owned(), "v\0".to_owned())];
    let completion = server_store::Completion { id: "c".to_owned(), ..Default::default() };
    store.add_completion(&of("a"), &completion, &metadata).await.unwrap();
    let filter = server_store::CompletionFilter { model: None, metadata: metadata.to_vec() };
    let found = store.completions(&of("a"), &filter, &page(None, 9, false)).await.unwrap();
    assert_eq!(found.rows.len(), 1);
    let conversation =
        server_store::Conversation { id: "v".to_owned(), created_at: 7, metadata: "{}".to_owned() };
    let item = Item { id: "i\0".to_owned(), ..item("i") };
    store.add_conversation(&of("a"), &conversation, std::slice::from_ref(&item)).await.unwrap();
    assert_eq!(store.item(&of("a"), "v", "i\0").await.unwrap(), item.json);
}
