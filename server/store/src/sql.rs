//! One statement on either database.
//!
//! Invariant: a statement is one text, with `$1` placeholders, that SQLite and PostgreSQL both
//! understand; what is bound to it is bound the same way for both.

use std::borrow::Cow;

use sqlx::{Postgres, Sqlite};

use crate::StoreError;

/// Lets a transaction of PostgreSQL see the rows of all tenants.
pub(crate) const SEE_EVERY_TENANT: &str = "SELECT set_config('app.every_tenant', 'on', true)";

/// Begins a transaction of PostgreSQL that reads all tables as they are at one moment.
pub(crate) const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A transaction of either database; dropped, it is rolled back.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}

/// Does the same with the connection of either database.
macro_rules! on {
    ($transaction:expr, |$connection:ident| $work:expr) => {
        match $transaction {
            $crate::sql::Transaction::Sqlite(inner) => {
                let $connection = &mut **inner;
                $work
            }
            $crate::sql::Transaction::Postgres(inner) => {
                let $connection = &mut **inner;
                $work
            }
        }
    };
}

/// Rows of a statement: `query!(transaction, fetch_one, SQL, values…)`.
macro_rules! query {
    ($transaction:expr, $fetch:ident, $sql:expr $(, $value:expr)*) => {
        $crate::sql::on!($transaction, |connection| {
            sqlx::query_as($sql)$(.bind($crate::sql::Bound::bound(&$value)))*
                .$fetch(connection)
                .await
        })
    };
}

/// How many rows a statement changed: `execute!(transaction, SQL, values…)`.
macro_rules! execute {
    ($transaction:expr, $sql:expr $(, $value:expr)*) => {
        $crate::sql::on!($transaction, |connection| {
            sqlx::query($sql)$(.bind($crate::sql::Bound::bound(&$value)))*
                .execute(connection)
                .await
                .map(|done| done.rows_affected())
        })
    };
}

pub(crate) use {execute, on, query};

/// What can be bound. Clients choose ids and metadata, and PostgreSQL's texts have no NUL:
/// a character that stands for what cannot be shown takes its place, in writing and in looking up.
pub(crate) trait Bound {
    type Value<'a>
    where
        Self: 'a;

    fn bound(&self) -> Self::Value<'_>;
}

impl Bound for i64 {
    type Value<'a> = i64;

    fn bound(&self) -> i64 {
        *self
    }
}

impl Bound for str {
    type Value<'a> = Cow<'a, str>;

    fn bound(&self) -> Cow<'_, str> {
        if self.contains('\0') { Cow::Owned(self.replace('\0', "\u{fffd}")) } else { self.into() }
    }
}

impl Bound for String {
    type Value<'a> = Cow<'a, str>;

    fn bound(&self) -> Cow<'_, str> {
        self.as_str().bound()
    }
}

impl<T: Bound> Bound for Option<T> {
    type Value<'a>
        = Option<T::Value<'a>>
    where
        T: 'a;

    fn bound(&self) -> Option<T::Value<'_>> {
        self.as_ref().map(T::bound)
    }
}

impl<T: Bound + ?Sized> Bound for &T {
    type Value<'a>
        = T::Value<'a>
    where
        Self: 'a;

    fn bound(&self) -> T::Value<'_> {
        (**self).bound()
    }
}
