//! Customers: who pays, where they live, and their tax numbers.

use server_metering::OrganizationId;

use super::form::Form;
use super::send::Call;
use super::{IdempotencyKey, Stripe, StripeError};
use crate::ids::CustomerId;
use crate::objects::Customer;

/// What a customer's `metadata` calls the organization.
pub(super) const ORGANIZATION: &str = "agentbase_organization";
/// Stripe's own limit.
const MAX_TAX_IDS: usize = 5;

/// An address, as invoices print it and as taxes are computed for it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Street and number.
    pub line1: Option<String>,
    /// What else there is to say.
    pub line2: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The state or province.
    pub state: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// Two letters (ISO 3166-1): `DE`.
    pub country: Option<String>,
}

/// A number by which a tax office knows a customer.
#[derive(Clone, PartialEq, Eq)]
pub struct TaxId {
    /// Whose it is, as Stripe calls it: `eu_vat`, `us_ein`, …
    pub kind: String,
    /// The number.
    pub value: String,
}

/// What Stripe is told of an organization. It cannot be printed: it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerDetails {
    /// Whose customer it is.
    pub organization: OrganizationId,
    /// Where invoices go.
    pub email: Option<String>,
    /// Who stands on them.
    pub name: Option<String>,
    /// Where that is.
    pub address: Option<Address>,
    /// Tax numbers; up to 5, and only when a customer is made.
    pub tax_ids: Vec<TaxId>,
}

impl CustomerDetails {
    /// An organization without anything said of it.
    #[must_use]
    pub fn of(organization: OrganizationId) -> Self {
        Self { organization, email: None, name: None, address: None, tax_ids: Vec::new() }
    }

    fn form(&self) -> Form {
        let metadata = format!("metadata[{ORGANIZATION}]");
        let form = Form::new()
            .field(&metadata, self.organization.as_str())
            .maybe("email", self.email.as_deref())
            .maybe("name", self.name.as_deref());
        let Some(address) = &self.address else {
            return form;
        };
        form.maybe("address[line1]", address.line1.as_deref())
            .maybe("address[line2]", address.line2.as_deref())
            .maybe("address[city]", address.city.as_deref())
            .maybe("address[state]", address.state.as_deref())
            .maybe("address[postal_code]", address.postal_code.as_deref())
            .maybe("address[country]", address.country.as_deref())
    }

    fn new_form(&self) -> Form {
        let mut form = self.form();
        for (idx, tax_id) in self.tax_ids.iter().enumerate() {
            form = form
                .field(&format!("tax_id_data[{idx}][type]"), &tax_id.kind)
                .field(&format!("tax_id_data[{idx}][value]"), &tax_id.value);
        }
        form
    }
}

impl Stripe {
    /// Makes the `num_before`-th further customer of an organization, which happens once, however
    /// often it is asked for within a day.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn create_customer(
        &self,
        details: &CustomerDetails,
        num_before: u32,
    ) -> Result<Customer, StripeError> {
        if details.tax_ids.len() > MAX_TAX_IDS {
            let reason = format!("a customer is made with up to {MAX_TAX_IDS} tax numbers");
            return Err(StripeError::Options(reason));
        }
        // The fields are in the key: Stripe refuses a key that comes with others.
        let fields = details.new_form().encode();
        let organization = details.organization.as_str();
        let key = IdempotencyKey::of(&["customer", organization, &num_before.to_string(), &fields]);
        self.call(Call::post(&["customers"], details.new_form(), &key)).await
    }

    /// Changes what is said of a customer; what is not said stays.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn update_customer(
        &self,
        id: &CustomerId,
        details: &CustomerDetails,
    ) -> Result<Customer, StripeError> {
        let key = IdempotencyKey::random();
        self.call(Call::post(&["customers", id.as_str()], details.form(), &key)).await
    }

    /// Gives a customer one more tax number.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn add_tax_id(&self, id: &CustomerId, tax_id: &TaxId) -> Result<(), StripeError> {
        let form = Form::new().field("type", &tax_id.kind).field("value", &tax_id.value);
        let path = ["customers", id.as_str(), "tax_ids"];
        let key = IdempotencyKey::random();
        let _: serde::de::IgnoredAny = self.call(Call::post(&path, form, &key)).await?;
        Ok(())
    }

    /// A customer as it is now.
    ///
    /// # Errors
    /// If Stripe has none of that id, or does not answer.
    pub async fn customer(&self, id: &CustomerId) -> Result<Customer, StripeError> {
        self.call(Call::get(&["customers", id.as_str()], Form::new())).await
    }
}
