//! Rows, from one database into the other.
//!
//! Invariant: which tables and columns there are is read from the file itself, so a migration needs
//! no line here; one that brings another type of column is an error, and a test finds it.

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, QueryBuilder,
    Row, SqliteConnection, Type,
};

use super::BackupError;
use crate::sql::Bound;

/// Rows of one statement, and about how many bytes of them.
const BATCH_ROWS: usize = 100;
const BATCH_BYTES: usize = 1 << 20;

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table'
    AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> '_sqlx_migrations' ORDER BY rowid";
const COLUMNS: &str = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
const REFERENCES: &str = r#"SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)"#;

/// A table and its columns.
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<(String, Kind)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Text,
}

enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

/// The tables of a file, each after those that it refers to.
pub(super) async fn tables(image: &mut SqliteConnection) -> Result<Vec<Table>, BackupError> {
    let names: Vec<(String,)> = sqlx::query_as(TABLES).fetch_all(&mut *image).await?;
    let mut left = Vec::new();
    for (name,) in names {
        let columns = sqlx::query_as(COLUMNS).bind(&name).fetch_all(&mut *image).await?;
        let kind = |(column, kind): (String, String)| match kind.as_str() {
            "BIGINT" => Ok((column, Kind::Integer)),
            "TEXT" => Ok((column, Kind::Text)),
            _ => Err(BackupError::Column(format!("{name}.{column}"))),
        };
        let columns = columns.into_iter().map(kind).collect::<Result<_, _>>()?;
        let references: Vec<(String,)> =
            sqlx::query_as(REFERENCES).bind(&name).fetch_all(&mut *image).await?;
        left.push((Table { name, columns }, references));
    }
    let mut tables: Vec<Table> = Vec::new();
    while !left.is_empty() {
        let is_ready = |(table, references): &(Table, Vec<(String,)>)| {
            let is_there = |name: &str| tables.iter().any(|table| table.name == *name);
            references.iter().all(|(name,)| name == &table.name || is_there(name))
        };
        // Tables that refer to each other in a circle stay as they come.
        let next = left.iter().position(is_ready).unwrap_or(0);
        tables.push(left.remove(next).0);
    }
    Ok(tables)
}

/// Copies all rows of a table.
pub(super) async fn copy<From, To>(
    table: &Table,
    from: &mut From::Connection,
    to: &mut To::Connection,
) -> Result<(), BackupError>
where
    From: Database,
    To: Database,
    for<'c> &'c mut From::Connection: Executor<'c, Database = From>,
    for<'c> &'c mut To::Connection: Executor<'c, Database = To>,
    From::Arguments: IntoArguments<From>,
    To::Arguments: IntoArguments<To>,
    usize: ColumnIndex<From::Row>,
    i64: for<'r> Decode<'r, From> + Type<From> + Type<To>,
    String: for<'r> Decode<'r, From> + Type<From> + Type<To>,
    Option<i64>: for<'q> Encode<'q, To>,
    Option<String>: for<'q> Encode<'q, To>,
{
    let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let (names, table_name) = (names.join(", "), &table.name);
    let select = AssertSqlSafe(format!("SELECT {names} FROM \"{table_name}\""));
    let insert = format!("INSERT INTO \"{table_name}\" ({names}) ");
    let mut rows = sqlx::query(select).fetch(from);
    let (mut batch, mut num_bytes, mut is_over) = (Vec::new(), 0, false);
    while !is_over {
        match rows.try_next().await? {
            Some(row) => {
                let values = table.columns.iter().enumerate();
                let values = values.map(|(idx, (_, kind))| value(&row, idx, *kind));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                num_bytes += values.iter().map(Value::num_bytes).sum::<usize>();
                batch.push(values);
            }
            None => is_over = true,
        }
        let is_full = batch.len() >= BATCH_ROWS || num_bytes >= BATCH_BYTES;
        if is_full || (is_over && !batch.is_empty()) {
            let mut sql = QueryBuilder::<To>::new(&insert);
            sql.push_values(batch.drain(..), |mut tuple, row| {
                for value in row {
                    match value {
                        Value::Integer(number) => tuple.push_bind(number),
                        Value::Text(text) => tuple.push_bind(text),
                    };
                }
            });
            sql.build().execute(&mut *to).await?;
            num_bytes = 0;
        }
    }
    Ok(())
}

fn value<DB>(row: &DB::Row, idx: usize, kind: Kind) -> Result<Value, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    i64: for<'r> Decode<'r, DB> + Type<DB>,
    String: for<'r> Decode<'r, DB> + Type<DB>,
{
    Ok(match kind {
        Kind::Integer => Value::Integer(row.try_get(idx)?),
        Kind::Text => {
            let text: Option<String> = row.try_get(idx)?;
            // As it is bound everywhere.
            Value::Text(text.map(|text| match text.contains('\0') {
                true => text.bound().into_owned(),
                false => text,
            }))
        }
    })
}

impl Value {
    fn num_bytes(&self) -> usize {
        match self {
            Self::Text(Some(text)) => text.len(),
            _ => size_of::<i64>(),
        }
    }
}
