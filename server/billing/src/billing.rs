//! What is asked of billing: customers, links to pay and to look after a subscription, plans,
//! invoices.
//!
//! Invariant: what Stripe made for an organization is kept before anybody is told of it; a state is
//! saved over the one it was made of, or made anew.

use server_metering::OrganizationId;

use crate::client::{
    Checkout, CheckoutSession, CheckoutStatus, CustomerDetails, ItemChange, PortalSession, Stripe,
    SubscriptionChange,
};
use crate::error::BillingError;
use crate::ids::{CheckoutId, CustomerId, InvoiceId, SubscriptionId};
use crate::objects::{Invoice, List, Subscription};
use crate::options::{BillingOptions, ReturnUrls};
use crate::plans::{Plan, Plans};
use crate::state::{BillingState, Fetched};
use crate::store::{BillingStore, Loaded, Update};
use crate::time::UnixSeconds;

/// How often a state is made anew when others save theirs at the same time.
const MAX_SAVES: usize = 16;

/// Stripe for organizations. There is none unless an operator configures it.
#[derive(Debug)]
pub struct Billing<S> {
    pub(crate) stripe: Stripe,
    pub(crate) store: S,
    pub(crate) options: BillingOptions,
}

impl<S: BillingStore> Billing<S> {
    /// Billing of what `store` keeps, by way of `stripe`.
    pub fn new(stripe: Stripe, store: S, options: BillingOptions) -> Self {
        Self { stripe, store, options }
    }

    /// What is sold.
    pub fn plans(&self) -> &Plans {
        &self.options.plans
    }

