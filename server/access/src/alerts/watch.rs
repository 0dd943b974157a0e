//! Compares what was used with what alerts are on.
//!
//! Invariant: a sum is told of the period that it is of. It is what this server has counted, and
//! what the ledger has where others count too; the database sees to it that servers together tell a
//! threshold once.

use std::collections::HashMap;
use std::sync::Arc;

use server_accounts::Currency;
use server_metering::{
    AccountId, Clock, KeyId, Meters, Micros, OrganizationId, Path, Period, ProjectId, Sum,
    UnixMillis,
};
use server_store::{Alert, AlertOn, ArmedAlert, Firing, Store, StoreError};

use super::event::Event;

/// Alerts that are read at once.
const PART: u32 = 500;
const MILLIS_PER_SECOND: u64 = 1000;

/// What is told already, by an alert's organization and id: of which period, and how high.
type Told = HashMap<(String, String), (u64, u32)>;

pub(super) struct Watcher {
    store: Store,
    meters: Meters,
    clock: Arc<dyn Clock>,
    /// Saves asking the database again and again; of alerts that are there.
    told: Told,
}

/// Thresholds that are reached.
struct Found {
    number: u64,
    /// From the lowest.
    reached: Vec<u32>,
    event: Event,
}

impl Watcher {
    pub(super) fn new(store: Store, meters: Meters, clock: Arc<dyn Clock>) -> Self {
        Self { store, meters, clock, told: Told::new() }
    }

    /// Looks at all alerts once, and says how many messages that makes.
    pub(super) async fn check(&mut self) -> Result<u64, StoreError> {
        let (mut place, mut told, mut num) = ((String::new(), String::new()), Told::new(), 0);
        // It may be another one until there is a budget.
        let currency = self.store.currency().await?;
        loop {
            let part = self.store.armed_alerts((&place.0, &place.1), PART).await?;
            for armed in &part.alerts {
                let name = (armed.alert.organization.clone(), armed.alert.id.clone());
                let before = self.told.get(&name).copied();
                let Some(found) = self.look(armed, currency).await? else { continue };
                let Some(highest) = found.reached.last().copied() else { continue };
                let now = (found.number, highest);
                if before.is_none_or(|before| now > before) {
                    match self.tell(armed, &found).await {
                        Ok(messages) => num += messages,
                        Err(error) => {
                            let alert = armed.alert.id.as_str();
                            tracing::warn!(alert, %error, "an alert is not told, but tried again");
                            continue;
                        }
                    }
                }
                told.insert(name, before.map_or(now, |before| before.max(now)));
            }
            match part.next {
                Some(next) => place = next,
                None => break,
            }
        }
        self.told = told;
        Ok(num)
    }

    async fn tell(&self, armed: &ArmedAlert, found: &Found) -> Result<u64, StoreError> {
        // Of texts and numbers alone.
        let body = serde_json::to_string(&found.event).unwrap_or_default();
        let firing = Firing {
            organization: &armed.alert.organization,
            alert: &armed.alert.id,
            reached: &found.reached,
            number: found.number,
            event: &found.event.kind,
            body: &body,
        };
        self.store.fire_alert(&firing).await
    }

    /// What an alert's account has used, if that is anything to tell.
    async fn look(
        &self,
        armed: &ArmedAlert,
        currency: Currency,
    ) -> Result<Option<Found>, StoreError> {
        let period = armed.alert.rule.on.period();
        let Some(limit) = limit(armed).filter(|limit| *limit > 0) else { return Ok(None) };
        let utc = self.clock.utc();
        let number = period.number(utc);
        let Some(sum) = self.sum(&armed.alert, period, utc).await? else { return Ok(None) };
        let is_over = period.number(self.clock.utc()) != number;
        Ok((!is_over).then(|| found(armed, limit, &sum, currency, utc)).flatten())
    }

    async fn sum(
        &self,
        alert: &Alert,
        period: Period,
        utc: UnixMillis,
    ) -> Result<Option<Sum>, StoreError> {
        let Some(account) = account(alert) else { return Ok(None) };
        if self.meters.is_shared() {
            let sums = self.store.account_sums(&account, utc).await?;
            return Ok(Some(sums[period as usize]));
        }
        let standing = self.meters.standing(&account);
        Ok(Some(match period {
            Period::Day => standing.day,
            Period::Month => standing.month,
            Period::Total => standing.total,
        }))
    }
}

/// What an alert's percent are of.
fn limit(armed: &ArmedAlert) -> Option<i128> {
    let (on, limits) = (armed.alert.rule.on, armed.limits.limits().ok()?);
    let period = on.period();
    Some(match on {
        AlertOn::Budget(_) => {
            let budget = limits.budgets.iter().find(|it| it.period == period)?;
            budget.amount.to_picos().get()
        }
        AlertOn::Quota(meter, _) => {
            let is_it = |it: &&server_metering::Quota| (it.meter, it.period) == (meter, period);
            i128::from(limits.quotas.iter().find(is_it)?.units)
        }
    })
}

/// What thresholds a sum has reached.
fn found(
    armed: &ArmedAlert,
    limit: i128,
    sum: &Sum,
    currency: Currency,
    utc: UnixMillis,
) -> Option<Found> {
    let on = armed.alert.rule.on;
    let number = on.period().number(utc);
    let (used, amounts) = match on {
        AlertOn::Budget(_) => {
            let limit = server_metering::Picos::new(limit);
            let told = |picos: server_metering::Picos| picos.round_up().unwrap_or(Micros::MAX);
            (sum.cost.get(), (told(sum.cost).to_string(), told(limit).to_string()))
        }
        AlertOn::Quota(meter, _) => {
            let used = sum.usage.get(meter);
            (i128::from(used), (used.to_string(), limit.to_string()))
        }
    };
    let percent = u32::try_from(used.saturating_mul(100) / limit).unwrap_or(u32::MAX);
    let thresholds = armed.alert.rule.thresholds.iter().copied();
    let reached: Vec<u32> = thresholds.filter(|threshold| *threshold <= percent).collect();
    let highest = *reached.last()?;
    let created_at = i64::try_from(utc.0 / MILLIS_PER_SECOND).unwrap_or(i64::MAX);
    let event = Event::new(armed, (highest, percent), amounts, currency, created_at);
    Some(Found { number, reached, event })
}

/// The account that an alert is on.
fn account(alert: &Alert) -> Option<AccountId> {
    let organization = OrganizationId::new(&alert.organization).ok()?;
    let Some(project) = &alert.rule.project else {
        return Some(AccountId::Organization(organization));
    };
    let project = ProjectId::new(project).ok()?;
    let Some(key) = &alert.rule.key else {
        return Some(AccountId::Project(organization, project));
    };
    let key = KeyId::new(key).ok()?;
    Some(AccountId::Key(Path { organization, project, key }))
}
