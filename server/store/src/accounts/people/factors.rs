//! The second factor: codes by time, and codes for when the device is lost.
//!
//! Invariant: a code is taken once, also by two who come at the same moment.

use super::users;
use crate::accounts::check::not_found;
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// What is shown of it in errors.
const WHAT: &str = "second factor";
/// Of one user.
const MAX_CODES: usize = 100;

const BEGIN: &str = "UPDATE users SET totp_secret = $2, totp_step = NULL
    WHERE id = $1 AND totp_enabled_at IS NULL";
const ENABLE: &str = "UPDATE users SET totp_enabled_at = $2, totp_step = $3
    WHERE id = $1 AND totp_enabled_at IS NULL AND totp_secret IS NOT NULL";
const DISABLE: &str = "UPDATE users
    SET totp_secret = NULL, totp_enabled_at = NULL, totp_step = NULL WHERE id = $1";
const TAKE_STEP: &str = "UPDATE users SET totp_step = $2
    WHERE id = $1 AND totp_enabled_at IS NOT NULL AND (totp_step IS NULL OR totp_step < $2)";
const IS_ENABLED: &str = "SELECT totp_enabled_at FROM users WHERE id = $1";
const FORGET_CODES: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
const ADD_CODE: &str = "INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)
    ON CONFLICT DO NOTHING";
const TAKE_CODE: &str = "UPDATE recovery_codes SET used_at = $3
    WHERE user_id = $1 AND hash = $2 AND used_at IS NULL";
const CODES_LEFT: &str = "SELECT COUNT(*) FROM recovery_codes
    WHERE user_id = $1 AND used_at IS NULL";

impl Store {
    /// Keeps the secret of a second factor that is not asked for before [`Store::enable_totp`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, [`StoreError::Exists`] if it has a second
    /// factor in force.
    pub async fn begin_totp(&self, user: &str, secret: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            if execute!(&mut transaction, BEGIN, user, secret)? == 0 {
                users::find(&mut transaction, user).await?;
                return Err(StoreError::Exists { what: WHAT, id: user.to_owned() });
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Asks for the second factor from now on: the user has shown a code of `step`, and gets
    /// recovery codes of these hashes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if none was begun, or it is in force already.
    pub async fn enable_totp(
        &self,
        user: &str,
        step: i64,
        recovery_hashes: &[String],
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            if execute!(&mut transaction, ENABLE, user, now(), step)? == 0 {
                return Err(not_found(WHAT, user));
            }
            put_codes(&mut transaction, user, recovery_hashes).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Asks for no second factor any more, and forgets its recovery codes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user.
    pub async fn disable_totp(&self, user: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            users::changed(execute!(&mut transaction, DISABLE, user)?, user)?;
            execute!(&mut transaction, FORGET_CODES, user)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Takes the code of a step; false if it or a later one was taken, or none is asked for.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_totp_step(&self, user: &str, step: i64) -> Result<bool, StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            let num = execute!(&mut transaction, TAKE_STEP, user, step)?;
            transaction.commit().await?;
            Ok(num == 1)
        };
        self.in_time(work).await
    }

    /// Other recovery codes instead of those that there are.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user has no second factor in force.
    pub async fn replace_recovery_codes(
        &self,
        user: &str,
        hashes: &[String],
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            let enabled: Option<(Option<i64>,)> =
                query!(&mut transaction, fetch_optional, IS_ENABLED, user)?;
            enabled.and_then(|(at,)| at).ok_or_else(|| not_found(WHAT, user))?;
            put_codes(&mut transaction, user, hashes).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Takes a recovery code by its hash; false if there is none, or it was taken.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_recovery_code(&self, user: &str, hash: &str) -> Result<bool, StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            let num = execute!(&mut transaction, TAKE_CODE, user, hash, now())?;
            transaction.commit().await?;
            Ok(num == 1)
        };
        self.in_time(work).await
    }

    /// How many recovery codes were not taken yet.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recovery_codes_left(&self, user: &str) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let (num,): (i64,) = query!(&mut transaction, fetch_one, CODES_LEFT, user)?;
            Ok(u64::try_from(num).unwrap_or(0))
        };
        self.in_time(work).await
    }
}

async fn put_codes(
    transaction: &mut Transaction,
    user: &str,
    hashes: &[String],
) -> Result<(), StoreError> {
    if hashes.len() > MAX_CODES {
        let what = "user's recovery codes";
        return Err(StoreError::TooMany { what, max: MAX_CODES as u64 });
    }
    execute!(transaction, FORGET_CODES, user)?;
    for hash in hashes {
        execute!(transaction, ADD_CODE, user, hash)?;
    }
    Ok(())
}
