//! What Stripe says: by webhooks, when it is asked, and what time makes of it.
//!
//! Invariant: a webhook is answered with success once its event is in the state, or will never be;
//! otherwise Stripe sends it again.

use server_metering::OrganizationId;

use crate::billing::Billing;
use crate::client::StripeError;
use crate::error::BillingError;
use crate::event::{Event, EventKind};
use crate::ids::InvoiceId;
use crate::objects::Invoice;
use crate::state::{Applied, BillingState, Fetched, Refetch, Target};
use crate::store::{BillingStore, Loaded};
use crate::time::UnixSeconds;

/// How often an event is applied anew when others save at the same time.
const MAX_TRIES: usize = 16;
/// Organizations that one tick takes at once, and how often.
const TICK_BATCH: usize = 100;
const MAX_TICK_BATCHES: usize = 1000;
/// Invoices that a refresh looks at.
const REFRESHED_INVOICES: u32 = 50;

/// What came of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// This organization's state is another.
    Changed(OrganizationId),
    /// It was known, or late.
    Unchanged,
    /// It is of a kind, or of a customer, that is none of ours.
    Ignored,
}

impl<S: BillingStore> Billing<S> {
    /// Takes a webhook: its body as it came, and its `Stripe-Signature`.
    ///
    /// # Errors
    /// [`BillingError::Webhook`] if it is not Stripe's, which is status 400; others are 5xx, and
    /// Stripe sends it again.
    pub async fn receive(
        &self,
        body: &[u8],
        signature: &str,
        now: UnixSeconds,
    ) -> Result<Received, BillingError> {
        self.options.webhook_secrets.verify(body, signature, now)?;
        let event = Event::parse(body)?;
        if let EventKind::UsageRefused(reason) = &event.kind {
            tracing::error!(reason, "Stripe could not count usage that it took: see its dashboard");
        }
        let Some(customer) = event.customer() else {
            return Ok(Received::Ignored);
        };
        let Some(organization) = self.store.organization_of(customer).await? else {
            // The account may be used for other things, too.
            tracing::info!(%customer, event = %event.id, "an event of a customer of others");
            return Ok(Received::Ignored);
        };
        self.apply(organization, &event, now).await
    }

    /// Asks Stripe how an organization stands: for what webhooks have missed.
    ///
    /// # Errors
    /// If it is no customer, or Stripe or the store fails.
    pub async fn refresh(
        &self,
        organization: &OrganizationId,
        now: UnixSeconds,
    ) -> Result<(), BillingError> {
        let state = self.state(organization).await?;
        let customer = state.customer().ok_or(BillingError::NoCustomer)?;
        let mut all = vec![Fetched::Customer(self.stripe.customer(customer).await?)];
        let subscriptions = self.stripe.subscriptions(customer).await?;
        // Before the invoices: whether a payment has failed, a subscription says.
        all.extend(subscriptions.into_iter().map(|found| Fetched::Subscription(found.into())));
        let invoices = self.stripe.invoices(customer, None, REFRESHED_INVOICES).await?;
        all.extend(invoices.data.into_iter().map(|found| Fetched::Invoice(found.into())));
        let take_in = |state: &mut BillingState| {
            all.iter().for_each(|fetched| state.fetched(UnixSeconds(0), fetched));
        };
        self.change(organization, now, take_in).await?;
        Ok(())
    }

    /// An invoice as it is now; nothing, where Stripe has none.
    ///
    /// # Errors
    /// If Stripe fails.
    pub async fn invoice(&self, id: &InvoiceId) -> Result<Option<Invoice>, BillingError> {
        match self.stripe.invoice(id).await {
            Err(error) if error.is_missing() => Ok(None),
            invoice => Ok(Some(invoice?)),
        }
    }

    /// Reminds, suspends and restores who is due for it; how many were.
    ///
    /// # Errors
    /// If it cannot be read who is due.
    pub async fn tick(&self, now: UnixSeconds) -> Result<usize, BillingError> {
        let mut num_done = 0;
        for _ in 0..MAX_TICK_BATCHES {
            let due = self.store.due(now, TICK_BATCH).await?;
            let mut num_failed = 0;
            for organization in &due {
                // Whatever it changes, it is next due later than now.
                if let Err(error) = self.change(organization, now, |_| {}).await {
                    num_failed += 1;
                    tracing::error!(%organization, %error, "dunning waits for its next tick");
                }
            }
            num_done += due.len() - num_failed;
            // Who failed is due again at once, and others would never be reached behind a batch of
            // them.
            if due.len() < TICK_BATCH || num_failed == due.len() {
                break;
            }
        }
        Ok(num_done)
    }

    async fn apply(
        &self,
        organization: OrganizationId,
        event: &Event,
        now: UnixSeconds,
    ) -> Result<Received, BillingError> {
        for _ in 0..MAX_TRIES {
            let Loaded { state: before, revision } = self.store.load(&organization).await?;
            let mut state = before.clone();
            match state.apply(event) {
                Applied::Changed => {}
                Applied::Unchanged => return Ok(Received::Unchanged),
                Applied::Refetch(Refetch { target, at }) => match self.fetch(&target).await? {
                    Some(fetched) => state.fetched(at, &fetched),
                    None => return Ok(Received::Unchanged),
                },
            }
            if state == before {
                return Ok(Received::Unchanged);
            }
            if self.save(&organization, revision, &mut state, now).await? {
                if state.num_giving() > 1 {
                    tracing::error!(%organization, "it pays for two subscriptions: cancel one");
                }
                return Ok(Received::Changed(organization));
            }
        }
        Err(BillingError::Busy)
    }

    /// What there is now; `None` where there is nothing, however often Stripe is asked.
    async fn fetch(&self, target: &Target) -> Result<Option<Fetched>, StripeError> {
        let fetched = match target {
            Target::Subscription(id) => {
                let found = self.stripe.subscription(id).await;
                found.map(|found| Fetched::Subscription(found.into()))
            }
            Target::Invoice(id) => {
                self.stripe.invoice(id).await.map(|found| Fetched::Invoice(found.into()))
            }
            Target::Customer(id) => self.stripe.customer(id).await.map(Fetched::Customer),
        };
        match fetched {
            Err(error) if error.is_missing() => {
                tracing::warn!(?target, "an event tells of what Stripe does not have");
                Ok(None)
            }
            fetched => fetched.map(Some),
        }
    }
}
