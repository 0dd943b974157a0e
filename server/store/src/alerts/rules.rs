//! Whom to tell how much of a budget or a quota is used.

use serde_json::json;
use server_accounts::{Allowed, Kind, may, new_id};
use server_metering::{Meter, Period};

use super::{MAX_ADDRESSES, MAX_ALERTS, MAX_THRESHOLDS, check_number, checked_address};
use crate::accounts::check::{self, not_found, unreadable};
use crate::accounts::list::{List, Part};
use crate::accounts::{audit, organizations::check_in_force, projects::check_active};
use crate::database::now;
use crate::page::{Page, PageQuery};
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

pub(super) const WHAT: &str = "alert";
const BUDGET: &str = "budget";
const COLUMNS: &str = "organization_id, id, project_id, key_id, what, period, thresholds,
    by_webhook, addresses, created_at";
const COUNT: &str = "SELECT COUNT(*) FROM alerts WHERE organization_id = $1";
const INSERT: &str = "INSERT INTO alerts (organization_id, id, project_id, key_id, what, period,
    thresholds, by_webhook, addresses, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const DELETE: &str = "DELETE FROM alerts WHERE organization_id = $1 AND id = $2";
const PROJECT_OF_KEY: &str = "SELECT project_id FROM keys WHERE organization_id = $1 AND id = $2
    AND kind = 'project' AND revoked_at IS NULL";

/// What an alert watches, as budgets and quotas are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOn {
    /// The money of a period.
    Budget(Period),
    /// The units of a meter in a period.
    Quota(Meter, Period),
}

/// An alert to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// The project whose limit it is; that of a key is known by the key.
    pub project: Option<String>,
    /// The key whose limit it is. Without either it is the organization's.
    pub key: Option<String>,
    /// Which limit.
    pub on: AlertOn,
    /// Percents of the limit, 1 to 100, at most 8.
    pub thresholds: Vec<u32>,
    /// Whether it goes to the organization's webhooks.
    pub by_webhook: bool,
    /// Who gets mail, at most 8.
    pub addresses: Vec<String>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its organization.
    pub organization: String,
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub rule: NewAlert,
    /// Unix time in seconds.
    pub created_at: i64,
}

pub(super) type Row =
    (String, String, Option<String>, Option<String>, String, String, String, i64, String, i64);
impl AlertOn {
    /// The period that is counted in.
    #[must_use]
    pub fn period(self) -> Period {
        match self {
            Self::Budget(period) | Self::Quota(_, period) => period,
        }
    }

    fn what(self) -> String {
        match self {
            Self::Budget(_) => BUDGET.to_owned(),
            Self::Quota(meter, _) => meter.to_string(),
        }
    }

    fn read(what: &str, period: &str) -> Option<Self> {
        let period = Period::ALL.into_iter().find(|it| it.to_string() == period)?;
        match what {
            BUDGET => Some(Self::Budget(period)),
            meter => Some(Self::Quota(meter.parse().ok()?, period)),
        }
    }
}

impl NewAlert {
    /// The thresholds, from the lowest, and the addresses, as they are kept.
    fn checked(&self) -> Result<(String, String), StoreError> {
        let mut thresholds = self.thresholds.clone();
        thresholds.sort_unstable();
        thresholds.dedup();
        let is_fine = (1..=MAX_THRESHOLDS).contains(&thresholds.len())
            && thresholds.iter().all(|percent| (1..=100).contains(percent));
        if !is_fine {
            let why = format!("give 1 to {MAX_THRESHOLDS} of them, from 1 to 100 percent");
            return Err(StoreError::invalid("thresholds", why));
        }
        if !self.by_webhook && self.addresses.is_empty() {
            return Err(StoreError::invalid(
                WHAT,
                "it goes to nobody: give an address, or webhooks",
            ));
        }
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(StoreError::TooMany { what: "alert", max: MAX_ADDRESSES as u64 });
        }
        let addresses = self.addresses.iter().map(|address| checked_address(address));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let thresholds: Vec<String> = thresholds.iter().map(u32::to_string).collect();
        Ok((thresholds.join(" "), addresses.join(" ")))
    }
}

