//! A threshold was reached.

use server_accounts::{Kind, new_id};

use super::{EVERY_EVENT, MAIL, MAX_WAITING};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

const RECEIVERS: &str = "SELECT by_webhook, addresses FROM alerts
    WHERE organization_id = $1 AND id = $2";
const WEBHOOKS: &str = "SELECT id, events FROM webhooks
    WHERE organization_id = $1 AND disabled_at IS NULL ORDER BY created_at, id";
/// Nothing, where it was told of this period already, or of a later one.
const MARK: &str = "INSERT INTO alert_marks (organization_id, alert_id, threshold, number, at)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, alert_id, threshold)
    DO UPDATE SET number = excluded.number, at = excluded.at
    WHERE alert_marks.number < excluded.number";
const WAITING: &str = "SELECT COUNT(*) FROM outbox
    WHERE organization_id = $1 AND done_at IS NULL AND failed_at IS NULL";
const PUT: &str = "INSERT INTO outbox (organization_id, id, kind, target, event, body, next_at,
    created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";

/// Thresholds that an alert's account has reached.
#[derive(Clone, Copy, Debug)]
pub struct Firing<'a> {
    /// The alert's organization.
    pub organization: &'a str,
    /// Its id.
    pub alert: &'a str,
    /// All that were reached, in percent, from the lowest. The highest is what `body` tells.
    pub reached: &'a [u32],
    /// Of which period, as [`server_metering::Period::number`] says.
    pub number: u64,
    /// The type of the event, like `budget.threshold_reached`.
    pub event: &'a str,
    /// The event in JSON.
    pub body: &'a str,
}

impl Store {
    /// Marks thresholds as told, and puts what tells the highest of them into the outbox: nothing,
    /// where that was told of this period before, by whomever. Says how many messages it put.
    ///
    /// # Errors
    /// [`StoreError::Full`] if too many of the organization wait already; nothing is marked then.
    pub async fn fire_alert(&self, firing: &Firing<'_>) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.write(firing.organization).await?;
            let num = fire(&mut transaction, firing).await?;
            transaction.commit().await?;
            Ok(num)
        };
        self.in_time(work).await
    }
}

async fn fire(transaction: &mut Transaction, firing: &Firing<'_>) -> Result<u64, StoreError> {
    let Firing { organization, alert, reached, number, event, body } = *firing;
    let receivers: Option<(i64, String)> =
        query!(&mut *transaction, fetch_optional, RECEIVERS, organization, alert)?;
    // It was deleted meanwhile.
    let Some((by_webhook, addresses)) = receivers else { return Ok(0) };
    let (number, now) = (i64::try_from(number).unwrap_or(i64::MAX), now());
    let mut is_news = false;
    for percent in reached {
        let percent = i64::from(*percent);
        let num = execute!(&mut *transaction, MARK, organization, alert, percent, number, now)?;
        is_news = num > 0;
    }
    if !is_news {
        return Ok(0);
    }
    let mut targets: Vec<(&str, String)> =
        addresses.split_whitespace().map(|address| (MAIL, address.to_owned())).collect();
    if by_webhook != 0 {
        let webhooks: Vec<(String, String)> =
            query!(&mut *transaction, fetch_all, WEBHOOKS, organization)?;
        let wants = |events: &str| {
            events.split_whitespace().any(|wanted| wanted == event || wanted == EVERY_EVENT)
        };
        let wanting = webhooks.into_iter().filter(|(_, events)| wants(events));
        targets.extend(wanting.map(|(id, _)| ("webhook", id)));
    }
    let (waiting,): (i64,) = query!(&mut *transaction, fetch_one, WAITING, organization)?;
    let used = u64::try_from(waiting).unwrap_or(0) + targets.len() as u64;
    if used > MAX_WAITING {
        return Err(StoreError::Full { what: "messages", used, max: MAX_WAITING });
    }
    for (kind, target) in &targets {
        put(transaction, organization, (*kind, target, event, body), now).await?;
    }
    Ok(targets.len() as u64)
}

/// Puts a message into the outbox: its kind, its target, the type of its event, and its body.
pub(crate) async fn put(
    transaction: &mut Transaction,
    organization: &str,
    (kind, target, event, body): (&str, &str, &str, &str),
    now: i64,
) -> Result<(), StoreError> {
    let id = new_id(Kind::Message);
    execute!(transaction, PUT, organization, id, kind, target, event, body, now)?;
    Ok(())
}
