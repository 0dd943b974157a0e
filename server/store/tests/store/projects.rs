//! What a project's clients ask to be kept is the project's own, by the database's own rule too.

use server_store::{Completion, Conversation, Limits, Store, StoreError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::postgres::{connect, connect_for_all, fresh, is_there};
use crate::{On, Opened, item, of, page, project, response};

crate::on_both! {
    what_was_kept_before_is_the_first_projects,
    projects_share_their_organizations_room,
    what_expired_of_each_project_is_removed,
}

const KEPT: &str = include_str!("../../migrations/0001_kept.sql");
const BEFORE: [&str; 2] = [
    include_str!("../../migrations/0002_process.sql"),
    include_str!("../../migrations/0004_accounts.sql"),
];
const WALL: &str = include_str!("../../migrations/0003_row_security.postgres.sql");
const OF_PROJECTS: &str = include_str!("../../migrations/0019_kept_by_projects.sqlite.sql");
const OF_PROJECTS_IN_POSTGRES: &str =
    include_str!("../../migrations/0019_kept_by_projects.postgres.sql");

/// Tables of the first version with their columns, each before those that refer to it.
const COLUMNS: [(&str, &str); 7] = [
    ("tenants", "tenant, num_rows, num_bytes"),
    (
        "responses",
        "tenant, id, created_at, expires_at, status, previous_id, conversation_id, body, input,
            num_bytes",
    ),
    ("response_outputs", "tenant, item_id, response_id"),
    (
        "conversations",
        "tenant, id, created_at, expires_at, metadata, num_items, next_position, num_bytes",
    ),
    ("conversation_items", "tenant, conversation_id, position, id, item, num_bytes"),
    (
        "completions",
        "tenant, id, created_at, expires_at, model, body, messages, num_bytes, position",
    ),
    ("completion_metadata", "tenant, completion_id, name, value"),
];

/// Statements for SQLite that make these tables what they were at first, with their rows.
pub(crate) fn first_version() -> String {
    let mut sql = String::new();
    for (table, _) in COLUMNS.iter().rev() {
        sql.push_str(&format!("CREATE TABLE old_{table} AS SELECT * FROM {table};"));
        sql.push_str(&format!("DROP TABLE {table};"));
    }
    sql.push_str(KEPT);
    for (table, columns) in COLUMNS {
        sql.push_str(&format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table};"
        ));
        sql.push_str(&format!("DROP TABLE old_{table};"));
    }
    sql
}

/// `a` has a project `default` beside an older one, `b` an archived one and two that go on, `c` is
/// no organization.
const ORGANIZATIONS: &str = "
    INSERT INTO organizations (id, name, created_at, revision) VALUES ('a', 'a', 1, 1),
        ('b', 'b', 1, 1);
    INSERT INTO projects (organization_id, id, name, created_at, archived_at, revision) VALUES
        ('a', 'older', 'x', 1, NULL, 1), ('a', 'default', 'x', 2, NULL, 1),
        ('b', 'gone', 'x', 1, 9, 1), ('b', 'second', 'x', 3, NULL, 1),
        ('b', 'first', 'x', 2, NULL, 1);";

/// One of everything, as a tenant had it.
fn rows(tenant: &str) -> String {
    format!(
        "INSERT INTO responses (tenant, id, created_at, expires_at, status, body, input, num_bytes)
            VALUES ('{tenant}', 'r', 1, 2, 'completed', 'said', '[]', 6);
        INSERT INTO response_outputs VALUES ('{tenant}', 'o', 'r');
        INSERT INTO conversations VALUES ('{tenant}', 'c', 1, 2, '{{}}', 1, 1, 2);
        INSERT INTO conversation_items VALUES ('{tenant}', 'c', 0, 'i', 'said', 4);
        INSERT INTO completions VALUES ('{tenant}', 'k', 1, 2, 'm', 'said', '[]', 6, 1);
        INSERT INTO completion_metadata VALUES ('{tenant}', 'k', 'n', 'v');"
    )
}

