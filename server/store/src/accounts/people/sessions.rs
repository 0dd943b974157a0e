//! Sessions of users.
//!
//! Invariant: a session that is over, or whose user is disabled, is found by nobody, whether it was
//! swept or not.

use std::fmt;

use super::users;
use crate::accounts::check::not_found;
use crate::database::now;
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "session";
/// Of one user; the oldest go.
const MAX_SESSIONS: i64 = 50;
/// Seconds between two notes of when a session was used.
const TOUCHED_EVERY: i64 = 60;

const MAKE_ROOM: &str = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
    (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)";
const INSERT: &str = "INSERT INTO sessions
    (id, user_id, hash, created_at, used_at, expires_at, two_factors, address, agent)
    VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)";
const BY_HASH: &str = "SELECT s.id, s.user_id, s.created_at, s.used_at, s.expires_at,
    s.two_factors, s.address, s.agent FROM sessions AS s JOIN users AS u ON u.id = s.user_id
    WHERE s.hash = $1 AND s.expires_at > $2 AND u.disabled_at IS NULL";
const LIST: &str = "SELECT id, user_id, created_at, used_at, expires_at, two_factors, address,
    agent FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id DESC";
const TOUCH: &str = "UPDATE sessions SET used_at = $2 WHERE id = $1 AND used_at < $2";
const RAISE: &str = "UPDATE sessions SET two_factors = 1 WHERE id = $1 AND expires_at > $2";
const END: &str = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
const END_OTHERS: &str = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";

/// A session that begins.
#[derive(Clone)]
pub struct NewSession {
    /// `sess_…`.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// The hash of its secret.
    pub hash: String,
    /// When it ends, in Unix seconds.
    pub expires_at: i64,
    /// Whether a second factor was shown.
    pub two_factors: bool,
    /// From where, if that is known.
    pub address: Option<String>,
    /// With what, as the client says.
    pub agent: Option<String>,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSession({}, …)", self.id)
    }
}

/// A session that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sess_…`.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// Unix time in seconds, as the others are.
    pub created_at: i64,
    /// When it was last used, to the minute.
    pub used_at: i64,
    /// When it ends.
    pub expires_at: i64,
    /// Whether a second factor was shown.
    pub two_factors: bool,
    /// From where it began, if that is known.
    pub address: Option<String>,
    /// With what, as the client said.
    pub agent: Option<String>,
}

type Row = (String, String, i64, i64, i64, i64, Option<String>, Option<String>);

impl Session {
    fn of((id, user, created_at, used_at, expires_at, factors, address, agent): Row) -> Self {
        let two_factors = factors != 0;
        Self { id, user, created_at, used_at, expires_at, two_factors, address, agent }
    }
}

impl Store {
    /// Begins a session; the user's oldest ends if there are too many.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user, or it is disabled.
    pub async fn begin_session(&self, new: &NewSession) -> Result<(), StoreError> {
        let user = &new.user;
        let work = async {
            let mut transaction = self.write_person(user).await?;
            let found = users::find(&mut transaction, user).await?;
            if found.disabled_at.is_some() {
                return Err(not_found(users::WHAT, user));
            }
            execute!(&mut transaction, MAKE_ROOM, user, MAX_SESSIONS - 1)?;
            execute!(
                &mut transaction,
                INSERT,
                new.id,
                user,
                new.hash,
                now(),
                new.expires_at,
                i64::from(new.two_factors),
                new.address,
                new.agent
            )?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// The session of a secret with this hash, if it is on at `now` (Unix seconds). That it was
    /// used is noted, at most once a minute.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn session_by_hash(
        &self,
        hash: &str,
        now: i64,
    ) -> Result<Option<Session>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row: Option<Row> = query!(&mut transaction, fetch_optional, BY_HASH, hash, now)?;
            drop(transaction);
            let Some(mut session) = row.map(Session::of) else { return Ok(None) };
            if now.saturating_sub(session.used_at) >= TOUCHED_EVERY {
                let mut transaction = self.write_person(&session.user).await?;
                execute!(&mut transaction, TOUCH, session.id, now)?;
                transaction.commit().await?;
                session.used_at = now;
            }
            Ok(Some(session))
        };
        self.in_time(work).await
    }

    /// A user's sessions that are on, the newest first: at most 50.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sessions(&self, user: &str) -> Result<Vec<Session>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let rows: Vec<Row> = query!(&mut transaction, fetch_all, LIST, user, now())?;
            Ok(rows.into_iter().map(Session::of).collect())
        };
        self.in_time(work).await
    }

    /// A second factor was shown in a session.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such session, or it is over.
    pub async fn raise_session(&self, id: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(id).await?;
            if execute!(&mut transaction, RAISE, id, now())? == 0 {
                return Err(not_found(WHAT, id));
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Ends one of a user's sessions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user has no such session.
    pub async fn end_session(&self, user: &str, id: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            if execute!(&mut transaction, END, user, id)? == 0 {
                return Err(not_found(WHAT, id));
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Ends all of a user's sessions but one, or all; how many those were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_sessions(&self, user: &str, except: Option<&str>) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.write_person(user).await?;
            // No session's id is empty.
            let num = execute!(&mut transaction, END_OTHERS, user, except.unwrap_or(""))?;
            transaction.commit().await?;
            Ok(num)
        };
        self.in_time(work).await
    }
}
