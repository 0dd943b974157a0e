//! What organizations are to be told of invoices, as letters in the outbox.
//!
//! Invariant: a notice becomes letters once; nobody is dunned who has paid, as far as Stripe can
//! say so in time.

use std::time::Duration;

use server_billing::{BillingError, Invoice, InvoiceId, Notice, UnixSeconds};
use server_metering::OrganizationId;
use server_store::{BillingLetter, BillingNotice};

use crate::Subscriptions;
use crate::store::{failed, may, secs};

const BATCH: i64 = 100;
/// How long a letter waits for a Stripe that does not say what is to be paid, and where; then it
/// is sent without.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A Stripe that fails so often in one go is asked again in the next. The oldest are first, so none
/// that is late waits behind those that are not.
const MAX_FAILURES: usize = 3;

impl Subscriptions {
    /// Puts letters of all notices that are new into the outbox; of how many notices.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_letters(&self) -> Result<usize, BillingError> {
        let (mut num, mut num_failed) = (0, 0);
        for notice in self.store().unsent_notices(BATCH).await.map_err(failed)? {
            let organization = notice.organization.as_str();
            match self.letter(&notice).await {
                Ok(Some(letter)) => {
                    let written = self.store().write_letters(&notice, &letter).await;
                    match written.map_err(failed)? {
                        Some(0) => {
                            let event = letter.event();
                            tracing::warn!(organization, event, "nobody is there to be told");
                        }
                        Some(_) => num += 1,
                        // Another server did it.
                        None => {}
                    }
                }
                Ok(None) => {
                    let now = secs(self.now());
                    self.store().notice_sent(&notice, now).await.map_err(failed)?;
                }
                Err(BillingError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    num_failed += 1;
                    tracing::warn!(organization, %error, "a letter about an invoice waits");
                    if num_failed == MAX_FAILURES {
                        break;
                    }
                }
            }
        }
        Ok(num)
    }

    /// What a notice's letter says; nothing, where there is nothing to say any more.
    async fn letter(&self, notice: &BillingNotice) -> Result<Option<BillingLetter>, BillingError> {
        let told: Notice = match serde_json::from_str(&notice.notice) {
            Ok(told) => told,
            Err(error) => {
                let organization = notice.organization.as_str();
                tracing::error!(organization, %error, "a notice cannot be read, nor sent");
                return Ok(None);
            }
        };
        let id = OrganizationId::new(&notice.organization).map_err(failed)?;
        let organization = self.store().organization(&may(&id)?).await.map_err(failed)?.name;
        let page = self.plain_return_url().to_owned();
        Ok(match told {
            Notice::Reminder { invoice, since, suspended_at, .. } => {
                let owed = self.owed(&invoice, notice).await?;
                owed.map(|(amount, url)| BillingLetter::Reminder {
                    organization,
                    amount,
                    since: secs(since),
                    suspended_at: secs(suspended_at),
                    url: url.unwrap_or(page),
                })
            }
            Notice::Suspended { invoice, since } => {
                let owed = self.owed(&invoice, notice).await?;
                owed.map(|(amount, url)| BillingLetter::Suspended {
                    organization,
                    amount,
                    since: secs(since),
                    url: url.unwrap_or(page),
                })
            }
            Notice::Restored => Some(BillingLetter::Restored { organization, url: page }),
        })
    }

    /// How much of an invoice is to be paid and where, as far as that is known; nothing, where it
    /// need not be paid any more.
    async fn owed(
        &self,
        id: &InvoiceId,
        notice: &BillingNotice,
    ) -> Result<Option<(Option<String>, Option<String>)>, BillingError> {
        let is_late = is_late(notice.created_at, self.now());
        match self.billing().invoice(id).await {
            Ok(Some(invoice)) if invoice.is_settled() => Ok(None),
            Ok(invoice) => {
                let amount = invoice.as_ref().map(Invoice::remaining);
                Ok(Some((amount, invoice.and_then(|invoice| invoice.hosted_invoice_url))))
            }
            Err(error) if is_late => {
                tracing::warn!(%error, "a letter does not say what is to be paid");
                Ok(Some((None, None)))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_late(created_at: i64, now: UnixSeconds) -> bool {
    let created = u64::try_from(created_at).unwrap_or(0);
    now.0.saturating_sub(created) > PATIENCE.as_secs()
}
