//! Sends what is in the outbox: what an alert tells, by signed webhooks and mail, and letters about
//! invoices.
//!
//! Invariant: a try ends within its time limit, which is shorter than the time that its message is
//! ours alone. Of what a receiver answers only the status is read.

use std::time::Duration;

use server_http::{Outbound, OutboundError};
use server_identity::mail::{Letter, LetterError, MailError, Site};
use server_identity::{EmailAddress, EmailError, UnixSeconds, WebhookError, WebhookSecret};
use server_store::{BillingLetter, Delivery, Store, Target};

use super::event::Event;
use super::invoices;
use super::{AlertMail, AlertsOptions};

const TIMEOUT: Duration = Duration::from_secs(15);
/// "Gone": as Standard Webhooks has it, nothing more is to be sent there.
const GONE: u16 = 410;
const SITE_NAME: &str = "Agentbase";

pub(super) struct Sender {
    store: Store,
    outbound: Option<Outbound>,
    mail: AlertMail,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the webhook cannot be signed: {0}")]
    Sign(#[from] WebhookError),
    #[error("nothing was sent to the webhook's address: {0}")]
    Outbound(#[from] OutboundError),
    #[error("this server has no certificates to check others by: install ca-certificates")]
    NoOutbound,
    #[error("the webhook's receiver answered with status {0}")]
    Status(u16),
    #[error(transparent)]
    Address(#[from] EmailError),
    #[error(transparent)]
    Letter(#[from] LetterError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("the event is kept in a form that this version does not read: {0}")]
    Event(#[from] serde_json::Error),
}

impl Failure {
    /// Whether the receiver is no more.
    fn is_gone(&self) -> bool {
        matches!(self, Self::Status(GONE) | Self::Mail(MailError::Refused { .. }))
    }
}

impl Sender {
    pub(super) fn new(store: Store, options: AlertsOptions) -> Self {
        let AlertsOptions { outbound, mail } = options;
        Self { store, outbound, mail }
    }

    /// Tries to deliver a message, and notes what came of it.
    pub(super) async fn attempt(&self, delivery: &Delivery, unix_now: impl Fn() -> i64) {
        let tried = match &delivery.target {
            Target::Webhook { url, secret, .. } => self.post(delivery, url, secret).await,
            Target::Mail { address } => self.write(delivery, address).await,
        };
        let noted = match tried {
            Ok(()) => self.store.delivered(delivery).await,
            Err(failure) => {
                let error = failure.to_string();
                let (message, event) = (delivery.id.as_str(), delivery.event.as_str());
                tracing::debug!(message, event, %error, "a message was not delivered");
                let failed = self.store.failed(delivery, unix_now(), &error, failure.is_gone());
                failed.await.map(|is_over| {
                    if is_over {
                        tracing::warn!(message, event, %error, "a message is given up");
                    }
                })
            }
        };
        if let Err(error) = noted {
            let message = delivery.id.as_str();
            tracing::warn!(message, %error, "whether a message was delivered is not noted");
        }
    }

    async fn post(&self, delivery: &Delivery, url: &str, secret: &str) -> Result<(), Failure> {
        let secret = WebhookSecret::parse(secret)?;
        let body = delivery.body.as_bytes();
        let signed = WebhookSecret::sign(&[&secret], &delivery.id, UnixSeconds::now(), body)?;
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", signed.timestamp.as_str()),
            ("webhook-signature", signed.signature.as_str()),
        ];
        let outbound = self.outbound.as_ref().ok_or(Failure::NoOutbound)?;
        let status = outbound.post(url, &headers, delivery.body.clone(), TIMEOUT).await?;
        if (200..300).contains(&status) { Ok(()) } else { Err(Failure::Status(status)) }
    }

    async fn write(&self, delivery: &Delivery, address: &str) -> Result<(), Failure> {
        let url = self.mail.site_url.as_str();
        let site = Site { name: SITE_NAME, url };
        let letter = if delivery.event.starts_with(BillingLetter::EVENTS) {
            invoices::letter(&site, &serde_json::from_str(&delivery.body)?)?
        } else {
            let told: Event = serde_json::from_str(&delivery.body)?;
            let (used, limit) = told.data.amounts();
            let (account, percent) = (told.data.account(), told.data.percent);
            Letter::limit_alert(&site, &account, (&used, &limit), percent, url)?
        };
        self.mail.mailer.send(&EmailAddress::parse(address)?, &letter).await?;
        Ok(())
    }
}
