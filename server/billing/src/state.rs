//! How an organization stands with Stripe: what events make of it, and what follows from that.
//!
//! Invariant: pure. The same events, in any order and any number of times, end in the same state;
//! where they do not say enough, Stripe is asked, and what it says is taken.

use serde::{Deserialize, Serialize};

use crate::dunning::Dunning;
use crate::event::{Event, EventKind};
use crate::ids::{CheckoutId, CustomerId, InvoiceId, SubscriptionId};
use crate::objects::{Customer, Invoice, Subscription, SubscriptionStatus};
use crate::records::Records;
use crate::subscription::{InvoiceRecord, Subscribed, SubscriptionRecord};
use crate::time::UnixSeconds;
use crate::versioned::{Joined, Versioned};

const MAX_SUBSCRIPTIONS: usize = 32;
const MAX_INVOICES: usize = 64;

/// How an organization stands with Stripe. The default has never met Stripe. It is kept as JSON,
/// and holds no address, name or card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingState {
    customer: Option<CustomerId>,
    num_customers: u32,
    checkout: Option<CheckoutId>,
    taxed: Option<Versioned<Taxed>>,
    pub(crate) subscriptions: Records<SubscriptionId, SubscriptionRecord, MAX_SUBSCRIPTIONS>,
    pub(crate) invoices: Records<InvoiceId, InvoiceRecord, MAX_INVOICES>,
    pub(crate) dunning: Dunning,
}

/// Where a customer is taxed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// Two letters (ISO 3166-1), where it is known.
    pub country: Option<String>,
    /// `none`, `exempt` or `reverse`.
    pub exempt: Option<String>,
}

/// What an event did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state is another.
    Changed,
    /// It was known, late, or of no concern.
    Unchanged,
    /// Stripe has to be asked, and [`BillingState::fetched`] told what it says.
    Refetch(Refetch),
}

/// What Stripe is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refetch {
    /// How what is now?
    pub target: Target,
    /// Because of an event of then.
    pub at: UnixSeconds,
}

/// What Stripe is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A subscription.
    Subscription(SubscriptionId),
    /// An invoice.
    Invoice(InvoiceId),
    /// A customer.
    Customer(CustomerId),
}

/// What Stripe says is now.
pub enum Fetched {
    /// A subscription.
    Subscription(Box<Subscription>),
    /// An invoice.
    Invoice(Box<Invoice>),
    /// A customer.
    Customer(Customer),
}

/// Usage of a subscription that is to be reported: from then, until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Who pays for it.
    pub customer: CustomerId,
    /// Its first second.
    pub from: UnixSeconds,
    /// The second after its last.
    pub until: Option<UnixSeconds>,
}

impl BillingState {
    /// The customer that it is at Stripe.
    #[must_use]
    pub fn customer(&self) -> Option<&CustomerId> {
        self.customer.as_ref()
    }

    /// How many customers it has been.
    #[must_use]
    pub fn num_customers(&self) -> u32 {
        self.num_customers
    }

    /// Where it is taxed, as far as Stripe has said it.
    #[must_use]
    pub fn taxed(&self) -> Option<&Taxed> {
        self.taxed.as_ref().map(Versioned::value)
    }

    /// It is this customer from now on.
    pub fn link(&mut self, customer: CustomerId) {
        if self.customer.as_ref() != Some(&customer) {
            self.customer = Some(customer);
            self.num_customers = self.num_customers.saturating_add(1);
            self.taxed = None;
        }
    }

    /// The page where a subscription is bought that is open, as far as is known.
    #[must_use]
    pub fn checkout(&self) -> Option<&CheckoutId> {
        self.checkout.as_ref()
    }

    /// Another page is open instead of `before`; whether that one was.
    #[must_use]
    pub fn replace_checkout(&mut self, before: Option<&CheckoutId>, id: &CheckoutId) -> bool {
        let is_so = self.checkout() == before;
        if is_so {
            self.checkout = Some(id.clone());
        }
        is_so
    }

