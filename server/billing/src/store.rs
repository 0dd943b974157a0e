//! What billing keeps, and the sums that it reads: `server/store` does it in SQL.
//!
//! Invariant: a call that returned has its change on disk, and each is one transaction. States,
//! notices and reports are texts and numbers that the store does not look into. What an
//! organization may use becomes another in the transaction that saves the state which says so.

use std::error::Error;
use std::future::Future;

use server_metering::{Micros, OrganizationId, Picos};

use crate::dunning::Notice;
use crate::ids::CustomerId;
use crate::plans::PlanLimits;
use crate::state::{BillingState, Span};
use crate::time::{Hour, UnixSeconds};

/// The store failed. The message is the database's.
#[derive(Debug, thiserror::Error)]
#[error("what billing keeps cannot be read or written: {0}")]
pub struct BillingStoreError(#[source] pub Box<dyn Error + Send + Sync>);

/// A state, and how often it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The state; the default, where none was saved.
    pub state: BillingState,
    /// 0 where none was saved.
    pub revision: u64,
}

/// A state that is to be saved, with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The state.
    pub state: BillingState,
    /// What the organization is to be told: each is put into an outbox, and taken out of it by who
    /// sends it.
    pub notices: Vec<Notice>,
    /// When [`BillingStore::due`] is to name the organization; if never, not.
    pub next_tick: Option<UnixSeconds>,
    /// Usage that is to be reported. A span that is there, by its subscription, gets its `until`;
    /// none is taken away.
    pub spans: Vec<Span>,
    /// The plan, by its name, and what it lets the organization use, from when that is another one;
    /// none, where it never had a subscription: what it may use, the operator has said.
    pub plan: Option<(String, PlanLimits)>,
    /// Whether it gets nothing, from when that changes, until it has paid.
    pub is_suspended: bool,
}

/// An organization whose usage is reported, and how much of it Stripe has been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Who used it.
    pub organization: OrganizationId,
    /// When its usage counts, and who pays; the newest 32 at least.
    pub spans: Vec<Span>,
    /// The last hour that was reported. It only grows.
    pub watermark: Option<Hour>,
    /// All that was reported.
    pub reported: Micros,
    /// What was to be reported, and perhaps was.
    pub pending: Option<Report>,
}

/// What is reported of one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The hour.
    pub hour: Hour,
    /// How much; not negative.
    pub amount: Micros,
    /// Who pays.
    pub customer: CustomerId,
    /// The moment that Stripe is told.
    pub at: UnixSeconds,
    /// When it was first sent, or about to be.
    pub begun: UnixSeconds,
}

/// What the ledger has of an organization. What was settled in any of its spans counts, once;
/// what was not, in the same hour or another, does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerSums {
    /// All of the hours up to the watermark as the ledger has them now: it may have settled some
    /// late.
    pub before: Picos,
    /// The hours after the watermark that have anything, in order, with what each has.
    pub hours: Vec<(Hour, Picos)>,
}

/// What billing keeps.
pub trait BillingStore: Send + Sync {
    /// An organization's state.
    fn load(
        &self,
        organization: &OrganizationId,
    ) -> impl Future<Output = Result<Loaded, BillingStoreError>> + Send;

    /// Saves a state if it still has `revision`, whose next one it gets; whether it had. All
    /// customers that a state ever had lead to its organization.
    fn save(
        &self,
        organization: &OrganizationId,
        revision: u64,
        update: Update,
    ) -> impl Future<Output = Result<bool, BillingStoreError>> + Send;

    /// Whose customer it is, or was.
    fn organization_of(
        &self,
        customer: &CustomerId,
    ) -> impl Future<Output = Result<Option<OrganizationId>, BillingStoreError>> + Send;

    /// Up to `limit` organizations whose next tick is not after `now`.
    fn due(
        &self,
        now: UnixSeconds,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OrganizationId>, BillingStoreError>> + Send;

    /// Up to `limit` organizations, in the order of their ids, after one, that have a report
    /// pending, or anything in the ledger that counts, after their watermark and before the hour
    /// `before`.
    fn metered(
        &self,
        before: Hour,
        after: Option<&OrganizationId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Metered>, BillingStoreError>> + Send;

    /// What the ledger has of an organization before the hour `before`; the first `limit` hours
    /// after `watermark`.
    fn sums(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        before: Hour,
        limit: usize,
    ) -> impl Future<Output = Result<LedgerSums, BillingStoreError>> + Send;

    /// Makes a report pending, if the organization still has this watermark and none is pending;
    /// whether that was so.
    fn begin_report(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        report: &Report,
    ) -> impl Future<Output = Result<bool, BillingStoreError>> + Send;

    /// Adds the pending report to what was reported, and makes its hour the watermark; does nothing
    /// if it is not pending.
    fn end_report(
        &self,
        organization: &OrganizationId,
        hour: Hour,
    ) -> impl Future<Output = Result<(), BillingStoreError>> + Send;
}
