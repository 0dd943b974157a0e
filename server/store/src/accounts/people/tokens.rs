//! What is sent to users by mail: one use, and an end.

use super::users;
use crate::database::now;
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const FORGET: &str = "DELETE FROM user_tokens WHERE user_id = $1 AND purpose = $2";
const INSERT: &str = "INSERT INTO user_tokens
    (hash, user_id, purpose, email, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
const TAKE: &str = "DELETE FROM user_tokens WHERE hash = $1 AND purpose = $2
    RETURNING user_id, email, expires_at";

const FIND: &str = "SELECT user_id, email FROM user_tokens
    WHERE hash = $1 AND purpose = $2 AND expires_at > $3";

impl Store {
    /// Keeps the hash of what is sent to `email`, to be shown again before `expires_at` (Unix
    /// seconds). What was sent for the same `purpose` before is good for nothing any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user.
    pub async fn put_user_token(
        &self,
        hash: &str,
        user: &str,
        purpose: &str,
        email: &str,
        expires_at: i64,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            users::find(&mut transaction, user).await?;
            execute!(&mut transaction, FORGET, user, purpose)?;
            execute!(&mut transaction, INSERT, hash, user, purpose, email, now(), expires_at)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// What [`Store::take_user_token`] would give, which stays to be taken.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_user_token(
        &self,
        hash: &str,
        purpose: &str,
        now: i64,
    ) -> Result<Option<(String, String)>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            Ok(query!(&mut transaction, fetch_optional, FIND, hash, purpose, now)?)
        };
        self.in_time(work).await
    }

    /// Takes what was sent, by its hash: the id of its user, and the address that it was sent to.
    /// None if it was taken, is over at `now` (Unix seconds), or was for something else.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_user_token(
        &self,
        hash: &str,
        purpose: &str,
        now: i64,
    ) -> Result<Option<(String, String)>, StoreError> {
        let work = async {
            let mut transaction = self.write_person(hash).await?;
            let row: Option<(String, String, i64)> =
                query!(&mut transaction, fetch_optional, TAKE, hash, purpose)?;
            transaction.commit().await?;
            let row = row.filter(|(_, _, expires_at)| *expires_at > now);
            Ok(row.map(|(user, email, _)| (user, email)))
        };
        self.in_time(work).await
    }
}
