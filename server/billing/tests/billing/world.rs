//! A server's billing, its store, and the stand-in of Stripe, with one clock.

use std::time::Duration;

use server_billing::{
    Billing, BillingError, BillingOptions, BillingState, CustomerDetails, MeterId, MeterOptions,
    Plans, Received, ReturnUrls, Schedule, Secret, Stripe, StripeOptions, UnixSeconds,
    WebhookSecrets,
};
use server_metering::OrganizationId;

use crate::memory::Memory;
use crate::stand_in::{SECRET, StandIn, WEBHOOK_SECRET};

pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;
/// The start of an hour.
const START: u64 = 1_800_000_000;

pub(crate) const PLANS: &str = "
[[plan]]
id = 'free'
name = 'Free'
monthly_fee = '0'
[plan.limits]
monthly_budget = '5'
[[plan]]
id = 'pro'
name = 'Pro'
monthly_fee = '20'
prices = [{ id = 'price_pro' }, { id = 'price_usage', is_metered = true }]
[[plan]]
id = 'enterprise'
name = 'Enterprise'
monthly_fee = '2000'
prices = [{ id = 'price_enterprise' }]
";

pub(crate) struct World {
    pub(crate) stripe: StandIn,
    pub(crate) memory: Memory,
    pub(crate) billing: Billing<Memory>,
    pub(crate) org: OrganizationId,
    pub(crate) now: UnixSeconds,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (stripe, memory) = (StandIn::start().await, Memory::default());
        let now = UnixSeconds(START);
        stripe.books(|books| books.now = now.0);
        let billing = process(&stripe, &memory);
        let org = OrganizationId::new("org_1").unwrap();
        Self { stripe, memory, billing, org, now }
    }

    /// A killed server's successor, over the same store.
    pub(crate) fn restart(&mut self) {
        self.billing = process(&self.stripe, &self.memory);
    }

    pub(crate) fn wait(&mut self, secs: u64) {
        self.now = self.now.plus(secs);
        self.stripe.books(|books| books.now = self.now.0);
    }

    pub(crate) fn details(&self) -> CustomerDetails {
        CustomerDetails::of(self.org.clone())
    }

    /// Buys a plan, and takes what Stripe tells of it; the subscription.
    pub(crate) async fn subscribe(&mut self, plan: &str) -> String {
        let urls = ReturnUrls { success: "https://a.test/ok", cancel: "https://a.test/no" };
        let session = self.billing.checkout(&self.details(), plan, &urls, self.now).await.unwrap();
        let subscription = self.stripe.books(|books| books.pay_session(session.id.as_str()));
        self.deliver().await;
        subscription
    }

    /// Takes all webhooks, in Stripe's order.
    pub(crate) async fn deliver(&self) -> Vec<Received> {
        let mut all = Vec::new();
        for (body, signature) in self.stripe.books(|books| books.webhooks()) {
            all.push(self.receive(&body, &signature).await.unwrap());
        }
        all
    }

    pub(crate) async fn receive(
        &self,
        body: &[u8],
        signature: &str,
    ) -> Result<Received, BillingError> {
        self.billing.receive(body, signature, self.now).await
    }

    pub(crate) async fn state(&self) -> BillingState {
        self.billing.state(&self.org).await.unwrap()
    }

    /// The plan's id, and whether it is suspended.
    pub(crate) async fn standing(&self) -> (String, bool) {
        let state = self.state().await;
        let standing = state.standing(self.billing.plans());
        (standing.plan.id.clone(), standing.is_suspended)
    }
}

fn process(stripe: &StandIn, memory: &Memory) -> Billing<Memory> {
    let secret = |text| Secret::new(text).unwrap();
    let options = StripeOptions {
        api: stripe.api.clone(),
        timeout: Duration::from_secs(60),
        retry_delay: Duration::from_millis(1),
        ..StripeOptions::new(secret(SECRET))
    };
    let billing = BillingOptions {
        plans: Plans::from_toml(PLANS).unwrap(),
        schedule: Schedule::default(),
        webhook_secrets: WebhookSecrets::new(vec![secret(WEBHOOK_SECRET)]).unwrap(),
        meter: Some(MeterOptions {
            id: MeterId::new("mtr_1").unwrap(),
            event_name: "usage_micros".to_owned(),
            settle_secs: 60,
        }),
        has_automatic_tax: true,
    };
    Billing::new(Stripe::new(&options).unwrap(), memory.clone(), billing)
}
