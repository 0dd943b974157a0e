//! Lists of what belongs to accounts: one thing of a list, or a page of it.
//!
//! Invariant: what a list is of is bound, never written into the statement, and what is outside of
//! its scope is neither found nor a place that a page can come after.

use std::fmt::Write;

use sqlx::postgres::PgRow;
use sqlx::query::QueryAs;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Database, Encode, FromRow, Type};

use crate::page::{Page, PageQuery};
use crate::sql::{Bound, Transaction, on};
use crate::{Store, StoreError};

/// A row of either database.
pub(crate) trait Readable:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Readable for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

/// A part of a statement, with what is bound to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Sql(&'static str),
    Number(i64),
    Text(String),
}

impl Part {
    pub(crate) fn sql(mut self, sql: &'static str) -> Self {
        self.0.push(Piece::Sql(sql));
        self
    }

    pub(crate) fn number(mut self, number: i64) -> Self {
        self.0.push(Piece::Number(number));
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.push(Piece::Text(text.bound().into_owned()));
        self
    }

    /// ` AND column IN (…)`; nothing is in no texts.
    pub(crate) fn and_any<'a>(
        self,
        column: &'static str,
        texts: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let begun = self.sql(" AND ").sql(column).sql(" IN (NULL");
        let with = |part: Self, text: &String| part.sql(", ").text(text);
        texts.into_iter().fold(begun, with).sql(")")
    }

    fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// Does it, as a whole statement.
    pub(crate) async fn execute(self, transaction: &mut Transaction) -> Result<(), StoreError> {
        on!(transaction, |connection| {
            let done: Option<()> = self.into_query().fetch_optional(connection).await?;
            debug_assert!(done.is_none(), "a statement that returns rows");
        });
        Ok(())
    }

    fn into_query<'q, DB, T>(self) -> QueryAs<'q, DB, T, DB::Arguments>
    where
        DB: Database,
        T: for<'r> FromRow<'r, DB::Row>,
        i64: Encode<'q, DB> + Type<DB>,
        String: Encode<'q, DB> + Type<DB>,
    {
        let (mut sql, mut num) = (String::new(), 0);
        for piece in &self.0 {
            if let Piece::Sql(text) = piece {
                sql.push_str(text);
            } else {
                num += 1;
                // A String takes all that is written.
                write!(sql, "${num}").ok();
            }
        }
        // Made of constants and numbers.
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for piece in self.0 {
            query = match piece {
                Piece::Sql(_) => query,
                Piece::Number(number) => query.bind(number),
                Piece::Text(text) => query.bind(text),
            };
        }
        query
    }
}

/// Rows of a table that have an `id`.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// What a row is called in errors.
    pub(crate) what: &'static str,
    /// Columns that are read.
    pub(crate) columns: &'static str,
    /// The table.
    pub(crate) table: &'static str,
    /// A number by which it is ordered; the id decides between equals.
    pub(crate) order: &'static str,
    /// A condition: what the list is of.
    pub(crate) scope: Part,
    /// ` AND …`: which of it are on its pages.
    pub(crate) filter: Part,
}

impl List {
    /// The row of an id.
    pub(crate) async fn one<T: Readable>(
        &self,
        transaction: &mut Transaction,
        id: &str,
    ) -> Result<T, StoreError> {
        let part = self.select(self.columns).sql(" AND id = ").text(id);
        let row =
            on!(transaction, |connection| part.into_query().fetch_optional(connection).await)?;
        row.ok_or_else(|| StoreError::NotFound { what: self.what, id: id.to_owned() })
    }

    /// A page of rows, of so many bytes each.
    pub(crate) async fn page<T: Readable>(
        &self,
        transaction: &mut Transaction,
        query: &PageQuery,
        num_bytes: impl Fn(&T) -> usize,
    ) -> Result<Page<T>, StoreError> {
        let mut part = self.select(self.columns).then(&self.filter);
        if let Some(after) = &query.after {
            let place = self.select(self.order).sql(" AND id = ").text(after);
            let place: Option<(i64,)> = on!(&mut *transaction, |connection| place
                .into_query()
                .fetch_optional(connection)
                .await)?;
            let (place,) = place.ok_or(StoreError::NotListed)?;
            let than = if query.descending { ", id) < (" } else { ", id) > (" };
            part = part.sql(" AND (").sql(self.order).sql(than).number(place).sql(", ");
            part = part.text(after).sql(")");
        }
        let direction = if query.descending { " DESC" } else { "" };
        part = part.sql(" ORDER BY ").sql(self.order).sql(direction).sql(", id").sql(direction);
        part = part.sql(" LIMIT ").number(query.num_read());
        on!(transaction, |connection| {
            Page::read(part.into_query().fetch(connection), query, num_bytes).await
        })
    }

    fn select(&self, columns: &'static str) -> Part {
        let part = Part::default().sql("SELECT ").sql(columns).sql(" FROM ").sql(self.table);
        part.sql(" WHERE ").then(&self.scope)
    }
}

impl Store {
    /// The row of an id in a list of one organization.
    pub(crate) async fn listed<T: Readable>(
        &self,
        organization: &str,
        list: &List,
        id: &str,
    ) -> Result<T, StoreError> {
        let work = async {
            let mut transaction = self.read(organization).await?;
            list.one(&mut transaction, id).await
        };
        self.in_time(work).await
    }

    /// A page of a list of one organization.
    pub(crate) async fn page_of<T: Readable>(
        &self,
        organization: &str,
        list: &List,
        query: &PageQuery,
        num_bytes: impl Fn(&T) -> usize,
    ) -> Result<Page<T>, StoreError> {
        let work = async {
            let mut transaction = self.read(organization).await?;
            list.page(&mut transaction, query, num_bytes).await
        };
        self.in_time(work).await
    }
}
