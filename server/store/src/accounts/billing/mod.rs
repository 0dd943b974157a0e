//! How organizations stand with who is paid for what they use: states, customers, what Stripe was
//! told, and what is to be told to people.
//!
//! Invariant: states and notices are texts that nothing here looks into; what follows from a state
//! (limits, a suspension, notices) is written in the transaction that saves it, so a process that
//! ends in between did all of it or nothing.

mod letters;
mod notices;
mod reports;
mod save;
mod sums;

use server_accounts::LimitsData;

pub use self::letters::BillingLetter;
pub use self::notices::BillingNotice;
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

/// Spans of an organization that are read, the newest. Each was a subscription that somebody paid.
const MAX_SPANS: i64 = 1_000;

const STATE: &str = "SELECT state, version FROM billing WHERE organization_id = $1";
const OF_CUSTOMER: &str = "SELECT organization_id FROM billing_customers WHERE customer = $1";
const DUE: &str = "SELECT organization_id FROM billing WHERE next_tick <= $1
    ORDER BY next_tick, organization_id LIMIT $2";
const WITH_CUSTOMERS: &str = "SELECT DISTINCT organization_id FROM billing_customers
    WHERE organization_id > $1 ORDER BY organization_id LIMIT $2";
const SPANS: &str = "SELECT subscription, customer, from_at, until_at FROM billing_spans
    WHERE organization_id = $1 ORDER BY from_at DESC, subscription LIMIT $2";

/// Usage of a subscription that somebody pays for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingSpan {
    /// The subscription.
    pub subscription: String,
    /// Who pays.
    pub customer: String,
    /// Its first second, Unix time.
    pub from: i64,
    /// The second after its last.
    pub until: Option<i64>,
}

/// A state that is to be saved, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingUpdate {
    /// JSON.
    pub state: String,
    /// When it is to be looked at again, Unix seconds.
    pub next_tick: Option<i64>,
    /// Who the organization is at Stripe now; those that it was before are still known.
    pub customer: Option<String>,
    /// A span that is there, by its subscription, gets its `until`; none is taken away.
    pub spans: Vec<BillingSpan>,
    /// JSON each: what the organization is to be told.
    pub notices: Vec<String>,
    /// The plan, and its limits: they become the organization's when they are others than those
    /// that it was given last. Without one, its limits stay.
    pub plan: Option<(String, LimitsData)>,
    /// Why it may not go on, if it may not. When that begins, the organization is suspended, and
    /// when it ends, it goes on; an operator's suspension stays as it is.
    pub suspended: Option<String>,
}

/// What Stripe is told of one hour's usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// The Unix hour.
    pub hour: i64,
    /// Micro-units of the currency.
    pub amount: i64,
    /// Who pays.
    pub customer: String,
    /// The moment that Stripe is told, Unix seconds.
    pub at: i64,
    /// When it was first sent, or about to be, Unix seconds.
    pub begun: i64,
}

/// An organization whose usage is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Its id.
    pub organization: String,
    /// When its usage counts; the newest 1,000 spans.
    pub spans: Vec<BillingSpan>,
    /// The last Unix hour that was reported.
    pub watermark: Option<i64>,
    /// All that was reported, in micro-units of the currency.
    pub reported: i64,
    /// What was to be reported, and perhaps was.
    pub pending: Option<UsageReport>,
}

type SpanRow = (String, String, i64, Option<i64>);

impl Store {
    /// An organization's state as JSON, and how often it was saved; nothing before the first time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_state(
        &self,
        organization: &str,
    ) -> Result<Option<(String, i64)>, StoreError> {
        let work = async {
            let mut transaction = self.read(organization).await?;
            Ok(query!(&mut transaction, fetch_optional, STATE, organization)?)
        };
        self.in_time(work).await
    }

    /// Whose customer it is, or was; of all organizations.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn organization_of_customer(
        &self,
        customer: &str,
    ) -> Result<Option<String>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let found: Option<(String,)> =
                query!(&mut transaction, fetch_optional, OF_CUSTOMER, customer)?;
            Ok(found.map(|(organization,)| organization))
        };
        self.in_time(work).await
    }

    /// Up to `limit` organizations that are to be looked at at `now`, those first that wait for
    /// the longest; of all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_due(&self, now: i64, limit: i64) -> Result<Vec<String>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let due: Vec<(String,)> = query!(&mut transaction, fetch_all, DUE, now, limit)?;
            Ok(due.into_iter().map(|(organization,)| organization).collect())
        };
        self.in_time(work).await
    }

    /// Up to `limit` organizations that ever were a customer, in the order of their ids, after one;
    /// of all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_customers(
        &self,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let after = after.unwrap_or_default();
        let work = async {
            let mut transaction = self.read_every().await?;
            let all: Vec<(String,)> =
                query!(&mut transaction, fetch_all, WITH_CUSTOMERS, after, limit)?;
            Ok(all.into_iter().map(|(organization,)| organization).collect())
        };
        self.in_time(work).await
    }
}

/// The newest spans of an organization.
async fn spans(
    transaction: &mut Transaction,
    organization: &str,
) -> Result<Vec<BillingSpan>, StoreError> {
    let rows: Vec<SpanRow> = query!(transaction, fetch_all, SPANS, organization, MAX_SPANS)?;
    let read =
        |(subscription, customer, from, until)| BillingSpan { subscription, customer, from, until };
    Ok(rows.into_iter().map(read).collect())
}
