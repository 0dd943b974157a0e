//! People, whichever organizations they belong to.
//!
//! Invariant: a password's hash and the secret of a second factor leave only by [`Login`].

use std::fmt;

use server_accounts::{Allowed, Kind, may, new_id};

use super::{everywhere, members};
use crate::accounts::audit::Who;
use crate::accounts::check::{self, not_found};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// What it is called in errors.
pub(super) const WHAT: &str = "user";
/// The columns that [`User::of`] takes, of a table that is called `u`.
macro_rules! columns {
    () => {
        "u.id, u.email, u.name, u.created_at AS signed_up_at, u.email_verified_at, u.disabled_at,
        CAST(CASE WHEN u.password IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_password,
        u.totp_enabled_at"
    };
}
pub(super) use columns;

const INSERT: &str = "INSERT INTO users (id, email, name, created_at, email_verified_at, password)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const BY_ID: &str = concat!("SELECT ", columns!(), " FROM users AS u WHERE u.id = $1");
const BY_EMAIL: &str = concat!("SELECT ", columns!(), " FROM users AS u WHERE u.email = $1");
const SECRETS: &str = "SELECT password, totp_secret, totp_step FROM users WHERE id = $1";
const SET_PASSWORD: &str = "UPDATE users SET password = $2 WHERE id = $1";
const VERIFY: &str = "UPDATE users SET email_verified_at = COALESCE(email_verified_at, $3)
    WHERE id = $1 AND email = $2";
const RENAME: &str = "UPDATE users SET name = $2 WHERE id = $1";
const DISABLE: &str = "UPDATE users SET disabled_at = COALESCE(disabled_at, $2) WHERE id = $1";
const ENABLE: &str = "UPDATE users SET disabled_at = NULL WHERE id = $1";
const END_SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1";
const END_TOKENS: &str = "DELETE FROM user_tokens WHERE user_id = $1";

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `user-…`.
    pub id: String,
    /// In lower case; no other user has it.
    pub email: String,
    /// What others see.
    pub name: String,
    /// Unix time in seconds, as the others are.
    pub created_at: i64,
    /// Since when the address is known to be the user's.
    pub email_verified_at: Option<i64>,
    /// Since when the user may do nothing.
    pub disabled_at: Option<i64>,
    /// Whether a password is set: who logs in elsewhere only has none.
    pub has_password: bool,
    /// Since when a second factor is asked for.
    pub totp_enabled_at: Option<i64>,
}

/// As rows have it.
pub(super) type Row = (String, String, String, i64, Option<i64>, Option<i64>, i64, Option<i64>);

impl User {
    pub(super) fn of(row: Row) -> Self {
        let (id, email, name, created_at, email_verified_at, disabled_at, has_password, totp) = row;
        let (has_password, totp_enabled_at) = (has_password != 0, totp);
        Self {
            id,
            email,
            name,
            created_at,
            email_verified_at,
            disabled_at,
            has_password,
            totp_enabled_at,
        }
    }
}

/// Somebody who signs up.
#[derive(Clone)]
pub struct NewUser {
    /// In lower case, and checked to be an address.
    pub email: String,
    /// What others see.
    pub name: String,
    /// Its argon2id hash as a PHC string, if one is set.
    pub password: Option<String>,
    /// Whether the address is known to be theirs.
    pub email_verified: bool,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewUser(…)")
    }
}

/// What a login is checked by.
#[derive(Clone)]
pub struct Login {
    /// Who it is.
    pub user: User,
    /// The password's hash as a PHC string.
    pub password: Option<String>,
    /// The secret of the second factor; of one that is not enabled, it is not asked for yet.
    pub totp_secret: Option<String>,
    /// The last step whose code was taken.
    pub totp_step: Option<i64>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, …)", self.user.id)
    }
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if another user has the address, [`StoreError::Invalid`] if the name
    /// has not 1 to 256 bytes.
    pub async fn create_user(&self, new: &NewUser) -> Result<User, StoreError> {
        let (id, at, name) = (new_id(Kind::User), now(), check::name(&new.name)?);
        let verified_at = new.email_verified.then_some(at);
        let work = async {
            let mut transaction = self.write_person(&new.email).await?;
            let num = execute!(
                &mut transaction,
                INSERT,
                id,
                new.email,
                name,
                at,
                verified_at,
                new.password
            )?;
            if num == 0 {
                return Err(StoreError::Exists { what: WHAT, id: new.email.clone() });
            }
            let user = find(&mut transaction, &id).await?;
            transaction.commit().await?;
            Ok(user)
        };
        self.in_time(work).await
    }

    /// A user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn user(&self, id: &str) -> Result<User, StoreError> {
        let work = async { find(&mut self.read("").await?, id).await };
        self.in_time(work).await
    }

    /// Whose address this is, in lower case.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row: Option<Row> = query!(&mut transaction, fetch_optional, BY_EMAIL, email)?;
            Ok(row.map(User::of))
        };
        self.in_time(work).await
    }

    /// What a login with this address, in lower case, is checked by.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn login_of(&self, email: &str) -> Result<Option<Login>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row: Option<Row> = query!(&mut transaction, fetch_optional, BY_EMAIL, email)?;
            let Some(user) = row.map(User::of) else { return Ok(None) };
            let secrets = query!(&mut transaction, fetch_optional, SECRETS, user.id)?;
            Ok(secrets.map(|(password, totp_secret, totp_step)| Login {
                user,
                password,
                totp_secret,
                totp_step,
            }))
        };
        self.in_time(work).await
    }

    /// Sets another password, by its hash as a PHC string.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            changed(execute!(&mut transaction, SET_PASSWORD, user, password)?, user)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// The address was shown to be the user's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, or it has another address.
    pub async fn verify_email(&self, user: &str, email: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            changed(execute!(&mut transaction, VERIFY, user, email, now())?, user)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Gives a user another name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, [`StoreError::Invalid`] if the name has
    /// not 1 to 256 bytes.
    pub async fn rename_user(&self, user: &str, name: &str) -> Result<(), StoreError> {
        let name = check::name(name)?;
        let work = async {
            let mut transaction = self.write_person(user).await?;
            changed(execute!(&mut transaction, RENAME, user, name)?, user)?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Lets a user do nothing any more: sessions end, and so do the user's keys, which a user that
    /// is let in again has to make anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user.
    pub async fn disable_user(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        user: &str,
        is_disabled: bool,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person_everywhere(user).await?;
            let email = find(&mut transaction, user).await?.email;
            let organizations = everywhere::turns(&mut transaction, user, &email).await?;
            if is_disabled {
                execute!(&mut transaction, DISABLE, user, now())?;
                execute!(&mut transaction, END_SESSIONS, user)?;
                execute!(&mut transaction, END_TOKENS, user)?;
            } else {
                execute!(&mut transaction, ENABLE, user)?;
            }
            for organization in organizations {
                let (actor, address) = (allowed.actor(), allowed.address());
                let who = Who { organization: &organization, actor, address };
                if members::is_member(&mut transaction, &organization, user).await? {
                    everywhere::disabled(&mut transaction, who, (user, is_disabled)).await?;
                }
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }
}

/// A user, in a transaction.
pub(super) async fn find(transaction: &mut Transaction, id: &str) -> Result<User, StoreError> {
    let row: Option<Row> = query!(transaction, fetch_optional, BY_ID, id)?;
    row.map(User::of).ok_or_else(|| not_found(WHAT, id))
}

/// Whether a user was there to be changed.
pub(super) fn changed(num: u64, user: &str) -> Result<(), StoreError> {
    if num == 0 { Err(not_found(WHAT, user)) } else { Ok(()) }
}
