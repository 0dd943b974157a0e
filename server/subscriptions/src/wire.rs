//! The shapes of what is asked and answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use server_accounts::Currency;
use server_billing::{
    Invoice, InvoiceStatus, Plan, PlanLimits, Standing, SubscriptionStatus, UnixSeconds,
};
use utoipa::ToSchema;

/// How an organization stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingObject {
    /// Always `organization.billing`.
    pub(crate) object: &'static str,
    /// The plan that it has.
    pub(crate) plan: PlanObject,
    /// The subscription, where it has one that has not ended.
    pub(crate) subscription: Option<SubscriptionObject>,
    /// Since when an invoice is past due, Unix seconds.
    pub(crate) past_due_since: Option<u64>,
    /// Which reminder was the last.
    pub(crate) num_reminders: u32,
    /// Where letters about invoices go, beside the owners.
    pub(crate) email: Option<String>,
    /// Whether its keys of projects are refused until it has paid.
    pub(crate) suspended: bool,
    /// The newest invoices, the newest first.
    pub(crate) invoices: Vec<InvoiceObject>,
    /// What it was told of them lately, the newest first.
    pub(crate) notices: Vec<NoticeObject>,
    /// All plans.
    pub(crate) plans: Vec<PlanObject>,
    /// Of their fees, and of what usage costs, as ISO 4217 names it, in lower case.
    pub(crate) currency: String,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanObject {
    /// What a checkout calls it.
    id: String,
    /// What people call it.
    name: String,
    /// What it costs a month, `20.00`; what is charged, Stripe's prices say.
    monthly_fee: String,
    /// What it lets use; what is not said does not bound.
    #[schema(value_type = Object)]
    limits: PlanLimits,
    /// What else it gives.
    features: Vec<String>,
    /// Whether it can be bought.
    is_sold: bool,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionObject {
    /// Its id at Stripe.
    id: String,
    /// `active`, `past_due`, … as Stripe calls it.
    #[schema(value_type = String)]
    status: SubscriptionStatus,
    /// The first second of the period that is paid or due, Unix time.
    current_period_start: Option<u64>,
    /// The last one.
    current_period_end: Option<u64>,
    /// Whether it ends with it.
    cancel_at_period_end: bool,
}

/// A bill. Amounts are in the smallest unit of its currency (cents).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvoiceObject {
    /// Its id at Stripe.
    id: String,
    /// The number on it.
    number: Option<String>,
    /// `draft`, `open`, `paid`, `void` or `uncollectible`.
    #[schema(value_type = Option<String>)]
    status: Option<InvoiceStatus>,
    /// Three letters, small.
    currency: String,
    /// Without taxes that are not in the prices.
    subtotal: i64,
    /// All taxes on it.
    tax: i64,
    /// With all taxes.
    total: i64,
    /// What is still to be paid.
    amount_remaining: i64,
    /// When it was made, Unix seconds.
    created: u64,
    /// When it is to be paid by, where that is done by hand.
    due_date: Option<u64>,
    /// Where it is paid. Whoever has it can see the invoice.
    hosted_invoice_url: Option<String>,
    /// The invoice as a file.
    invoice_pdf: Option<String>,
}

/// What an organization was told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoticeObject {
    /// Unix seconds.
    pub(crate) created_at: i64,
    /// With its `kind`: `reminder`, `suspended` or `restored`.
    #[schema(value_type = Object)]
    pub(crate) notice: Value,
}

/// What is to be another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BillingBody {
    /// Where letters about invoices go, beside the owners; `null`: to the owners alone.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    pub(crate) email: Option<String>,
}

/// What is to be bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckoutBody {
    /// The plan's id.
    pub(crate) plan: String,
}

/// A page of Stripe's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkObject {
    /// `organization.billing.checkout` or `organization.billing.portal`.
    pub(crate) object: &'static str,
    /// Where to send the browser. Whoever has it can use it.
    pub(crate) url: String,
}

/// A webhook was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceivedObject {
    /// Always true.
    pub(crate) received: bool,
}

impl BillingObject {
    pub(crate) fn new(standing: &Standing<'_>, plans: &[Plan], currency: Currency) -> Self {
        let (start, end) = standing.period.unzip();
        let subscription = standing.subscription.map(|(id, status)| SubscriptionObject {
            id: id.to_string(),
            status,
            current_period_start: start.map(secs),
            current_period_end: end.map(secs),
            cancel_at_period_end: standing.ends_with_period,
        });
        Self {
            object: "organization.billing",
            plan: standing.plan.into(),
            subscription,
            past_due_since: standing.past_due_since.map(secs),
            num_reminders: standing.num_reminders,
            email: None,
            suspended: standing.is_suspended,
            invoices: Vec::new(),
            notices: Vec::new(),
            plans: plans.iter().map(PlanObject::from).collect(),
            currency: currency.code().to_owned(),
        }
    }
}

impl From<&Plan> for PlanObject {
    fn from(plan: &Plan) -> Self {
        Self {
            id: plan.id.clone(),
            name: plan.name.clone(),
            monthly_fee: plan.monthly_fee.to_string(),
            limits: plan.limits.clone(),
            features: plan.features.clone(),
            is_sold: !plan.sold().is_empty(),
        }
    }
}

impl From<Invoice> for InvoiceObject {
    fn from(invoice: Invoice) -> Self {
        Self {
            tax: invoice.taxes(),
            id: invoice.id.to_string(),
            number: invoice.number,
            status: invoice.status,
            currency: invoice.currency,
            subtotal: invoice.subtotal,
            total: invoice.total,
            amount_remaining: invoice.amount_remaining,
            created: secs(invoice.created),
            due_date: invoice.due_date.map(secs),
            hosted_invoice_url: invoice.hosted_invoice_url,
            invoice_pdf: invoice.invoice_pdf,
        }
    }
}

fn secs(at: UnixSeconds) -> u64 {
    at.0
}
