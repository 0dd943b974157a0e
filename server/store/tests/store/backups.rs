//! Backups, from either database into either.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use server_store::{
    BackupError, Completion, Conversation, Database, Limits, Response, Store, backup, restore,
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::projects::first_version;
use crate::{On, Opened, is_missing, item, of, postgres, response};

crate::on_both! {
    everything_comes_back,
    a_backup_goes_into_the_other_database,
    a_writer_goes_on_during_a_backup,
    what_is_no_backup_is_refused,
    a_damaged_backup_is_refused,
    a_newer_backup_is_refused,
    a_database_in_use_is_not_replaced,
    what_a_database_holds_is_not_replaced_unless_forced,
    a_backup_is_never_written_over_something,
    an_older_backup_is_brought_up_to_date,
}

/// Tables that the first version had not, each before those that it refers to.
const LATER_TABLES: &str =
    "deleted_organizations installation leases shared_rates counted commitments provisions
    billing_notices billing_spans billing_customers billing
    outbox alert_marks alerts webhooks prices usage_sums usage_hours
    usage_days ledger audit_heads audit_log key_secrets keys invitations service_accounts
    project_memberships memberships
    roles login_failures user_tokens sessions identities recovery_codes users projects organizations
    revisions";

/// An empty database and a folder for files.
async fn place(on: On) -> (Database, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = match on {
        On::Sqlite => Database::File(folder.path().join("other.db")),
        On::Postgres => postgres::fresh().await,
    };
    (database, folder)
}

/// One of everything, for two tenants.
pub(crate) async fn fill(store: &Store) {
    for tenant in ["a", "b"] {
        let made = Response {
            previous_id: Some("earlier".to_owned()),
            body: format!("of {tenant}: 'quoted', \"doubly\", ünï"),
            output_ids: vec!["made".to_owned()],
            ..response("r", None)
        };
        store.add_response(&of(tenant), &made, &[]).await.unwrap();
        let conversation =
            Conversation { id: "c".to_owned(), created_at: 7, metadata: "{}".to_owned() };
        let items: Vec<_> = (0..250).map(|idx| item(&format!("i{idx}"))).collect();
        store.add_conversation(&of(tenant), &conversation, &items).await.unwrap();
        let completion = Completion { id: "k".to_owned(), ..Completion::default() };
        let metadata = [("k".to_owned(), tenant.to_owned())];
        store.add_completion(&of(tenant), &completion, &metadata).await.unwrap();
    }
}

async fn is_filled(store: &Store) {
    for tenant in ["a", "b"] {
        let kept = store.maker(&of(tenant), "made").await.unwrap();
        assert_eq!(kept.body, format!("of {tenant}: 'quoted', \"doubly\", ünï"));
        assert_eq!((kept.previous_id.as_deref(), kept.conversation_id), (Some("earlier"), None));
        let items = store.all_items(&of(tenant), "c").await.unwrap();
        assert_eq!((items.len(), items[249].id.as_str()), (250, "i249"));
        assert!(store.completion(&of(tenant), "k").await.is_ok());
        assert_eq!(store.used(tenant).await.unwrap().0, 253);
    }
}

/// A backup of a store that was filled, in a folder of its own.
async fn written(on: On) -> (Opened, TempDir, PathBuf) {
    let opened = Opened::new(on).await;
    fill(&opened.store).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.backup");
    let written = backup(&opened.database, &file).await.unwrap();
    assert_eq!(written.num_bytes, fs::metadata(&file).unwrap().len());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left beside it");
    (opened, folder, file)
}

