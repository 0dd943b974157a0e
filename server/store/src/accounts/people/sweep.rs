//! Removes what is over: sessions, what was sent by mail, and failed logins of long ago.

use crate::sql::execute;
use crate::{Store, StoreError};

/// Seconds after which failed logins count no more.
const FAILURES_KEPT: i64 = 7 * 86_400;

const SESSIONS: &str = "DELETE FROM sessions WHERE id IN
    (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
const TOKENS: &str = "DELETE FROM user_tokens WHERE hash IN
    (SELECT hash FROM user_tokens WHERE expires_at <= $1 LIMIT $2)";
const FAILURES: &str = "DELETE FROM login_failures WHERE email IN
    (SELECT email FROM login_failures WHERE last_at <= $1 AND blocked_until <= $2 LIMIT $3)";

impl Store {
    /// Removes a batch of what was over at `now` (Unix seconds); how many rows those were.
    pub(crate) async fn sweep_people(&self, now: i64, batch: i64) -> Result<usize, StoreError> {
        let mut transaction = self.write_every().await?;
        let mut num = execute!(&mut transaction, SESSIONS, now, batch)?;
        num += execute!(&mut transaction, TOKENS, now, batch)?;
        let long_ago = now.saturating_sub(FAILURES_KEPT);
        num += execute!(&mut transaction, FAILURES, long_ago, now, batch)?;
        transaction.commit().await?;
        Ok(usize::try_from(num).unwrap_or(usize::MAX))
    }
}
