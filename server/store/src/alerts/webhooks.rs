//! Where events of an organization are sent.
//!
//! Invariant: a secret is read only to sign a message with it.

use serde_json::json;
use server_accounts::{Allowed, Kind, may, new_id};

use super::{EVERY_EVENT, MAX_EVENT_BYTES, MAX_EVENTS, MAX_URL_BYTES, MAX_WEBHOOKS};
use super::{check_number, word};
use crate::accounts::check::{self, not_found};
use crate::accounts::list::{List, Part};
use crate::accounts::{audit, organizations::check_in_force};
use crate::database::now;
use crate::page::{Page, PageQuery};
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "webhook";
const COLUMNS: &str = "id, url, events, created_at, disabled_at";
const COUNT: &str = "SELECT COUNT(*) FROM webhooks WHERE organization_id = $1";
const INSERT: &str = "INSERT INTO webhooks (organization_id, id, url, secret, events, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)";
const DELETE: &str = "DELETE FROM webhooks WHERE organization_id = $1 AND id = $2";
const MAX_SECRET_BYTES: usize = 256;

/// Where events are to be sent.
#[derive(Clone, Copy)]
pub struct NewWebhook<'a> {
    /// `https://…` or `http://…`, of at most 2048 bytes.
    pub url: &'a str,
    /// `whsec_…`, what messages are signed with.
    pub secret: &'a str,
    /// Types of events like `budget.threshold_reached`; all, if there are none.
    pub events: &'a [String],
}

/// Where events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// The address.
    pub url: String,
    /// Types of events; `*` stands for all.
    pub events: Vec<String>,
    /// Unix time in seconds.
    pub created_at: i64,
    /// Since when nothing is sent any more: its receiver said that it is gone.
    pub disabled_at: Option<i64>,
}

type Row = (String, String, String, i64, Option<i64>);

fn read((id, url, events, created_at, disabled_at): Row) -> Webhook {
    let events = events.split_whitespace().map(str::to_owned).collect();
    Webhook { id, url, events, created_at, disabled_at }
}

fn list(organization: &str) -> List {
    let scope = Part::default().sql("organization_id = ").text(organization);
    let (table, order, filter) = ("webhooks", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

/// [`StoreError::NotFound`] unless the organization has the webhook.
pub(super) async fn find(
    transaction: &mut Transaction,
    organization: &str,
    id: &str,
) -> Result<(), StoreError> {
    let _: Row = list(organization).one(transaction, id).await?;
    Ok(())
}

impl NewWebhook<'_> {
    /// The URL, and the types of events as they are kept.
    fn checked(&self) -> Result<(String, String), StoreError> {
        let url = word("URL", self.url, MAX_URL_BYTES)?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(StoreError::invalid("URL", "it begins with https:// or http://"));
        }
        if !self.secret.starts_with("whsec_") || self.secret.len() > MAX_SECRET_BYTES {
            return Err(StoreError::invalid("secret", "it begins with whsec_"));
        }
        if self.events.len() > MAX_EVENTS {
            return Err(StoreError::TooMany { what: "webhook's events", max: MAX_EVENTS as u64 });
        }
        let events = self.events.iter().map(|event| word("event", event, MAX_EVENT_BYTES));
        let events = events.collect::<Result<Vec<_>, _>>()?.join(" ");
        Ok((url, if events.is_empty() { EVERY_EVENT.to_owned() } else { events }))
    }
}

impl Store {
    /// Has events sent to an address from now on.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if it cannot be like that, [`StoreError::TooMany`] beyond 16.
    pub async fn create_webhook(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        new: &NewWebhook<'_>,
    ) -> Result<Webhook, StoreError> {
        let organization = check::whole(allowed)?;
        let (url, events) = new.checked()?;
        let id = new_id(Kind::Webhook);
        // The URL may have a secret of the receiver's in it.
        let data = json!({ "data": { "events": events } });
        let event = audit::event("webhook.created", &id, None, data);
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            let row = &mut transaction;
            let (num,): (i64,) = query!(&mut *row, fetch_one, COUNT, organization)?;
            check_number("organization's webhooks", num, MAX_WEBHOOKS)?;
            execute!(row, INSERT, organization, id, url, new.secret, events, now())?;
            let made = list(organization).one(&mut transaction, &id).await?;
            audit::commit(transaction, allowed, event).await?;
            Ok(read(made))
        };
        self.in_time(work).await
    }

    /// A page of webhooks, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn webhooks(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        query: &PageQuery,
    ) -> Result<Page<Webhook>, StoreError> {
        let organization = check::whole(allowed)?;
        let size = |row: &Row| row.1.len() + row.2.len();
        Ok(self.page_of(organization, &list(organization), query, size).await?.map(read))
    }

    /// Sends nothing to it any more, what waits included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such webhook.
    pub async fn delete_webhook(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        id: &str,
    ) -> Result<(), StoreError> {
        let organization = check::whole(allowed)?;
        let event = audit::event("webhook.deleted", id, None, json!({}));
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
