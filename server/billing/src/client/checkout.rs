//! Links to Stripe's own pages: where a subscription is bought, and where it is looked after.

use serde::Deserialize;
use server_metering::OrganizationId;

use super::customers::ORGANIZATION;
use super::form::Form;
use super::send::Call;
use super::{IdempotencyKey, Stripe, StripeError};
use crate::ids::{CheckoutId, CustomerId, SubscriptionId};
use crate::plans::PlanPrice;

/// What is to be bought, and where the buyer goes then.
#[derive(Clone, Debug)]
pub struct Checkout<'a> {
    /// Who buys.
    pub customer: &'a CustomerId,
    /// For which organization.
    pub organization: &'a OrganizationId,
    /// What it costs: fees and metered prices.
    pub prices: &'a [&'a PlanPrice],
    /// Where the browser goes after it was paid.
    pub success_url: &'a str,
    /// Where it goes after it was not.
    pub cancel_url: &'a str,
    /// Whether Stripe computes taxes; asks for the address that they depend on, and for tax ids.
    pub has_automatic_tax: bool,
}

/// A page where something is bought.
#[derive(Clone, Deserialize)]
pub struct CheckoutSession {
    /// Its name.
    pub id: CheckoutId,
    /// Where to send the browser, while it is open. Whoever has it can pay: it is not for logs.
    #[serde(default)]
    pub url: Option<String>,
    /// Whether it can be used.
    pub status: CheckoutStatus,
    /// What was bought.
    #[serde(default)]
    pub subscription: Option<SubscriptionId>,
}

/// Whether a page can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutStatus {
    /// It can.
    Open,
    /// It was.
    Complete,
    /// It no longer can.
    Expired,
}

/// A page where a customer sees invoices, changes cards and cancels.
#[derive(Clone, Deserialize)]
pub struct PortalSession {
    /// Where to send the browser. Whoever has it can do so: it is not for logs.
    pub url: String,
}

impl Checkout<'_> {
    fn form(&self) -> Form {
        let organization = self.organization.as_str();
        let mut form = Form::new()
            .field("mode", "subscription")
            .field("customer", self.customer.as_str())
            .field("success_url", self.success_url)
            .field("cancel_url", self.cancel_url)
            .field(&format!("metadata[{ORGANIZATION}]"), organization)
            .field(&format!("subscription_data[metadata][{ORGANIZATION}]"), organization);
        for (idx, price) in self.prices.iter().enumerate() {
            form = form.field(&format!("line_items[{idx}][price]"), price.id.as_str());
            // How much of a metered price there is, the meter says.
            if !price.is_metered {
                form = form.field(&format!("line_items[{idx}][quantity]"), "1");
            }
        }
        if self.has_automatic_tax {
            form = form
                .flag("automatic_tax[enabled]", true)
                .flag("tax_id_collection[enabled]", true)
                .field("billing_address_collection", "required")
                // What is typed in there is kept: without it Stripe refuses the two above.
                .field("customer_update[address]", "auto")
                .field("customer_update[name]", "auto");
        }
        form
    }
}

impl Stripe {
    /// Makes a page where a subscription is bought.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn create_checkout(
        &self,
        checkout: &Checkout<'_>,
    ) -> Result<CheckoutSession, StripeError> {
        let key = IdempotencyKey::random();
        self.call(Call::post(&["checkout", "sessions"], checkout.form(), &key)).await
    }

    /// Closes a page where something is bought; how it is then. One that was used stays so.
    ///
    /// # Errors
    /// If Stripe has none of that id, or does not answer.
    pub async fn expire_checkout(&self, id: &CheckoutId) -> Result<CheckoutSession, StripeError> {
        let path = ["checkout", "sessions", id.as_str()];
        let expire = [path[0], path[1], path[2], "expire"];
        let key = IdempotencyKey::random();
        match self.call(Call::post(&expire, Form::new(), &key)).await {
            // It is not open.
            Err(StripeError::Refused { status: 400, .. }) => {
                self.call(Call::get(&path, Form::new())).await
            }
            result => result,
        }
    }

    /// Makes a page where a customer looks after a subscription.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn create_portal(
        &self,
        customer: &CustomerId,
        return_url: &str,
    ) -> Result<PortalSession, StripeError> {
        let form = Form::new().field("customer", customer.as_str()).field("return_url", return_url);
        let key = IdempotencyKey::random();
        self.call(Call::post(&["billing_portal", "sessions"], form, &key)).await
    }
}
