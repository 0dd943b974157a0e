//! Another address of a user.
//!
//! Invariant: it counts when it was shown to be the user's, in the transaction that takes what was
//! sent to it; what was sent to the one before is good for nothing from then on.

use serde_json::json;

use super::{everywhere, members, person, users};
use crate::accounts::audit::{self, Who};
use crate::accounts::keys;
use crate::database::{now, turn_to};
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const FIND: &str = "SELECT user_id, email FROM user_tokens WHERE hash = $1 AND purpose = $2";
const TAKE: &str = "DELETE FROM user_tokens
    WHERE hash = $1 AND purpose = $2 AND expires_at > $3";
const OTHER: &str = "SELECT id FROM users WHERE email = $1 AND id <> $2";
const SET: &str = "UPDATE users SET email = $2, email_verified_at = $3 WHERE id = $1";
const END_TOKENS: &str = "DELETE FROM user_tokens WHERE user_id = $1";
const FORGET_FAILURES: &str = "DELETE FROM login_failures WHERE email = $1";

impl Store {
    /// Gives a user the address that was shown to be theirs by what was sent to it, by its hash.
    /// What was sent to them before, for any purpose, is good for nothing any more. The address
    /// that they had; none if the hash was taken, is over at `now_s` (Unix seconds), or was for
    /// something else.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if another user has the address by now.
    pub async fn change_email(
        &self,
        hash: &str,
        purpose: &str,
        now_s: i64,
    ) -> Result<Option<String>, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let found: Option<(String, String)> =
                query!(&mut transaction, fetch_optional, FIND, hash, purpose)?;
            drop(transaction);
            let Some((user, email)) = found else { return Ok(None) };
            let mut transaction = self.write_person_everywhere(&user).await?;
            // Nobody signs up with it meanwhile.
            turn_to(&mut transaction, &person(&email)).await?;
            if execute!(&mut transaction, TAKE, hash, purpose, now_s)? == 0 {
                return Ok(None);
            }
            let before = users::find(&mut transaction, &user).await?.email;
            let other: Option<(String,)> =
                query!(&mut transaction, fetch_optional, OTHER, email, user)?;
            if other.is_some() {
                return Err(StoreError::Exists { what: users::WHAT, id: email });
            }
            let organizations = everywhere::turns(&mut transaction, &user, &before).await?;
            execute!(&mut transaction, SET, user, email, now())?;
            execute!(&mut transaction, END_TOKENS, user)?;
            execute!(&mut transaction, FORGET_FAILURES, before)?;
            let actor = keys::of_user(&user);
            for organization in organizations {
                if members::is_member(&mut transaction, &organization, &user).await? {
                    // The log keeps no addresses: those of who was deleted would stay in it.
                    let changes = json!({ "changes_requested": { "email": true } });
                    let event = audit::event("user.updated", &user, None, changes);
                    let who = Who { organization: &organization, actor: &actor, address: None };
                    audit::append_of(&mut transaction, who, event).await?;
                }
            }
            transaction.commit().await?;
            Ok(Some(before))
        };
        self.in_time(work).await
    }
}
