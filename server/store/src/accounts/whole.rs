//! All that is stored of an organization: told, and removed.
//!
//! Invariant: nothing that is told lets anybody in. The organization's own row goes last, so a
//! deletion that was cut off goes on when it is asked for again. From its first step on nothing is
//! added to the ledger that the organization used: what is deleted stays so.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::{Map, Value, json};
use server_accounts::{Allowed, DEFAULT, may};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Row, Type};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::audit::{self, Who};
use super::check::whole;
use super::organizations::archived_at;
use super::whose::{Column, OF_ORGANIZATIONS, OfOrganization};
use crate::database::{millis, now};
use crate::ledger::{UNTIL_THROUGH, mark_deleted};
use crate::sql::{execute, on};
use crate::sweep::PAUSE;
use crate::{Store, StoreError};

/// For whoever takes lines.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows that one transaction removes.
const BATCH: u64 = 2_000;
/// Seconds until whatever ran when an organization was archived has ended and been billed.
const REST: i64 = 3_600;

const REMOVE: &str = "DELETE FROM organizations WHERE id = $1";

impl Store {
    /// Tells all that is stored of an organization, line by line: JSON objects with a `table` and
    /// its `row`. Members are told by their ids. No secret and no hash of one is told. It ends
    /// where nobody takes the lines any more. How many were told.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization or this is not allowed in the
    /// whole of it; if the database fails, or a line is not taken for half a minute.
    pub async fn export_organization(
        &self,
        allowed: &Allowed<may::WritePrivacy>,
        lines: Sender<String>,
    ) -> Result<u64, StoreError> {
        let id = whole(allowed)?;
        // As it is at one moment, however long it takes.
        let mut transaction = self.in_time(self.read_every()).await?;
        archived_at(&mut transaction, id).await?;
        let mut num_rows = 0;
        let is_told = |it: &&OfOrganization| it.columns().any(|column| column.is_told);
        for table in OF_ORGANIZATIONS.iter().rev().filter(is_told) {
            num_rows += on!(&mut transaction, |connection| {
                let columns: Vec<Column> = table.columns().filter(|it| it.is_told).collect();
                let mut rows = sqlx::query(select(table, &columns)).bind(id).fetch(connection);
                let mut num = 0;
                while let Some(row) = rows.try_next().await? {
                    let told = json!({ "table": table.table, "row": object(&columns, &row)? });
                    match timeout(PATIENCE, lines.send(told.to_string())).await {
                        Ok(Ok(())) => num += 1,
                        Ok(Err(_)) => return Ok(num_rows + num),
                        Err(_) => return Err(StoreError::Timeout),
                    }
                }
                num
            });
        }
        Ok(num_rows)
    }

    /// Removes all that is stored of an organization that was archived an hour ago or before, its
    /// ledger and audit log, too; people stay, they are of no organization. The log of the
    /// organization `default` has a line of it, and its id is known as deleted for 90 days: what
    /// journals have of it is not added. How many rows were removed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if it
    /// goes on, or was archived just now; if the database fails: what was removed is.
    pub async fn delete_organization(
        &self,
        allowed: &Allowed<may::RunPlatform>,
    ) -> Result<u64, StoreError> {
        let id = allowed.organization();
        let begin = async {
            let mut transaction = self.write(id).await?;
            let archived = archived_at(&mut transaction, id).await?;
            if id == DEFAULT {
                return Err(StoreError::invalid("organization", "a server always has this one"));
            }
            if archived.is_none_or(|at| at > now() - REST) {
                let why = "archive it, and wait for an hour: what ran then is billed until then";
                return Err(StoreError::invalid("organization", why));
            }
            mark_deleted(&mut transaction, id, UNTIL_THROUGH).await?;
            transaction.commit().await
        };
        self.in_time(begin).await?;
        self.await_appends().await?;
        let mut num_rows = 0;
        for table in OF_ORGANIZATIONS.iter().filter(|it| it.table != "organizations") {
            num_rows += self.delete_rows(table, id).await?;
        }
        let end = async {
            let mut transaction = self.write_several(&BTreeSet::from([id, DEFAULT])).await?;
            let num = execute!(&mut transaction, REMOVE, id)?;
            mark_deleted(&mut transaction, id, millis()).await?;
            let (actor, address) = (allowed.actor(), allowed.address());
            let who = Who { organization: DEFAULT, actor, address };
            let detail = json!({ "num_rows": num_rows + num });
            let event = audit::event("organization.deleted", id, None, detail);
            audit::append_of(&mut transaction, who, event).await?;
            transaction.commit().await?;
            Ok(num)
        };
        Ok(num_rows + self.in_time(end).await?)
    }

    async fn delete_rows(&self, table: &OfOrganization, id: &str) -> Result<u64, StoreError> {
        let mut num_rows = 0;
        loop {
            let batch = async {
                // Housekeeping makes sums of months out of days: one that it is about to add would
                // not be seen.
                let mut transaction = match table.table {
                    "usage_sums" => self.write_every().await?,
                    _ => self.write(id).await?,
                };
                let num = execute!(&mut transaction, delete(table), id)?;
                transaction.commit().await?;
                Ok(num)
            };
            let num = self.in_time(batch).await?;
            num_rows += num;
            if num < BATCH {
                return Ok(num_rows);
            }
            sleep(PAUSE).await;
        }
    }
}

/// A batch of its rows.
fn delete(table: &OfOrganization) -> AssertSqlSafe<String> {
    let key: Vec<&str> = table.columns().filter(|it| it.is_key).map(|it| it.name).collect();
    let (key, OfOrganization { table, column, .. }) = (key.join(", "), table);
    AssertSqlSafe(format!(
        "DELETE FROM {table} WHERE ({key}) IN
        (SELECT {key} FROM {table} WHERE {column} = $1 LIMIT {BATCH})"
    ))
}

/// Made of constants.
fn select(table: &OfOrganization, columns: &[Column]) -> AssertSqlSafe<String> {
    let names: Vec<&str> = columns.iter().map(|it| it.name).collect();
    let OfOrganization { table, column, .. } = table;
    AssertSqlSafe(format!("SELECT {} FROM {table} WHERE {column} = $1", names.join(", ")))
}

fn object<R: Row>(columns: &[Column], row: &R) -> Result<Value, sqlx::Error>
where
    usize: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let value = |(idx, it): (usize, &Column)| {
        let value = if it.is_number {
            json!(row.try_get::<Option<i64>, _>(idx)?)
        } else {
            json!(row.try_get::<Option<String>, _>(idx)?)
        };
        Ok((it.name.to_owned(), value))
    };
    let object = columns.iter().enumerate().map(value).collect::<Result<Map<_, _>, sqlx::Error>>();
    Ok(Value::Object(object?))
}
