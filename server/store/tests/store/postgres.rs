//! Databases of PostgreSQL; and that its row-level security is a wall of its own.

use server_store::{Conversation, Database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::databases::fresh_postgres;
pub(crate) use crate::databases::has_postgres as is_there;
use crate::{On, Opened, accounts, alerts, item, of, response};

/// A new database, for the role that owns it.
pub(crate) async fn fresh() -> Database {
    fresh_postgres("test").await
}

/// A connection beside the store's, as the same role.
pub(crate) async fn connect(database: &Database) -> PgConnection {
    let Database::Postgres(options) = database else { panic!("this is not PostgreSQL") };
    options.connect().await.unwrap()
}

/// A connection that no row-level security binds.
pub(crate) async fn connect_as_superuser(database: &Database) -> PgConnection {
    let Database::Postgres(of_role) = database else { panic!("this is not PostgreSQL") };
    let url = std::env::var("AGENTBASE_TEST_POSTGRES").expect("it is set");
    let superuser: PgConnectOptions = url.parse().expect("a URL");
    superuser.database(of_role.get_database().unwrap()).connect().await.unwrap()
}

/// The same as the role, which sees all tenants.
pub(crate) async fn connect_for_all(database: &Database) -> PgConnection {
    let mut connection = connect(database).await;
    let see = sqlx::raw_sql("SELECT set_config('app.every_tenant', 'on', false)");
    see.execute(&mut connection).await.unwrap();
    connection
}

const TABLES: [&str; 7] = [
    "tenants",
    "responses",
    "response_outputs",
    "conversations",
    "conversation_items",
    "completions",
    "completion_metadata",
];

/// Statements that name no tenant at all.
#[tokio::test]
async fn a_statement_without_a_tenant_sees_the_transactions_own_rows() {
    if !is_there() {
        return;
    }
    let Opened { store, database, .. } = &Opened::new(On::Postgres).await;
    for (tenant, num) in [("a", 1), ("b", 2)] {
        for idx in 0..num {
            let id = format!("{tenant}{idx}");
            let mut made = response(&id, None);
            made.output_ids = vec![format!("i{idx}")];
            store.add_response(&of(tenant), &made, &[]).await.unwrap();
            let conversation = Conversation { id, created_at: 7, metadata: "{}".to_owned() };
            store.add_conversation(&of(tenant), &conversation, &[item("i")]).await.unwrap();
            let completion = server_store::Completion { id: conversation.id, ..Default::default() };
            let metadata = [("k".to_owned(), "v".to_owned())];
            store.add_completion(&of(tenant), &completion, &metadata).await.unwrap();
        }
    }
    let mut connection = connect(database).await;
    for (tenant, expected) in [("a", 1), ("b", 2), ("c", 0), ("", 0)] {
        for table in TABLES {
            let seen = seen(&mut connection, tenant, table, "tenant").await;
            let expected = if table == "tenants" { expected.min(1) } else { expected };
            assert_eq!(seen, (expected, 0), "{tenant} in {table}");
        }
    }
    // Whoever does not say for whom sees nothing, and changes nothing.
    for table in TABLES {
        let (count,): (i64,) =
            sqlx::query_as(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let removed = sqlx::query("DELETE FROM responses").execute(&mut connection).await.unwrap();
    assert_eq!(removed.rows_affected(), 0);
    assert!(store.response(&of("a"), "a0").await.is_ok());
}

/// The same of accounts.
#[tokio::test]
async fn a_statement_without_an_organization_sees_the_transactions_own_rows() {
    if !is_there() {
        return;
    }
    let Opened { store, database, .. } = &accounts::populated(On::Postgres).await;
    accounts::make_key(store, "b", "p").await;
    alerts::webhook(store, "a", &[]).await;
    let alert = alerts::alert(store, "a").await;
    assert_eq!(alerts::fire(store, &alert, &[50], 1).await, 2);
    let mut connection = connect(database).await;
    let tables = "organizations projects keys key_secrets audit_log webhooks alerts alert_marks
        outbox";
    for (organization, expected) in [
        ("a", [1, 2, 0, 0, 5, 1, 1, 1, 2]),
        ("b", [1, 2, 1, 1, 4, 0, 0, 0, 0]),
        ("c", [0; 9]),
        ("", [0; 9]),
    ] {
        let tables = tables.split_whitespace();
        for (table, expected) in tables.zip(expected) {
            let column = if table == "organizations" { "id" } else { "organization_id" };
            let seen = seen(&mut connection, organization, table, column).await;
            assert_eq!(seen, (expected, 0), "{organization} in {table}");
        }
    }
}

/// How many rows there are for a tenant, and how many of them are others'.
async fn seen(
    connection: &mut PgConnection,
    tenant: &str,
    table: &str,
    column: &str,
) -> (i64, i64) {
    let mut transaction = connection.begin().await.unwrap();
    let set = sqlx::query("SELECT set_config('app.tenant', $1, true)").bind(tenant);
    set.execute(&mut *transaction).await.unwrap();
    let count = format!("SELECT COUNT(*), COUNT(*) FILTER (WHERE {column} <> $1) FROM {table}");
    let count = sqlx::query_as(AssertSqlSafe(count)).bind(tenant);
    count.fetch_one(&mut *transaction).await.unwrap()
}

#[tokio::test]
async fn rows_of_another_tenant_cannot_be_written() {
    if !is_there() {
        return;
    }
    let Opened { database, .. } = &Opened::new(On::Postgres).await;
    let mut connection = connect(database).await;
    let mut transaction = connection.begin().await.unwrap();
    let set = sqlx::query("SELECT set_config('app.tenant', 'a', true)");
    set.execute(&mut *transaction).await.unwrap();
    let insert = |tenant| format!("INSERT INTO tenants VALUES ('{tenant}', 0, 0)");
    let own = sqlx::query(AssertSqlSafe(insert("a"))).execute(&mut *transaction).await;
    assert_eq!(own.unwrap().rows_affected(), 1);
    let others = sqlx::query(AssertSqlSafe(insert("b"))).execute(&mut *transaction).await;
    let error = others.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{error}");
}

/// Users and what is theirs, whichever organizations they belong to; counters, and what holds for
/// all.
const OF_NO_TENANT: [&str; 9] = [
    "counted",
    "identities",
    "installation",
    "login_failures",
    "recovery_codes",
    "revisions",
    "sessions",
    "user_tokens",
    "users",
];

/// A table that a later migration adds has the wall, too.
#[tokio::test]
async fn every_table_has_the_second_wall() {
    if !is_there() {
        return;
    }
    let Opened { database, .. } = &Opened::new(On::Postgres).await;
    let open = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> '_sqlx_migrations'
        AND relnamespace = 'public'::regnamespace AND NOT (relrowsecurity AND relforcerowsecurity)
        ORDER BY relname";
    let mut connection = connect(database).await;
    let open: Vec<(String,)> = sqlx::query_as(open).fetch_all(&mut connection).await.unwrap();
    let open: Vec<&str> = open.iter().map(|(table,)| table.as_str()).collect();
    assert_eq!(open, OF_NO_TENANT);
}
