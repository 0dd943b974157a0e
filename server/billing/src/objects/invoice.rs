//! Invoices, as far as they are read.
//!
//! Invariant: amounts are integers, in the smallest unit of the invoice's currency.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::{CustomerId, InvoiceId, SubscriptionId};
use crate::time::UnixSeconds;

/// Currencies whose smallest unit, as Stripe has it, is the whole one, and those where it is a
/// thousandth: <https://docs.stripe.com/currencies>. It is a hundredth of all others.
const WITHOUT_CENTS: [&str; 15] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
const WITH_MILLS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// How an invoice stands. Later ones never become earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// It can still change.
    Draft,
    /// It is to be paid.
    Open,
    /// It is to be paid, and nobody believes that it will be.
    Uncollectible,
    /// It need not be paid.
    Void,
    /// It is paid.
    Paid,
}

/// A bill. Amounts are in the smallest unit of its currency (cents).
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// Its name.
    pub id: InvoiceId,
    /// Whose it is.
    pub customer: CustomerId,
    /// How it stands.
    #[serde(default)]
    pub status: Option<InvoiceStatus>,
    /// When it was made.
    pub created: UnixSeconds,
    /// The number on it.
    #[serde(default)]
    pub number: Option<String>,
    /// Three letters (ISO 4217), small: `eur`.
    pub currency: String,
    /// What is on it without taxes that are not in the prices.
    #[serde(default)]
    pub subtotal: i64,
    /// What is on it.
    #[serde(default)]
    pub total: i64,
    /// What is on it without any taxes.
    #[serde(default)]
    pub total_excluding_tax: Option<i64>,
    /// What was to be paid.
    #[serde(default)]
    pub amount_due: i64,
    /// What is still to be paid.
    #[serde(default)]
    pub amount_remaining: i64,
    /// The customer's tax numbers, as they stand on it.
    #[serde(default, deserialize_with = "none_is_default")]
    pub customer_tax_ids: Vec<InvoiceTaxId>,
    /// `none`, `exempt` or `reverse`.
    #[serde(default)]
    pub customer_tax_exempt: Option<String>,
    /// The page where it is paid. Whoever has it can see the invoice.
    #[serde(default)]
    pub hosted_invoice_url: Option<String>,
    /// The invoice as a file.
    #[serde(default)]
    pub invoice_pdf: Option<String>,
    /// When it is to be paid by, where the customer pays by hand.
    #[serde(default)]
    pub due_date: Option<UnixSeconds>,
    /// How often a payment was tried.
    #[serde(default)]
    pub attempt_count: u64,
    #[serde(default)]
    collection_method: Option<String>,
    #[serde(default)]
    billing_reason: Option<String>,
    #[serde(default)]
    status_transitions: Transitions,
    #[serde(default, deserialize_with = "none_is_default")]
    total_taxes: Vec<Tax>,
    #[serde(default)]
    tax: Option<i64>,
    #[serde(default)]
    parent: Option<Parent>,
    #[serde(default)]
    subscription: Option<SubscriptionId>,
}

/// A tax number on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InvoiceTaxId {
    /// Whose it is, as Stripe calls it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The number.
    #[serde(default)]
    pub value: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Transitions {
    #[serde(default)]
    finalized_at: Option<UnixSeconds>,
}

#[derive(Clone, Debug, Deserialize)]
struct Tax {
    amount: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Parent {
    #[serde(default)]
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Clone, Debug, Deserialize)]
struct SubscriptionDetails {
    #[serde(default)]
    subscription: Option<SubscriptionId>,
}

impl Invoice {
    /// What it is for.
    #[must_use]
    pub fn subscription(&self) -> Option<&SubscriptionId> {
        let of_parent =
            self.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
        of_parent.and_then(|details| details.subscription.as_ref()).or(self.subscription.as_ref())
    }

    /// All taxes on it.
    #[must_use]
    pub fn taxes(&self) -> i64 {
        let parts = self.total_taxes.iter().map(|tax| tax.amount);
        match self.total_taxes.is_empty() {
            true => self.tax.unwrap_or(0),
            false => parts.fold(0, i64::saturating_add),
        }
    }

    /// What is still to be paid, as people write it: `23.80 EUR`.
    #[must_use]
    pub fn remaining(&self) -> String {
        let currency = self.currency.to_ascii_uppercase();
        let digits = match currency.as_str() {
            code if WITHOUT_CENTS.contains(&code) => 0,
            code if WITH_MILLS.contains(&code) => 3,
            _ => 2,
        };
        let (sign, units) = (if self.amount_remaining < 0 { "-" } else { "" }, 10u64.pow(digits));
        let amount = self.amount_remaining.unsigned_abs();
        let (whole, rest, width) = (amount / units, amount % units, digits as usize);
        match digits {
            0 => format!("{sign}{whole} {currency}"),
            _ => format!("{sign}{whole}.{rest:0width$} {currency}"),
        }
    }

    /// Whether it need not be paid any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.status, Some(InvoiceStatus::Paid | InvoiceStatus::Void))
    }

    /// When it became a bill that is to be paid.
    #[must_use]
    pub fn finalized_at(&self) -> Option<UnixSeconds> {
        self.status_transitions.finalized_at
    }

    /// Whether the customer pays it by hand until its due date.
    #[must_use]
    pub fn is_paid_by_hand(&self) -> bool {
        self.collection_method.as_deref() == Some("send_invoice")
    }

    /// Whether it is the one that a subscription begins with when it is paid.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_create")
    }
}

/// Stripe writes `null` where a list was never filled.
fn none_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (currency, amount, text) in [
            ("eur", 2380, "23.80 EUR"),
            ("usd", 5, "0.05 USD"),
            ("jpy", 2380, "2380 JPY"),
            ("kwd", 12_345, "12.345 KWD"),
            ("eur", -150, "-1.50 EUR"),
        ] {
            let invoice: Invoice = serde_json::from_value(json!({ "id": "in_1",
                "customer": "cus_1", "created": 1, "currency": currency,
                "amount_remaining": amount }))
            .unwrap();
            assert_eq!(invoice.remaining(), text);
        }
    }
}