    /// Takes in an event of one of its customers.
    #[must_use]
    pub fn apply(&mut self, event: &Event) -> Applied {
        let at = event.created;
        let (joined, target) = match &event.kind {
            EventKind::CheckoutCompleted(checkout) => {
                let was_open = self.checkout.take_if(|open| *open == checkout.id).is_some();
                let known = if was_open { Applied::Changed } else { Applied::Unchanged };
                let Some(id) = &checkout.subscription else {
                    return known;
                };
                let record = self.subscriptions.get(id);
                if record.is_some_and(|record| record.is_after(at)) {
                    return known;
                }
                (Joined::Unknown, Target::Subscription(id.clone()))
            }
            EventKind::Subscription(subscription) => {
                let joined = self.join_subscription(at, subscription);
                (joined, Target::Subscription(subscription.id.clone()))
            }
            EventKind::Invoice(invoice) => self.join_invoice(invoice, false),
            EventKind::PaymentFailed(invoice) => self.join_invoice(invoice, true),
            EventKind::CustomerUpdated(customer) if self.customer() == Some(&customer.id) => {
                let joined = self.join_customer(at, customer);
                (joined, Target::Customer(customer.id.clone()))
            }
            EventKind::CustomerDeleted(id) if self.customer() == Some(id) => {
                self.unlink();
                return Applied::Changed;
            }
            _ => return Applied::Unchanged,
        };
        match joined {
            Joined::Changed => Applied::Changed,
            Joined::Unchanged => Applied::Unchanged,
            Joined::Unknown => Applied::Refetch(Refetch { target, at }),
        }
    }

    /// Takes in what Stripe said when it was asked because of an event of `at`; `at` is 0 where it
    /// was asked without one.
    pub fn fetched(&mut self, at: UnixSeconds, fetched: &Fetched) {
        match fetched {
            Fetched::Subscription(subscription) => {
                let (id, value) = (&subscription.id, Subscribed::from(&**subscription));
                match self.subscriptions.get_mut(id) {
                    Some(record) => record.replace(at, value),
                    None => {
                        let record = SubscriptionRecord::new(at, value);
                        self.subscriptions.insert_current(id.clone(), record);
                    }
                }
            }
            Fetched::Invoice(invoice) => {
                let record = InvoiceRecord::new(invoice, self.has_failed(invoice));
                match self.invoices.get_mut(&invoice.id) {
                    Some(known) => _ = known.join(&record),
                    None => _ = self.invoices.insert_current(invoice.id.clone(), record),
                }
            }
            Fetched::Customer(customer) if self.customer() == Some(&customer.id) => {
                match (customer.deleted, &mut self.taxed) {
                    (true, _) => self.unlink(),
                    (false, Some(taxed)) => taxed.replace(at, Taxed::from(customer)),
                    (false, taxed) => {
                        *taxed = Some(Versioned::new(at, Taxed::from(customer)));
                    }
                }
            }
            Fetched::Customer(_) => {}
        }
    }

    fn unlink(&mut self) {
        self.customer = None;
        self.taxed = None;
    }

    fn join_subscription(&mut self, at: UnixSeconds, subscription: &Subscription) -> Joined {
        let value = Subscribed::from(subscription);
        match self.subscriptions.get_mut(&subscription.id) {
            Some(record) => record.join(at, value),
            None => {
                let record = SubscriptionRecord::new(at, value);
                self.subscriptions.insert(subscription.id.clone(), record)
            }
        }
    }

    fn join_invoice(&mut self, invoice: &Invoice, has_failed: bool) -> (Joined, Target) {
        let record = InvoiceRecord::new(invoice, has_failed);
        let joined = match self.invoices.get_mut(&invoice.id) {
            Some(known) => known.join(&record),
            None => self.invoices.insert(invoice.id.clone(), record),
        };
        (joined, Target::Invoice(invoice.id.clone()))
    }

    fn join_customer(&mut self, at: UnixSeconds, customer: &Customer) -> Joined {
        let value = Taxed::from(customer);
        match &mut self.taxed {
            Some(taxed) => taxed.join(at, value),
            None => {
                self.taxed = Some(Versioned::new(at, value));
                Joined::Changed
            }
        }
    }

    /// A payment that was tried may be under way for days. It failed where its subscription says
    /// so.
    fn has_failed(&self, invoice: &Invoice) -> bool {
        use SubscriptionStatus::{Canceled, PastDue, Unpaid};
        let record = invoice.subscription().and_then(|id| self.subscriptions.get(id));
        let status = record.map(|record| record.value().status);
        invoice.attempt_count > 0 && matches!(status, Some(PastDue | Unpaid | Canceled))
    }
}

impl From<&Customer> for Taxed {
    fn from(customer: &Customer) -> Self {
        let country = customer.address.as_ref().and_then(|address| address.country.clone());
        Self { country, exempt: customer.tax_exempt.clone() }
    }
}