/// Runs the statements of a database that `make` and then `change` connect to; what it tells then.
macro_rules! told {
    ($make:expr, $change:expr, $before:expr, $migration:expr) => {{
        let (mut connection, mut told) = ($make, Vec::new());
        for sql in $before {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let mut migrating = $change;
        let mut transaction = migrating.begin().await.unwrap();
        sqlx::raw_sql($migration).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        for (table, _) in &COLUMNS[1..] {
            let sql = format!("SELECT tenant, project_id FROM {table} ORDER BY tenant");
            let rows: Vec<(String, String)> =
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
            told.push((*table, rows));
        }
        // What refers to a row goes with it.
        let delete = "DELETE FROM responses; DELETE FROM conversations; DELETE FROM completions";
        sqlx::raw_sql(delete).execute(&mut connection).await.unwrap();
        for (table, _) in &COLUMNS[1..] {
            let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let num: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            assert_eq!(num, 0, "{table}");
        }
        told
    }};
}

async fn what_was_kept_before_is_the_first_projects(on: On) {
    let mut before = vec![KEPT.to_owned()];
    before.extend(BEFORE.map(str::to_owned));
    let rows = ["a", "b", "c"].map(rows);
    let told = match on {
        On::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("old.db");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let options = options.create_if_missing(true);
            before.push(ORGANIZATIONS.to_owned());
            before.extend(rows);
            told!(
                options.connect().await.unwrap(),
                options.connect().await.unwrap(),
                before,
                OF_PROJECTS
            )
        }
        On::Postgres => {
            let database = fresh().await;
            before.extend([WALL, ORGANIZATIONS].map(str::to_owned));
            before.extend(rows);
            // Who migrates sees nothing by itself.
            told!(
                connect_for_all(&database).await,
                connect(&database).await,
                before,
                OF_PROJECTS_IN_POSTGRES
            )
        }
    };
    let row = |tenant: &str, project: &str| (tenant.to_owned(), project.to_owned());
    for (table, rows) in told {
        assert_eq!(rows, [row("a", "default"), row("b", "first"), row("c", "default")], "{table}");
    }
}

/// One of everything.
async fn keep(store: &Store, organization: &str, name: &str) {
    let whose = project(organization, name);
    let mut made = response("r", None);
    made.output_ids = vec!["o".to_owned()];
    store.add_response(&whose, &made, &[]).await.unwrap();
    let conversation =
        Conversation { id: "c".to_owned(), created_at: 7, metadata: "{}".to_owned() };
    store.add_conversation(&whose, &conversation, &[item("i")]).await.unwrap();
    let completion = Completion { id: "k".to_owned(), ..Completion::default() };
    let metadata = [("n".to_owned(), name.to_owned())];
    store.add_completion(&whose, &completion, &metadata).await.unwrap();
}

async fn projects_share_their_organizations_room(on: On) {
    let Opened { store, .. } = &Opened::with(on, Limits { max_rows: 5, ..Limits::default() }).await;
    keep(store, "a", "p").await;
    store.add_response(&project("a", "q"), &response("r", None), &[]).await.unwrap();
    let full = store.add_response(&project("a", "q"), &response("s", None), &[]).await;
    assert!(matches!(full, Err(StoreError::Full { what: "rows", used: 6, max: 5 })), "{full:?}");
    keep(store, "b", "p").await;
}

async fn what_expired_of_each_project_is_removed(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    for name in ["p", "q"] {
        keep(store, "a", name).await;
    }
    let expire = "UPDATE responses SET expires_at = 1; UPDATE conversations SET expires_at = 1;
        UPDATE completions SET expires_at = 1";
    opened.run(expire).await;
    store.add_response(&of("a"), &response("r", None), &[]).await.unwrap();
    assert_eq!(store.sweep_batch().await.unwrap(), 6);
    assert_eq!(store.used("a").await.unwrap().0, 1);
    assert!(store.response(&of("a"), "r").await.is_ok());
    let left = "SELECT (SELECT COUNT(*) FROM conversation_items)
        + (SELECT COUNT(*) FROM response_outputs) + (SELECT COUNT(*) FROM completion_metadata)";
    assert_eq!(opened.count(left).await, 0);
}

/// Statements that name no project, in a transaction that was begun for one or for all of an
/// organization.
#[tokio::test]
async fn a_statement_without_a_project_sees_the_transactions_own_rows() {
    if !is_there() {
        return;
    }
    let Opened { store, database, .. } = &Opened::new(On::Postgres).await;
    for (organization, name) in [("a", "p"), ("a", "q"), ("b", "p")] {
        keep(store, organization, name).await;
    }
    let mut connection = connect(database).await;
    let set = "SELECT set_config('app.tenant', $1, true), set_config('app.project', $2, true)";
    for (organization, name, expected) in
        [("a", "p", 1), ("a", "q", 1), ("a", "none", 0), ("a", "", 2), ("b", "p", 1), ("", "p", 0)]
    {
        for (table, _) in &COLUMNS[1..] {
            let mut transaction = connection.begin().await.unwrap();
            let set = sqlx::query(set).bind(organization).bind(name);
            set.execute(&mut *transaction).await.unwrap();
            let touch = format!("UPDATE {table} SET project_id = project_id");
            let seen = sqlx::query(AssertSqlSafe(touch)).execute(&mut *transaction).await.unwrap();
            assert_eq!(seen.rows_affected(), expected, "{table} for {organization} {name}");
            if expected == 1 {
                let write = format!("UPDATE {table} SET project_id = 'elsewhere'");
                let written = sqlx::query(AssertSqlSafe(write)).execute(&mut *transaction).await;
                let error = written.unwrap_err().to_string();
                assert!(error.contains("row-level security"), "{table}: {error}");
            }
        }
    }
    let query = page(None, 9, false);
    let listed = store.completions(&project("a", "p"), &Default::default(), &query).await.unwrap();
    assert_eq!(listed.rows.len(), 1);
}
