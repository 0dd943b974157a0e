//! Letters about invoices: who gets them, and that each notice becomes letters once.
//!
//! Invariant: a notice is marked in the transaction that puts its letters into the outbox, so it is
//! told of once, however many processes see it, and is not lost where one ends in between.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use server_accounts::{Allowed, may};

use super::BillingNotice;
use super::notices::SENT;
use crate::accounts::audit;
use crate::accounts::check::{not_found, whole};
use crate::alerts::{MAIL, checked_address, put};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// Those who have been members for the longest.
const OWNERS: &str = "SELECT u.email FROM memberships AS m JOIN users AS u ON u.id = m.user_id
    WHERE m.organization_id = $1 AND m.role = 'owner' AND u.disabled_at IS NULL
    ORDER BY m.created_at, u.id LIMIT $2";
const MAX_OWNERS: i64 = 32;
const EMAIL: &str = "SELECT billing_email FROM organizations WHERE id = $1";
const SET_EMAIL: &str = "UPDATE organizations SET billing_email = $2 WHERE id = $1";

/// What a letter about an invoice says, as it lies in the outbox. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum BillingLetter {
    /// An invoice is past due.
    #[serde(rename = "billing.reminder")]
    Reminder {
        /// What people call the organization.
        organization: String,
        /// `23.80 EUR`, where that is known.
        amount: Option<String>,
        /// Since when.
        since: i64,
        /// When requests are refused.
        suspended_at: i64,
        /// Where it is paid.
        url: String,
    },
    /// Requests are refused until it is paid.
    #[serde(rename = "billing.suspended")]
    Suspended {
        /// What people call the organization.
        organization: String,
        /// `23.80 EUR`, where that is known.
        amount: Option<String>,
        /// Since when it is past due.
        since: i64,
        /// Where it is paid.
        url: String,
    },
    /// All is paid, and requests are let in again.
    #[serde(rename = "billing.restored")]
    Restored {
        /// What people call the organization.
        organization: String,
        /// Where subscriptions are looked after.
        url: String,
    },
}

impl BillingLetter {
    /// How types of events of letters about invoices begin.
    pub const EVENTS: &str = "billing.";

    /// The type of its event.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::Reminder { .. } => "billing.reminder",
            Self::Suspended { .. } => "billing.suspended",
            Self::Restored { .. } => "billing.restored",
        }
    }
}

impl Store {
    /// Puts a letter into the outbox for each owner of a notice's organization who is not disabled,
    /// and for its address for invoices, and marks the notice; how many letters it were, or nothing
    /// where that was done before. It is one of those that are put there however many wait.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_letters(
        &self,
        notice: &BillingNotice,
        letter: &BillingLetter,
    ) -> Result<Option<usize>, StoreError> {
        let BillingNotice { organization, position, .. } = notice;
        // Of texts and numbers alone.
        let body = serde_json::to_string(letter).unwrap_or_default();
        let work = async {
            let mut transaction = self.write(organization).await?;
            if execute!(&mut transaction, SENT, organization, *position, now())? == 0 {
                return Ok(None);
            }
            let addresses = addresses(&mut transaction, organization).await?;
            for address in &addresses {
                let message = (MAIL, address.as_str(), letter.event(), body.as_str());
                put(&mut transaction, organization, message, now()).await?;
            }
            transaction.commit().await?;
            Ok(Some(addresses.len()))
        };
        self.in_time(work).await
    }

    /// Where letters about invoices go beside the owners, if that was said.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_email(
        &self,
        allowed: &Allowed<may::ReadBilling>,
    ) -> Result<Option<String>, StoreError> {
        let id = allowed.organization();
        let work = async { email(&mut self.read(id).await?, id).await };
        self.in_time(work).await
    }

    /// Has letters about invoices go to an address, too; or to the owners alone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if it is
    /// no address.
    pub async fn set_billing_email(
        &self,
        allowed: &Allowed<may::WriteBilling>,
        email: Option<&str>,
    ) -> Result<(), StoreError> {
        let id = whole(allowed)?;
        let email = email.map(checked_address).transpose()?;
        // The log cannot forget, so it is not told the address.
        let changes = json!({ "changes_requested": { "has_billing_email": email.is_some() } });
        let work = async {
            let mut transaction = self.write(id).await?;
            if execute!(&mut transaction, SET_EMAIL, id, email)? == 0 {
                return Err(not_found("organization", id));
            }
            let event = audit::event("organization.updated", id, None, changes);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}

async fn email(transaction: &mut Transaction, id: &str) -> Result<Option<String>, StoreError> {
    let found: Option<(Option<String>,)> = query!(transaction, fetch_optional, EMAIL, id)?;
    Ok(found.and_then(|(email,)| email))
}

/// Who is told, each once.
async fn addresses(
    transaction: &mut Transaction,
    organization: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let owners: Vec<(String,)> =
        query!(&mut *transaction, fetch_all, OWNERS, organization, MAX_OWNERS)?;
    let mut all: BTreeSet<String> = owners.into_iter().map(|(email,)| email).collect();
    all.extend(email(transaction, organization).await?);
    Ok(all)
}
