//! Invoices: what was billed, with its taxes.

use super::form::Form;
use super::send::Call;
use super::{Stripe, StripeError};
use crate::ids::{CustomerId, InvoiceId};
use crate::objects::{Invoice, List};

/// The longest page that Stripe gives.
pub(crate) const MAX_PAGE: u32 = 100;

impl Stripe {
    /// An invoice as it is now.
    ///
    /// # Errors
    /// If Stripe has none of that id, or does not answer.
    pub async fn invoice(&self, id: &InvoiceId) -> Result<Invoice, StripeError> {
        self.call(Call::get(&["invoices", id.as_str()], Form::new())).await
    }

    /// A page of a customer's invoices, the newest first, that come after one; up to 100.
    ///
    /// # Errors
    /// If Stripe does not answer.
    pub async fn invoices(
        &self,
        of: &CustomerId,
        after: Option<&InvoiceId>,
        limit: u32,
    ) -> Result<List<Invoice>, StripeError> {
        let form = Form::new()
            .field("customer", of.as_str())
            .maybe("starting_after", after.map(InvoiceId::as_str))
            .field("limit", limit.clamp(1, MAX_PAGE).to_string());
        self.call(Call::get(&["invoices"], form)).await
    }
}