pub(super) fn read(row: Row) -> Result<Alert, StoreError> {
    let (organization, id, project, key, what, period, thresholds, by_webhook, addresses, at) = row;
    let on = AlertOn::read(&what, &period);
    let on = on.ok_or_else(|| unreadable(WHAT, &id, format!("it is on {what} ({period})")))?;
    let thresholds = thresholds.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    let thresholds = thresholds.map_err(|error| unreadable(WHAT, &id, error))?;
    let addresses = addresses.split_whitespace().map(str::to_owned).collect();
    let by_webhook = by_webhook != 0;
    let rule = NewAlert { project, key, on, thresholds, by_webhook, addresses };
    Ok(Alert { organization, id, rule, created_at: at })
}

fn list(organization: &str) -> List {
    let scope = Part::default().sql("organization_id = ").text(organization);
    let (table, order, filter) = ("alerts", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

/// The project of the account, which is there.
async fn account(
    transaction: &mut Transaction,
    allowed: &Allowed<may::WriteWebhooks>,
    new: &NewAlert,
) -> Result<Option<String>, StoreError> {
    let organization = allowed.organization();
    check_in_force(transaction, organization).await?;
    let mut project = new.project.clone();
    if let Some(key) = &new.key {
        let of_key: Option<(String,)> =
            query!(&mut *transaction, fetch_optional, PROJECT_OF_KEY, organization, key)?;
        let (of_key,) = of_key.ok_or_else(|| not_found("key", key))?;
        if project.is_some_and(|project| project != of_key) {
            return Err(StoreError::invalid("key", "it is of another project"));
        }
        project = Some(of_key);
    }
    if let Some(project) = &project {
        check_active(transaction, allowed, project).await?;
    }
    Ok(project)
}

impl Store {
    /// Makes an alert.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if it cannot be like that, [`StoreError::NotFound`] if there is no
    /// such account, [`StoreError::TooMany`] beyond 64.
    pub async fn create_alert(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        new: &NewAlert,
    ) -> Result<Alert, StoreError> {
        let organization = check::whole(allowed)?;
        let (thresholds, addresses) = new.checked()?;
        let (id, what, period) = (new_id(Kind::Alert), new.on.what(), new.on.period().to_string());
        let work = async {
            let mut transaction = self.write(organization).await?;
            let project = account(&mut transaction, allowed, new).await?;
            let row = &mut transaction;
            let (num,): (i64,) = query!(&mut *row, fetch_one, COUNT, organization)?;
            check_number("organization's alerts", num, MAX_ALERTS)?;
            let (key, by_webhook) = (&new.key, i64::from(new.by_webhook));
            execute!(
                row,
                INSERT,
                organization,
                id,
                project,
                key,
                what,
                period,
                thresholds,
                by_webhook,
                addresses,
                now()
            )?;
            let made = read(list(organization).one(&mut transaction, &id).await?)?;
            // Whose addresses they are is not the log's to keep.
            let data = json!({ "what": what, "period": period, "thresholds": thresholds });
            let data = json!({ "data": data });
            let event = audit::event("alert.created", &id, project.as_deref(), data);
            audit::commit(transaction, allowed, event).await?;
            Ok(made)
        };
        self.in_time(work).await
    }

    /// A page of alerts, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn alerts(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        query: &PageQuery,
    ) -> Result<Page<Alert>, StoreError> {
        let organization = check::whole(allowed)?;
        let size = |row: &Row| row.8.len();
        self.page_of(organization, &list(organization), query, size).await?.try_map(read)
    }

    /// Ends an alert.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such alert.
    pub async fn delete_alert(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        id: &str,
    ) -> Result<(), StoreError> {
        let organization = check::whole(allowed)?;
        let event = audit::event("alert.deleted", id, None, json!({}));
        let work = async {
            let mut transaction = self.write(organization).await?;
            if execute!(&mut transaction, DELETE, organization, id)? == 0 {
                return Err(not_found(WHAT, id));
            }
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}
