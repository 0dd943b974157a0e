//! Row-level security of PostgreSQL around every table that the catalogue has: a table that a later
//! migration adds is tried without a word here.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{On, Opened, postgres};

/// Tables and whatever else rows are read from, with their columns and the columns' types.
const COLUMNS: &str = "SELECT c.relname::TEXT, c.relkind::TEXT,
        c.relrowsecurity AND c.relforcerowsecurity, a.attname::TEXT, t.typname::TEXT
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND c.relname <> '_sqlx_migrations' AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum";
/// Tables of one tenant say whose a row is in one of these.
const OF_TENANT: [&str; 2] = ["tenant", "organization_id"];

struct Table {
    name: String,
    is_walled: bool,
    /// Names, and types.
    columns: Vec<(String, String)>,
}

impl Table {
    /// The column that says whose a row is, if there is one.
    fn tenant(&self) -> Option<&str> {
        let names = self.columns.iter().map(|(name, _)| name.as_str());
        if self.name == "organizations" {
            return Some("id");
        }
        names.into_iter().find(|name| OF_TENANT.contains(name))
    }

    /// Adds a row of a tenant, whose other texts are one text and whose numbers are 1.
    fn insert(&self, tenant: &str, text: &str) -> String {
        let of_tenant = self.tenant().expect("it is of a tenant");
        let values = self.columns.iter().map(|(name, kind)| match kind.as_str() {
            _ if name == of_tenant => format!("'{tenant}'"),
            "text" => format!("'{text}'"),
            "int8" => "1".to_owned(),
            other => panic!("say what a {other} may be, for {name} of {}", self.name),
        });
        let values: Vec<String> = values.collect();
        format!("INSERT INTO {} VALUES ({})", self.name, values.join(", "))
    }
}

async fn tables(connection: &mut PgConnection) -> Vec<Table> {
    let rows: Vec<(String, String, bool, String, String)> =
        sqlx::query_as(COLUMNS).fetch_all(connection).await.unwrap();
    let mut tables: Vec<Table> = Vec::new();
    for (name, kind, is_walled, column, of) in rows {
        assert_eq!(kind, "r", "{name} is no plain table: what it shows has no wall of its own");
        match tables.last_mut().filter(|last| last.name == name) {
            Some(last) => last.columns.push((column, of)),
            None => tables.push(Table { name, is_walled, columns: vec![(column, of)] }),
        }
    }
    tables
}

/// How many rows a statement gives or changes as a tenant.
async fn as_tenant(connection: &mut PgConnection, tenant: &str, sql: String) -> u64 {
    let mut transaction = connection.begin().await.unwrap();
    let set = sqlx::query("SELECT set_config('app.tenant', $1, true)").bind(tenant);
    set.execute(&mut *transaction).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
    done.rows_affected()
}

#[tokio::test]
async fn no_table_shows_a_tenant_the_rows_of_another() {
    if !postgres::is_there() {
        return;
    }
    let Opened { database, .. } = &Opened::new(On::Postgres).await;
    let mut everybody = postgres::connect_as_superuser(database).await;
    let tables = tables(&mut everybody).await;
    // Rows stand alone here: what they refer to is not looked for.
    let alone = sqlx::raw_sql("SET session_replication_role = replica");
    alone.execute(&mut everybody).await.unwrap();
    let mut connection = postgres::connect(database).await;
    let mut num_walled = 0;
    for table in &tables {
        let name = &table.name;
        assert_eq!(table.is_walled, table.tenant().is_some(), "the wall around {name}");
        let Some(column) = table.tenant() else { continue };
        for (tenant, text) in [("a", "of a"), ("b", "of b")] {
            let insert = AssertSqlSafe(table.insert(tenant, text));
            sqlx::raw_sql(insert).execute(&mut everybody).await.unwrap();
        }
        let all = format!("SELECT * FROM {name}");
        let of_a = format!("SELECT * FROM {name} WHERE {column} = 'a'");
        for (tenant, own, of_as) in [("a", 1, 1), ("b", 1, 0), ("c", 0, 0), ("", 0, 0)] {
            let seen = as_tenant(&mut connection, tenant, all.clone()).await;
            assert_eq!(seen, own, "rows of {name} for {tenant:?}");
            let seen = as_tenant(&mut connection, tenant, of_a.clone()).await;
            assert_eq!(seen, of_as, "a's rows of {name} for {tenant:?}");
        }
        for change in [
            format!("UPDATE {name} SET {column} = {column} WHERE {column} = 'a'"),
            format!("DELETE FROM {name} WHERE {column} = 'a'"),
        ] {
            assert_eq!(as_tenant(&mut connection, "b", change.clone()).await, 0, "{change}");
        }
        cannot_be_written(&mut connection, table).await;
        num_walled += 1;
    }
    assert!(num_walled >= 25, "only {num_walled} tables");
}

/// As one tenant, a row of another is refused.
async fn cannot_be_written(connection: &mut PgConnection, table: &Table) {
    let mut transaction = connection.begin().await.unwrap();
    let set = sqlx::query("SELECT set_config('app.tenant', 'b', true)");
    set.execute(&mut *transaction).await.unwrap();
    let insert = sqlx::query(AssertSqlSafe(table.insert("a", "of another")));
    let error = insert.execute(&mut *transaction).await.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{}: {error}", table.name);
}
