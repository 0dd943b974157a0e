//! What billing keeps, in SQL.
//!
//! Invariant: what an organization may use, and whether it may go on, are rows of the organization,
//! which every server follows; nothing asks billing on the path of a request.

use std::error::Error;

use server_accounts::{Actor, Allowed, BudgetData, Demand, LimitsData};
use server_billing::{
    BillingStore, BillingStoreError, CustomerId, Hour, LedgerSums, Loaded, Metered, PlanLimits,
    Report, Span, SubscriptionId, UnixSeconds, Update,
};
use server_metering::{Micros, OrganizationId};
use server_store::{BillingSpan, BillingUpdate, Reported, Store, UsageReport};

/// The year 10000: later is never.
const END_OF_TIME: u64 = 253_402_300_800;
const SECS_PER_HOUR: u64 = 3600;
/// Told to whoever has a key of the organization.
const PAST_DUE: &str = "an invoice is past due; an admin key gets a link to pay it from \
    POST /api/v1/organization/billing/portal";

/// What billing keeps. A clone is the same.
#[derive(Clone, Debug)]
pub struct SqlBilling(Store);

type Kept<T> = Result<T, BillingStoreError>;

impl SqlBilling {
    /// In this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl BillingStore for SqlBilling {
    async fn load(&self, organization: &OrganizationId) -> Kept<Loaded> {
        let row = self.0.billing_state(organization.as_str()).await.map_err(failed)?;
        let Some((json, version)) = row else {
            return Ok(Loaded::default());
        };
        let state = serde_json::from_str(&json).map_err(failed)?;
        Ok(Loaded { state, revision: version.unsigned_abs() })
    }

    async fn save(
        &self,
        organization: &OrganizationId,
        revision: u64,
        update: Update,
    ) -> Kept<bool> {
        let notices = update.notices.iter().map(serde_json::to_string);
        let row = BillingUpdate {
            state: serde_json::to_string(&update.state).map_err(failed)?,
            next_tick: update.next_tick.map(secs),
            customer: update.state.customer().map(|customer| customer.as_str().to_owned()),
            spans: update.spans.iter().map(to_row).collect(),
            notices: notices.collect::<Result<_, _>>().map_err(failed)?,
            plan: update.plan.map(|(plan, of_plan)| (plan, limits(&of_plan))),
            suspended: update.is_suspended.then(|| PAST_DUE.to_owned()),
        };
        let version = i64::try_from(revision).map_err(failed)?;
        self.0.save_billing(&may(organization)?, version, &row).await.map_err(failed)
    }

    async fn organization_of(&self, customer: &CustomerId) -> Kept<Option<OrganizationId>> {
        let found = self.0.organization_of_customer(customer.as_str()).await.map_err(failed)?;
        found.map(|id| OrganizationId::new(&id)).transpose().map_err(failed)
    }

    async fn due(&self, now: UnixSeconds, limit: usize) -> Kept<Vec<OrganizationId>> {
        let due = self.0.billing_due(secs(now), rows(limit)).await.map_err(failed)?;
        due.iter().map(|id| OrganizationId::new(id)).collect::<Result<_, _>>().map_err(failed)
    }

    async fn metered(
        &self,
        before: Hour,
        after: Option<&OrganizationId>,
        limit: usize,
    ) -> Kept<Vec<Metered>> {
        let after = after.map(OrganizationId::as_str);
        let found = self.0.billing_metered(hour(before), after, rows(limit)).await;
        found.map_err(failed)?.into_iter().map(metered).collect()
    }

    async fn sums(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        before: Hour,
        limit: usize,
    ) -> Kept<LedgerSums> {
        let (mark, before) = (watermark.map(hour), hour(before));
        let sums = self.0.billing_sums(&may(organization)?, mark, before, limit).await;
        let (before, hours) = sums.map_err(failed)?;
        let hours = hours.into_iter().map(|(hour, sum)| (Hour(hour.unsigned_abs()), sum));
        Ok(LedgerSums { before, hours: hours.collect() })
    }

    async fn begin_report(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        report: &Report,
    ) -> Kept<bool> {
        let row = UsageReport {
            hour: hour(report.hour),
            amount: report.amount.get(),
            customer: report.customer.as_str().to_owned(),
            at: secs(report.at),
            begun: secs(report.begun),
        };
        let (id, mark) = (organization.as_str(), watermark.map(hour));
        self.0.begin_usage_report(id, mark, &row).await.map_err(failed)
    }

    async fn end_report(&self, organization: &OrganizationId, of: Hour) -> Kept<()> {
        self.0.end_usage_report(organization.as_str(), hour(of)).await.map_err(failed)
    }
}

/// What a plan lets an organization use, as limits of it.
pub(crate) fn limits(plan: &PlanLimits) -> LimitsData {
    let budget =
        |amount: Micros| BudgetData { period: "month".to_owned(), amount: amount.to_string() };
    LimitsData {
        requests_per_minute: plan.requests_per_minute,
        input_tokens_per_minute: plan.input_tokens_per_minute,
        output_tokens_per_minute: plan.output_tokens_per_minute,
        concurrent_requests: plan.concurrent_requests,
        quotas: Vec::new(),
        budgets: plan.monthly_budget.map(budget).into_iter().collect(),
    }
}

/// Leave of the server itself.
pub(crate) fn may<P: Demand>(organization: &OrganizationId) -> Kept<Allowed<P>> {
    Actor::operator().allow(organization.as_str()).map_err(failed)
}

pub(crate) fn failed(error: impl Error + Send + Sync + 'static) -> BillingStoreError {
    BillingStoreError(Box::new(error))
}

pub(crate) fn secs(at: UnixSeconds) -> i64 {
    at.0.min(END_OF_TIME).cast_signed()
}

fn hour(hour: Hour) -> i64 {
    hour.0.min(END_OF_TIME / SECS_PER_HOUR).cast_signed()
}

fn unix(at: i64) -> UnixSeconds {
    UnixSeconds(at.try_into().unwrap_or(0))
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn to_row(span: &Span) -> BillingSpan {
    BillingSpan {
        subscription: span.subscription.as_str().to_owned(),
        customer: span.customer.as_str().to_owned(),
        from: secs(span.from),
        until: span.until.map(secs),
    }
}

fn of_row(row: &BillingSpan) -> Kept<Span> {
    Ok(Span {
        subscription: SubscriptionId::new(&row.subscription).map_err(failed)?,
        customer: CustomerId::new(&row.customer).map_err(failed)?,
        from: unix(row.from),
        until: row.until.map(unix),
    })
}

fn metered(row: Reported) -> Kept<Metered> {
    let pending = row.pending.map(|it| {
        Ok(Report {
            hour: Hour(it.hour.unsigned_abs()),
            amount: Micros::new(it.amount),
            customer: CustomerId::new(&it.customer).map_err(failed)?,
            at: unix(it.at),
            begun: unix(it.begun),
        })
    });
    Ok(Metered {
        organization: OrganizationId::new(&row.organization).map_err(failed)?,
        spans: row.spans.iter().map(of_row).collect::<Result<_, _>>()?,
        watermark: row.watermark.map(|hour| Hour(hour.unsigned_abs())),
        reported: Micros::new(row.reported),
        pending: pending.transpose()?,
    })
}