    /// How an organization stands; [`BillingState::standing`] says what it has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn state(&self, organization: &OrganizationId) -> Result<BillingState, BillingError> {
        Ok(self.store.load(organization).await?.state)
    }

    /// The organization's customer, made if there is none, and told what is said of it if there is.
    ///
    /// # Errors
    /// If Stripe or the store fails.
    pub async fn customer(
        &self,
        details: &CustomerDetails,
        now: UnixSeconds,
    ) -> Result<CustomerId, BillingError> {
        let organization = &details.organization;
        let before = self.state(organization).await?;
        if let Some(customer) = before.customer() {
            return Ok(self.stripe.update_customer(customer, details).await?.id);
        }
        let made = self.stripe.create_customer(details, before.num_customers()).await?.id;
        let link = |state: &mut BillingState| {
            // Another request was faster: its customer is the same one, or the one to keep.
            if state.customer().is_none() {
                state.link(made.clone());
            }
        };
        let state = self.change(organization, now, link).await?;
        state.customer().cloned().ok_or(BillingError::NoCustomer)
    }

    /// A page where an organization buys a plan. Its page of before is closed.
    ///
    /// # Errors
    /// If there is no such plan, it cannot be bought, the organization has one, or Stripe or the
    /// store fails.
    pub async fn checkout(
        &self,
        details: &CustomerDetails,
        plan: &str,
        urls: &ReturnUrls<'_>,
        now: UnixSeconds,
    ) -> Result<CheckoutSession, BillingError> {
        let prices = self.sold(plan)?.sold();
        let organization = &details.organization;
        let state = self.state(organization).await?;
        let before = state.checkout();
        if state.is_subscribed() || self.has_bought(&state, before).await? {
            return Err(BillingError::Subscribed);
        }
        let checkout = Checkout {
            customer: &self.customer(details, now).await?,
            organization,
            prices: &prices,
            success_url: urls.success,
            cancel_url: urls.cancel,
            has_automatic_tax: self.options.has_automatic_tax,
        };
        let session = self.stripe.create_checkout(&checkout).await?;
        let mut is_open = false;
        let open = |state: &mut BillingState| {
            is_open = state.replace_checkout(before, &session.id);
        };
        self.change(organization, now, open).await?;
        // Otherwise another request has opened one, and nobody is told of this one.
        if is_open { Ok(session) } else { Err(BillingError::Busy) }
    }

    /// Closes the page of before, since two could both be paid; whether it was, so that there is a
    /// subscription, or will be.
    async fn has_bought(
        &self,
        state: &BillingState,
        before: Option<&CheckoutId>,
    ) -> Result<bool, BillingError> {
        let Some(before) = before else {
            return Ok(false);
        };
        let session = match self.stripe.expire_checkout(before).await {
            Err(error) if error.is_missing() => return Ok(false),
            session => session?,
        };
        let bought = session.subscription.filter(|_| session.status == CheckoutStatus::Complete);
        Ok(bought.is_some_and(|bought| !state.has_ended(&bought)))
    }

    /// A page where an organization sees its invoices, changes cards and cancels.
    ///
    /// # Errors
    /// If it is no customer, or Stripe or the store fails.
    pub async fn portal(
        &self,
        organization: &OrganizationId,
        return_url: &str,
    ) -> Result<PortalSession, BillingError> {
        let state = self.state(organization).await?;
        let customer = state.customer().ok_or(BillingError::NoCustomer)?;
        Ok(self.stripe.create_portal(customer, return_url).await?)
    }

    /// Gives a subscription the prices of another plan.
    ///
    /// # Errors
    /// If there is no such plan or subscription, or Stripe or the store fails.
    pub async fn change_plan(
        &self,
        organization: &OrganizationId,
        plan: &str,
        now: UnixSeconds,
    ) -> Result<(), BillingError> {
        let plan = self.sold(plan)?;
        let subscription = self.subscription(organization).await?;
        let subscription = self.stripe.subscription(&subscription).await?;
        let items = item_changes(&subscription, plan);
        if items.is_empty() {
            return Ok(());
        }
        let change = SubscriptionChange { items, ..SubscriptionChange::default() };
        let changed = self.stripe.update_subscription(&subscription.id, &change).await?;
        self.keep(organization, changed, now).await
    }

    /// Ends a subscription now, or with the period that is paid.
    ///
    /// # Errors
    /// If there is none, or Stripe or the store fails.
    pub async fn cancel(
        &self,
        organization: &OrganizationId,
        is_at_period_end: bool,
        now: UnixSeconds,
    ) -> Result<(), BillingError> {
        let subscription = self.subscription(organization).await?;
        let changed = if is_at_period_end {
            let cancel_at_period_end = Some(true);
            let change =
                SubscriptionChange { cancel_at_period_end, ..SubscriptionChange::default() };
            self.stripe.update_subscription(&subscription, &change).await?
        } else {
            self.stripe.cancel_subscription(&subscription).await?
        };
        self.keep(organization, changed, now).await
    }

    /// A page of an organization's invoices, the newest first, that come after one; up to 100.
    ///
    /// # Errors
    /// If it is no customer, or Stripe or the store fails.
    pub async fn invoices(
        &self,
        organization: &OrganizationId,
        after: Option<&InvoiceId>,
        limit: u32,
    ) -> Result<List<Invoice>, BillingError> {
        let state = self.state(organization).await?;
        let customer = state.customer().ok_or(BillingError::NoCustomer)?;
        Ok(self.stripe.invoices(customer, after, limit).await?)
    }

    /// Changes a state, and what follows from it; the new one.
    pub(crate) async fn change(
        &self,
        organization: &OrganizationId,
        now: UnixSeconds,
        mut change: impl FnMut(&mut BillingState) + Send,
    ) -> Result<BillingState, BillingError> {
        for _ in 0..MAX_SAVES {
            let Loaded { mut state, revision } = self.store.load(organization).await?;
            change(&mut state);
            if self.save(organization, revision, &mut state, now).await? {
                return Ok(state);
            }
        }
        Err(BillingError::Busy)
    }

    /// Whether a state that was made of another could be saved over it.
    pub(crate) async fn save(
        &self,
        organization: &OrganizationId,
        revision: u64,
        state: &mut BillingState,
        now: UnixSeconds,
    ) -> Result<bool, BillingError> {
        let schedule = &self.options.schedule;
        let notices = state.tick(schedule, now);
        let (next_tick, spans) = (state.next_tick(schedule), state.spans());
        let standing = state.standing(&self.options.plans);
        let given = || (standing.plan.id.clone(), standing.plan.limits.clone());
        let (plan, is_suspended) = ((!spans.is_empty()).then(given), standing.is_suspended);
        let state = state.clone();
        let update = Update { state, notices, next_tick, spans, plan, is_suspended };
        Ok(self.store.save(organization, revision, update).await?)
    }

    /// What Stripe answered is there before its webhook comes.
    async fn keep(
        &self,
        organization: &OrganizationId,
        subscription: Subscription,
        now: UnixSeconds,
    ) -> Result<(), BillingError> {
        let fetched = Fetched::Subscription(Box::new(subscription));
        let keep = |state: &mut BillingState| state.fetched(UnixSeconds(0), &fetched);
        self.change(organization, now, keep).await?;
        Ok(())
    }

    fn sold(&self, plan: &str) -> Result<&Plan, BillingError> {
        let told = || plan.chars().take(64).collect();
        let plan = self.plans().get(plan).ok_or_else(|| BillingError::NoPlan(told()))?;
        match plan.sold().is_empty() {
            true => Err(BillingError::NotSold(told())),
            false => Ok(plan),
        }
    }

    async fn subscription(
        &self,
        organization: &OrganizationId,
    ) -> Result<SubscriptionId, BillingError> {
        let state = self.state(organization).await?;
        let governing = state.governing().map(|(id, _)| id.clone());
        governing.ok_or(BillingError::NotSubscribed)
    }
}

/// What makes a subscription's prices those of a plan: what is the same stays, what is not gives
/// its item to a new price, so that fees are prorated.
fn item_changes(subscription: &Subscription, plan: &Plan) -> Vec<ItemChange> {
    let items = &subscription.items.data;
    let mut wanted: Vec<_> = plan.sold().into_iter().map(|price| &price.id).collect();
    let mut left = Vec::new();
    for item in items {
        match wanted.iter().position(|&price| *price == item.price.id) {
            Some(idx) => _ = wanted.remove(idx),
            None => left.push(item.id.clone()),
        }
    }
    let mut wanted = wanted.into_iter().cloned();
    let mut changes: Vec<_> = left
        .into_iter()
        .map(|item| match wanted.next() {
            Some(price) => ItemChange::Replace(item, price),
            None => ItemChange::Remove(item),
        })
        .collect();
    changes.extend(wanted.map(ItemChange::Add));
    changes
}
