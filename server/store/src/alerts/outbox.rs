//! What is to be sent: taken, tried, and tried again later.
//!
//! Invariant: who takes a message has it for the time of its lease; one that is neither delivered
//! nor failed by then, since its process was killed, is taken again with the same id.

use std::fmt;

use super::MAIL;
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// Tries, until a message to a webhook is given up: about three hours in all.
const MAX_ATTEMPTS: i64 = 12;
/// The same of one to a mailbox: about four days, as is usual between mail servers.
const MAX_MAIL_ATTEMPTS: i64 = 28;
const FIRST_PAUSE_SECS: i64 = 5;
const MAX_PAUSE_SECS: i64 = 6 * 60 * 60;
/// Longer than a try takes.
const LEASE_SECS: i64 = 3 * 60;
/// How long what was delivered or given up is shown.
const KEPT_SECS: i64 = 30 * 24 * 60 * 60;
const MAX_ERROR_CHARS: usize = 300;

const IS_DUE: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE done_at IS NULL
    AND failed_at IS NULL AND next_at <= $1 LIMIT 1) AS due";
const GIVE_UP: &str = "UPDATE outbox SET failed_at = $1,
    last_error = 'the server was ended while it tried for the last time'
    WHERE done_at IS NULL AND failed_at IS NULL AND next_at <= $1
    AND attempts >= CASE WHEN kind = 'mail' THEN $3 ELSE $2 END";
/// Who waited for a row that another process took sees that it is not due any more.
const TAKE: &str = "UPDATE outbox SET attempts = attempts + 1, next_at = $2
    WHERE done_at IS NULL AND failed_at IS NULL AND next_at <= $1
    AND (organization_id, id) IN (SELECT organization_id, id FROM outbox
        WHERE done_at IS NULL AND failed_at IS NULL AND next_at <= $1
        ORDER BY next_at LIMIT $3)
    RETURNING organization_id, id, kind, target, event, body, attempts, created_at";
const WEBHOOK: &str = "SELECT url, secret FROM webhooks
    WHERE organization_id = $1 AND id = $2 AND disabled_at IS NULL";
const DONE: &str = "UPDATE outbox SET done_at = $3, last_error = NULL
    WHERE organization_id = $1 AND id = $2 AND done_at IS NULL";
const AGAIN: &str = "UPDATE outbox SET next_at = $4, last_error = $5
    WHERE organization_id = $1 AND id = $2 AND attempts = $3 AND done_at IS NULL
    AND failed_at IS NULL";
const FAILED: &str = "UPDATE outbox SET failed_at = $4, last_error = $5
    WHERE organization_id = $1 AND id = $2 AND attempts = $3 AND done_at IS NULL
    AND failed_at IS NULL";
const DISABLE: &str = "UPDATE webhooks SET disabled_at = $3
    WHERE organization_id = $1 AND id = $2 AND disabled_at IS NULL";
const SWEEP: &str = "DELETE FROM outbox WHERE (done_at IS NOT NULL OR failed_at IS NOT NULL)
    AND COALESCE(done_at, failed_at) < $1";
/// Where a message goes.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A webhook.
    Webhook {
        /// Its id.
        id: String,
        /// Its address.
        url: String,
        /// What it is signed with.
        secret: String,
    },
    /// A mailbox.
    Mail {
        /// Its address.
        address: String,
    },
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { id, .. } => write!(f, "Webhook({id})"),
            Self::Mail { .. } => f.write_str("Mail"),
        }
    }
}

impl Target {
    /// Tries, until a message to it is given up.
    fn max_attempts(&self) -> i64 {
        match self {
            Self::Webhook { .. } => MAX_ATTEMPTS,
            Self::Mail { .. } => MAX_MAIL_ATTEMPTS,
        }
    }
}

/// A message to be tried now, by whoever took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose it is.
    pub organization: String,
    /// The same at each try.
    pub id: String,
    /// Where it goes.
    pub target: Target,
    /// The type of its event.
    pub event: String,
    /// The event in JSON.
    pub body: String,
    /// Which try this is, from 1 on.
    pub attempt: i64,
    /// Unix time in seconds.
    pub created_at: i64,
}

type TakenRow = (String, String, String, String, String, String, i64, i64);
/// How long to wait after a try that failed.
fn pause(attempt: i64) -> i64 {
    let doublings = attempt.saturating_sub(1).clamp(0, 30);
    FIRST_PAUSE_SECS.saturating_mul(1 << doublings).min(MAX_PAUSE_SECS)
}