async fn everything_comes_back(on: On) {
    let (opened, folder, file) = written(on).await;
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o077, 0);
    // What came after the backup goes.
    opened.store.add_response(&of("a"), &response("later", None), &[]).await.unwrap();
    opened.store.delete_conversation(&of("b"), "c").await.unwrap();
    opened.store.close().await;
    let restored = restore(&file, &opened.database, folder.path(), true).await.unwrap();
    assert!(restored.version >= 2);
    let opened = opened.reopen(Limits::default()).await;
    is_filled(&opened.store).await;
    assert!(is_missing(opened.store.response(&of("a"), "later").await));
    // It goes on as before.
    opened.store.add_items(&of("a"), "c", &[item("next")]).await.unwrap();
    opened.store.delete_response(&of("b"), "r").await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left");
}

async fn a_backup_goes_into_the_other_database(on: On) {
    if !postgres::is_there() {
        return;
    }
    let (_opened, folder, file) = written(on).await;
    let other = if on == On::Sqlite { On::Postgres } else { On::Sqlite };
    let (database, _other_folder) = place(other).await;
    restore(&file, &database, folder.path(), false).await.unwrap();
    let store = Store::open(&database, Limits::default()).await.unwrap();
    is_filled(&store).await;
    store.close().await;
}

/// What was acknowledged before a backup began is in it, in order and without a gap.
async fn a_writer_goes_on_during_a_backup(on: On) {
    let opened = Opened::new(on).await;
    fill(&opened.store).await;
    let (num_added, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = tokio::spawn({
        let (store, num_added) = (opened.store.clone(), num_added.clone());
        let is_over = is_over.clone();
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let id = format!("w{}", num_added.load(Ordering::SeqCst));
                store.add_items(&of("a"), "c", &[item(&id)]).await.unwrap();
                num_added.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let (database, folder) = place(on).await;
    let mut backups = Vec::new();
    for number in 0..3 {
        while num_added.load(Ordering::SeqCst) < 5 * (number + 1) {
            tokio::task::yield_now().await;
        }
        let file = folder.path().join(format!("{number}.backup"));
        let before = num_added.load(Ordering::SeqCst);
        backup(&opened.database, &file).await.unwrap();
        backups.push((file, before, num_added.load(Ordering::SeqCst)));
    }
    is_over.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    for (file, before, after) in backups {
        restore(&file, &database, folder.path(), true).await.unwrap();
        let store = Store::open(&database, Limits::default()).await.unwrap();
        let items = store.all_items(&of("a"), "c").await.unwrap();
        let ids: Vec<_> = items.into_iter().skip(250).map(|item| item.id).collect();
        let expected: Vec<_> = (0..ids.len()).map(|number| format!("w{number}")).collect();
        assert_eq!(ids, expected);
        // The writer may have been between writing and counting.
        assert!((before as usize..=after as usize + 1).contains(&ids.len()), "{before} {after}");
        let num_rows = i64::try_from(253 + ids.len()).unwrap();
        assert_eq!(store.used("a").await.unwrap().0, num_rows, "not of one moment");
        store.close().await;
    }
}

/// Tries to restore `file` over what is there, which stays.
async fn refused(opened: Opened, file: &Path, scratch: &Path) -> BackupError {
    opened.store.close().await;
    let error = restore(file, &opened.database, scratch, true).await.unwrap_err();
    let opened = opened.reopen(Limits::default()).await;
    is_filled(&opened.store).await;
    error
}

async fn what_is_no_backup_is_refused(on: On) {
    let (opened, folder, file) = written(on).await;
    let other = folder.path().join("other");
    // A text, an empty file, and a database that is no backup.
    fs::write(&other, "something else".repeat(100)).unwrap();
    let error = refused(opened, &other, folder.path()).await;
    assert!(matches!(error, BackupError::NotABackup(_)), "{error}");
    let (database, _folder) = place(on).await;
    for content in [Vec::new(), plain_database(folder.path()).await] {
        fs::write(&other, content).unwrap();
        let error = restore(&other, &database, folder.path(), true).await.unwrap_err();
        assert!(matches!(error, BackupError::NotABackup(_)), "{error}");
    }
    let missing = folder.path().join("missing");
    let error = restore(&missing, &database, folder.path(), true).await.unwrap_err();
    assert!(matches!(error, BackupError::File { .. }), "{error}");
    restore(&file, &database, folder.path(), false).await.unwrap();
}

async fn plain_database(folder: &Path) -> Vec<u8> {
    let path = folder.join("plain.db");
    let store = Store::open(&Database::File(path.clone()), Limits::default()).await.unwrap();
    store.close().await;
    fs::read(path).unwrap()
}

async fn a_damaged_backup_is_refused(on: On) {
    let (opened, folder, file) = written(on).await;
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&file, &flipped).unwrap();
    let error = refused(opened, &file, folder.path()).await;
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    let (database, _folder) = place(on).await;
    let longer = [whole.as_slice(), b"more"].concat();
    for content in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &longer] {
        fs::write(&file, content).unwrap();
        let error = restore(&file, &database, folder.path(), true).await.unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }
}

/// Changes what a backup holds, and seals it again.
async fn changed(file: &Path, sql: &str) {
    const SEAL_LEN: usize = 85;
    let sealed = fs::read(file).unwrap();
    fs::write(file, &sealed[..sealed.len() - SEAL_LEN]).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let image = fs::read(file).unwrap();
    let seal = format!("\nagentbase backup 1 {}\n", blake3::hash(&image).to_hex());
    assert_eq!(seal.len(), SEAL_LEN);
    fs::write(file, [image.as_slice(), seal.as_bytes()].concat()).unwrap();
}

async fn a_newer_backup_is_refused(on: On) {
    let (opened, folder, file) = written(on).await;
    let newer = "INSERT INTO _sqlx_migrations
        (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', TRUE, '', 0)";
    changed(&file, newer).await;
    let error = refused(opened, &file, folder.path()).await;
    assert!(matches!(error, BackupError::Newer { theirs: 9999, .. }), "{error}");
}

async fn an_older_backup_is_brought_up_to_date(on: On) {
    let (_opened, folder, file) = written(on).await;
    let older = "DELETE FROM _sqlx_migrations WHERE version > 1";
    changed(&file, &format!("{}; {older}", first_version())).await;
    for table in LATER_TABLES.split_whitespace() {
        changed(&file, &format!("DROP TABLE {table}")).await;
    }
    let (database, _folder) = place(on).await;
    restore(&file, &database, folder.path(), false).await.unwrap();
    let store = Store::open(&database, Limits::default()).await.unwrap();
    is_filled(&store).await;
    store.close().await;
}

async fn a_database_in_use_is_not_replaced(on: On) {
    let (opened, folder, file) = written(on).await;
    let error = restore(&file, &opened.database, folder.path(), true).await.unwrap_err();
    assert!(matches!(error, BackupError::InUse), "{error}");
    is_filled(&opened.store).await;
    opened.store.close().await;
    restore(&file, &opened.database, folder.path(), true).await.unwrap();
}

async fn what_a_database_holds_is_not_replaced_unless_forced(on: On) {
    let (opened, folder, file) = written(on).await;
    opened.store.add_response(&of("a"), &response("later", None), &[]).await.unwrap();
    opened.store.close().await;
    let error = restore(&file, &opened.database, folder.path(), false).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty), "{error}");
    let opened = opened.reopen(Limits::default()).await;
    assert!(opened.store.response(&of("a"), "later").await.is_ok());
    // One that was opened and never written to is empty.
    let (database, _folder) = place(on).await;
    Store::open(&database, Limits::default()).await.unwrap().close().await;
    restore(&file, &database, folder.path(), false).await.unwrap();
}

async fn a_backup_is_never_written_over_something(on: On) {
    let (opened, folder, file) = written(on).await;
    let before = fs::read(&file).unwrap();
    let error = backup(&opened.database, &file).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists(_)), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // Nor a half.
    let nowhere = folder.path().join("no such folder/kept.backup");
    assert!(backup(&opened.database, &nowhere).await.is_err());
}
