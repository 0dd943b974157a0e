//! What routes and clock share.

use std::sync::Arc;

use server_billing::{Billing, Stripe, StripeOptions, UnixSeconds};
use server_metering::Clock;
use server_store::Store;

use crate::{Options, OptionsError, SqlBilling};

const MILLIS_PER_SECOND: u64 = 1000;

/// Stripe, for the organizations of a store. A clone is the same.
#[derive(Clone)]
pub struct Subscriptions(Arc<Inner>);

struct Inner {
    billing: Billing<SqlBilling>,
    store: Store,
    return_url: String,
    clock: Arc<dyn Clock>,
}

impl Subscriptions {
    /// Connects to nothing yet. What is done by the clock is done by this one.
    ///
    /// # Errors
    /// If the options cannot be used.
    pub fn new(
        store: Store,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OptionsError> {
        let (billing, return_url) = options.billing()?;
        let mut stripe = StripeOptions::new(options.key.clone());
        if let Some(api) = &options.api {
            stripe.api.clone_from(api);
        }
        let kept = SqlBilling::new(store.clone());
        let billing = Billing::new(Stripe::new(&stripe)?, kept, billing);
        Ok(Self(Arc::new(Inner { billing, store, return_url, clock })))
    }

    /// What does it.
    #[must_use]
    pub fn billing(&self) -> &Billing<SqlBilling> {
        &self.0.billing
    }

    /// Now, by its clock.
    pub(crate) fn now(&self) -> UnixSeconds {
        UnixSeconds(self.0.clock.utc().0 / MILLIS_PER_SECOND)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Where browsers go, with what came of a page.
    pub(crate) fn return_url(&self, came: &str) -> String {
        let url = &self.0.return_url;
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}checkout={came}")
    }

    /// Where browsers go from Stripe's pages.
    pub(crate) fn plain_return_url(&self) -> &str {
        &self.0.return_url
    }
}