async fn taken(
    transaction: &mut Transaction,
    row: TakenRow,
    now: i64,
) -> Result<Option<Delivery>, StoreError> {
    let (organization, id, kind, target, event, body, attempt, created_at) = row;
    let target = if kind == MAIL {
        Some(Target::Mail { address: target })
    } else {
        let found: Option<(String, String)> =
            query!(&mut *transaction, fetch_optional, WEBHOOK, organization, target)?;
        found.map(|(url, secret)| Target::Webhook { id: target, url, secret })
    };
    let Some(target) = target else {
        let why = "the webhook was deleted or disabled";
        execute!(transaction, FAILED, organization, id, attempt, now, why)?;
        return Ok(None);
    };
    Ok(Some(Delivery { organization, id, target, event, body, attempt, created_at }))
}

impl Store {
    /// At most `max` messages that are due at `now` (Unix seconds), of all organizations, for this
    /// process alone for the next three minutes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_deliveries(&self, now: i64, max: u32) -> Result<Vec<Delivery>, StoreError> {
        let work = async {
            let mut reading = self.read_every().await?;
            let (num_due,): (i64,) = query!(&mut reading, fetch_one, IS_DUE, now)?;
            drop(reading);
            if num_due == 0 {
                return Ok(Vec::new());
            }
            let mut transaction = self.write_every_unlocked().await?;
            execute!(&mut transaction, GIVE_UP, now, MAX_ATTEMPTS, MAX_MAIL_ATTEMPTS)?;
            let (until, max) = (now.saturating_add(LEASE_SECS), i64::from(max));
            let rows: Vec<TakenRow> = query!(&mut transaction, fetch_all, TAKE, now, until, max)?;
            let mut deliveries = Vec::new();
            for row in rows {
                deliveries.extend(taken(&mut transaction, row, now).await?);
            }
            transaction.commit().await?;
            Ok(deliveries)
        };
        self.in_time(work).await
    }

    /// It arrived.
    ///
    /// # Errors
    /// If the database fails; it is sent again then.
    pub async fn delivered(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write(&delivery.organization).await?;
            let (organization, id) = (&delivery.organization, &delivery.id);
            execute!(&mut transaction, DONE, organization, id, now())?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// It did not arrive at `now` (Unix seconds), and `error` says why. It is tried again after
    /// 5 s, and after twice as long each time, but no more than 6 hours; the twelfth time it is
    /// given up, to a mailbox the 28th, and at once where `is_gone`: its receiver is no more, so a
    /// webhook is disabled. Says whether it was given up.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn failed(
        &self,
        delivery: &Delivery,
        now: i64,
        error: &str,
        is_gone: bool,
    ) -> Result<bool, StoreError> {
        let Delivery { organization, id, attempt, target, .. } = delivery;
        let error: String = error.chars().take(MAX_ERROR_CHARS).collect();
        let work = async {
            let mut transaction = self.write(organization).await?;
            let row = &mut transaction;
            let is_over = is_gone || *attempt >= target.max_attempts();
            if is_over {
                execute!(&mut *row, FAILED, organization, id, *attempt, now, error)?;
            } else {
                let next_at = now.saturating_add(pause(*attempt));
                execute!(&mut *row, AGAIN, organization, id, *attempt, next_at, error)?;
            }
            if let (true, Target::Webhook { id, .. }) = (is_gone, target) {
                execute!(row, DISABLE, organization, id, now)?;
            }
            transaction.commit().await?;
            Ok(is_over)
        };
        self.in_time(work).await
    }

    /// Forgets what was delivered or given up 30 days ago.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_outbox(&self, now: i64) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.write_every().await?;
            let num = execute!(&mut transaction, SWEEP, now.saturating_sub(KEPT_SECS))?;
            transaction.commit().await?;
            Ok(num)
        };
        self.in_time(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ATTEMPTS, MAX_PAUSE_SECS, pause};

    #[test]
    fn pauses_double_and_have_an_end() {
        let pauses: Vec<i64> = (1..=MAX_ATTEMPTS).map(pause).collect();
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert_eq!(pause(13), 20_480);
        assert_eq!([pause(14), pause(i64::MAX)], [MAX_PAUSE_SECS; 2]);
    }
}
