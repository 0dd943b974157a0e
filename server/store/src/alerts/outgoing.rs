//! What was sent or is to be, as it is listed.
//!
//! Invariant: what a message says is not listed.

use server_accounts::{Allowed, may};

use super::webhooks;
use crate::accounts::check;
use crate::accounts::list::{List, Part};
use crate::page::{Page, PageQuery};
use crate::{Store, StoreError};

const COLUMNS: &str =
    "id, kind, target, event, attempts, next_at, created_at, done_at, failed_at, last_error";

/// A message as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id, which its receiver is told.
    pub id: String,
    /// `webhook` or `mail`.
    pub kind: String,
    /// The webhook's id, or an address.
    pub target: String,
    /// The type of its event.
    pub event: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, if it is; Unix time in seconds, as all that follow.
    pub next_at: Option<i64>,
    /// When it was put in.
    pub created_at: i64,
    /// When it was delivered, if it was.
    pub done_at: Option<i64>,
    /// When it was given up, if it was.
    pub failed_at: Option<i64>,
    /// Why the last try failed, if it did.
    pub last_error: Option<String>,
}

type Row =
    (String, String, String, String, i64, i64, i64, Option<i64>, Option<i64>, Option<String>);

fn read(row: Row) -> Outgoing {
    let (id, kind, target, event, attempts, next_at, created_at, done_at, failed_at, last_error) =
        row;
    let is_over = done_at.is_some() || failed_at.is_some();
    let next_at = (!is_over).then_some(next_at);
    Outgoing {
        id,
        kind,
        target,
        event,
        attempts,
        next_at,
        created_at,
        done_at,
        failed_at,
        last_error,
    }
}

fn list(scope: Part, only_failed: bool) -> List {
    let filter = Part::default().sql(if only_failed { " AND failed_at IS NOT NULL" } else { "" });
    let (what, table, order) = ("message", "outbox", "created_at");
    List { what, columns: COLUMNS, table, order, scope, filter }
}

fn size(row: &Row) -> usize {
    row.2.len() + row.9.as_ref().map_or(0, String::len)
}

impl Store {
    /// A page of messages, those that wait, those that were delivered and those that were given up;
    /// of the last alone where `only_failed`.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn outgoing(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        only_failed: bool,
        query: &PageQuery,
    ) -> Result<Page<Outgoing>, StoreError> {
        let organization = check::whole(allowed)?;
        let scope = Part::default().sql("organization_id = ").text(organization);
        let list = list(scope, only_failed);
        Ok(self.page_of(organization, &list, query, size).await?.map(read))
    }

    /// The same of one webhook.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such webhook, [`StoreError::NotListed`] if the one
    /// that the page comes after is not there.
    pub async fn deliveries(
        &self,
        allowed: &Allowed<may::WriteWebhooks>,
        webhook: &str,
        only_failed: bool,
        query: &PageQuery,
    ) -> Result<Page<Outgoing>, StoreError> {
        let organization = check::whole(allowed)?;
        let scope = Part::default().sql("organization_id = ").text(organization);
        let scope = scope.sql(" AND kind = 'webhook' AND target = ").text(webhook);
        let list = list(scope, only_failed);
        let work = async {
            let mut transaction = self.read(organization).await?;
            webhooks::find(&mut transaction, organization, webhook).await?;
            list.page(&mut transaction, query, size).await
        };
        Ok(self.in_time(work).await?.map(read))
    }
}
