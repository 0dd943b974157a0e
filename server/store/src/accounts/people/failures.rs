//! Failed logins in a row, by address, whether there is such a user or not.
//!
//! Invariant: what is counted is decided by what was counted, one attempt after another.

use crate::sql::{execute, query};
use crate::{Store, StoreError};

const FIND: &str = "SELECT num, last_at, blocked_until FROM login_failures WHERE email = $1";
const PUT: &str = "INSERT INTO login_failures (email, num, last_at, blocked_until)
    VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO UPDATE SET num = excluded.num,
    last_at = excluded.last_at, blocked_until = excluded.blocked_until";
const CLEAR: &str = "DELETE FROM login_failures WHERE email = $1";

/// Failed logins with one address; none, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginFailures {
    /// How many in a row.
    pub num: i64,
    /// Unix time in seconds of the last one.
    pub last_at: i64,
    /// Until when no other attempt is let through, in Unix seconds.
    pub blocked_until: i64,
}

impl LoginFailures {
    fn of((num, last_at, blocked_until): (i64, i64, i64)) -> Self {
        Self { num, last_at, blocked_until }
    }
}

impl Store {
    /// The failed logins with an address, in lower case.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn login_failures(&self, email: &str) -> Result<LoginFailures, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row = query!(&mut transaction, fetch_optional, FIND, email)?;
            Ok(row.map(LoginFailures::of).unwrap_or_default())
        };
        self.in_time(work).await
    }

    /// Counts an attempt with an address, in lower case: `count` says what stands after those
    /// before, or that this attempt must not be made, and nothing is changed. Of two at once the
    /// second sees the first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_login_failure<E>(
        &self,
        email: &str,
        count: impl FnOnce(LoginFailures) -> Result<LoginFailures, E>,
    ) -> Result<Result<LoginFailures, E>, StoreError> {
        let work = async {
            let mut transaction = self.write_person(email).await?;
            let row = query!(&mut transaction, fetch_optional, FIND, email)?;
            let next = match count(row.map(LoginFailures::of).unwrap_or_default()) {
                Ok(next) => next,
                Err(refused) => return Ok(Err(refused)),
            };
            let LoginFailures { num, last_at, blocked_until } = next;
            execute!(&mut transaction, PUT, email, num, last_at, blocked_until)?;
            transaction.commit().await?;
            Ok(Ok(next))
        };
        self.in_time(work).await
    }

    /// Forgets the failed logins with an address: one succeeded.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn clear_login_failures(&self, email: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(email).await?;
            execute!(&mut transaction, CLEAR, email)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }
}
