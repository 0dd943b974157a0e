//! Who a user is elsewhere.
//!
//! Invariant: somebody of another provider is one user here.

use super::users;
use crate::accounts::check::not_found;
use crate::database::now;
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "identity";
/// Of one user.
const MAX_IDENTITIES: u64 = 50;

const INSERT: &str = "INSERT INTO identities (issuer, subject, user_id, created_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT COUNT(*) FROM identities WHERE user_id = $1";
const FIND: &str = "SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2";
const LIST: &str = "SELECT issuer, subject, created_at FROM identities WHERE user_id = $1
    ORDER BY created_at, issuer, subject";
const REMOVE: &str = "DELETE FROM identities
    WHERE user_id = $1 AND issuer = $2 AND subject = $3";

/// Who a user is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider, as it calls itself.
    pub issuer: String,
    /// Who the user is there.
    pub subject: String,
    /// Unix time in seconds, when this became known.
    pub created_at: i64,
}

impl Store {
    /// Lets a user log in as somebody of another provider.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, [`StoreError::Exists`] if that is
    /// somebody's already, or [`StoreError::TooMany`].
    pub async fn link_identity(
        &self,
        user: &str,
        issuer: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            users::find(&mut transaction, user).await?;
            let (num,): (i64,) = query!(&mut transaction, fetch_one, COUNT, user)?;
            if u64::try_from(num).unwrap_or(0) >= MAX_IDENTITIES {
                let what = "user's identities";
                return Err(StoreError::TooMany { what, max: MAX_IDENTITIES });
            }
            if execute!(&mut transaction, INSERT, issuer, subject, user, now())? == 0 {
                return Err(StoreError::Exists { what: WHAT, id: subject.to_owned() });
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// The id of the user that is this here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn user_of_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<String>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row: Option<(String,)> =
                query!(&mut transaction, fetch_optional, FIND, issuer, subject)?;
            Ok(row.map(|(user,)| user))
        };
        self.in_time(work).await
    }

    /// Who a user is elsewhere.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn identities(&self, user: &str) -> Result<Vec<Identity>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            Ok(query!(&mut transaction, fetch_all, LIST, user)?)
        };
        let rows: Vec<(String, String, i64)> = self.in_time(work).await?;
        let identity = |(issuer, subject, created_at)| Identity { issuer, subject, created_at };
        Ok(rows.into_iter().map(identity).collect())
    }

    /// Lets a user log in so no more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user is not that.
    pub async fn unlink_identity(
        &self,
        user: &str,
        issuer: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            if execute!(&mut transaction, REMOVE, user, issuer, subject)? == 0 {
                return Err(not_found(WHAT, subject));
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }
}
