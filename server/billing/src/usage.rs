//! Usage, told to Stripe by the hour.
//!
//! Invariant: an hour is reported once from Stripe's view, whenever this process ends: the report
//! is kept before it is sent, and is sent again as it was, under the same identifier. What was
//! reported of an organization is what the ledger has of it while it was subscribed, rounded once:
//! an hour's report is the total up to its end, rounded upwards, less what was reported before. So
//! the remainder of each rounding is in the next report, and so is what the ledger settled late.

use server_metering::{Micros, OrganizationId, Picos};

use crate::billing::Billing;
use crate::client::{MeterEvent, digest};
use crate::error::BillingError;
use crate::options::MeterOptions;
use crate::state::Span;
use crate::store::{BillingStore, LedgerSums, Metered, Report};
use crate::time::{Hour, SECS_PER_DAY, UnixSeconds};

/// Organizations that are read at once.
const BATCH: usize = 100;
const MAX_BATCHES: usize = 10_000;
/// Hours of an organization that are reported in one go; others follow in the next.
const MAX_HOURS: usize = 200;
/// For how long Stripe knows an identifier at least is a day; an hour of it is for clocks.
const KNOWN_SECS: u64 = SECS_PER_DAY - 3600;
/// Stripe takes what is 35 days old; a day of it is for clocks and tries.
const OLDEST_SECS: u64 = 34 * SECS_PER_DAY;

/// What one go of reporting did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// Hours that Stripe has now.
    pub num_hours: u64,
    /// What they come to, in micro-units.
    pub total: i128,
    /// Organizations that could not be reported. Each is in the log, and is tried again by the next
    /// go.
    pub num_failed: u64,
}

impl<S: BillingStore> Billing<S> {
    /// Reports all hours that have ended. Other processes may do so at the same time.
    ///
    /// # Errors
    /// If it cannot be read whose usage is to be reported.
    pub async fn report_usage(&self, now: UnixSeconds) -> Result<ReportedUsage, BillingError> {
        let mut done = ReportedUsage::default();
        let Some(meter) = &self.options.meter else {
            return Ok(done);
        };
        let before = Hour::of(now.minus(meter.settle_secs));
        let mut last = None;
        for _ in 0..MAX_BATCHES {
            let batch = self.store.metered(before, last.as_ref(), BATCH).await?;
            let is_last = batch.len() < BATCH;
            last = batch.last().map(|metered| metered.organization.clone());
            for metered in batch {
                let organization = metered.organization.clone();
                let times = (before, now);
                if let Err(error) = self.report_hours(meter, metered, times, &mut done).await {
                    // The others are not kept waiting.
                    done.num_failed += 1;
                    tracing::error!(%organization, %error, "usage is not reported to Stripe");
                }
            }
            if is_last {
                break;
            }
        }
        Ok(done)
    }

    async fn report_hours(
        &self,
        meter: &MeterOptions,
        mut metered: Metered,
        (before, now): (Hour, UnixSeconds),
        done: &mut ReportedUsage,
    ) -> Result<(), BillingError> {
        if let Some(report) = metered.pending.take() {
            self.finish(meter, &metered.organization, &report, now).await?;
            metered.add(&report);
            done.add(&report);
        }
        let (organization, mark) = (&metered.organization, metered.watermark);
        let sums = self.store.sums(organization, mark, before, MAX_HOURS).await?;
        let LedgerSums { before: mut total, hours } = sums;
        for (hour, used) in hours {
            total = Picos::new(total.get().saturating_add(used.get()));
            let report = metered.report(hour, total, now)?;
            let (organization, mark) = (&metered.organization, metered.watermark);
            if !self.store.begin_report(organization, mark, &report).await? {
                // Another process reports it.
                return Ok(());
            }
            self.finish(meter, organization, &report, now).await?;
            metered.add(&report);
            done.add(&report);
        }
        Ok(())
    }

    /// Sends a report that is kept, unless Stripe has it. One that could not be sent for over a
    /// month is refused: it is in the log until an operator ends it.
    async fn finish(
        &self,
        meter: &MeterOptions,
        organization: &OrganizationId,
        report: &Report,
        now: UnixSeconds,
    ) -> Result<(), BillingError> {
        if report.amount > Micros::ZERO && !self.has(meter, report, now).await? {
            let hour = report.hour.0.to_string();
            let event = MeterEvent {
                event_name: &meter.event_name,
                identifier: &digest(&[organization.as_str(), &hour, &meter.event_name]),
                customer: &report.customer,
                value: report.amount.get(),
                at: report.at,
            };
            let taken = self.stripe.report(&event).await?;
            tracing::debug!(%organization, hour, ?taken, "an hour is reported");
        }
        Ok(self.store.end_report(organization, report.hour).await?)
    }

    /// Whether Stripe has a report that was begun so long ago that its identifier may be forgotten:
    /// nothing else of this customer is of that minute.
    async fn has(
        &self,
        meter: &MeterOptions,
        report: &Report,
        now: UnixSeconds,
    ) -> Result<bool, BillingError> {
        if now.since(report.begun) <= KNOWN_SECS {
            return Ok(false);
        }
        Ok(self.stripe.has_usage((&meter.id, &report.customer), report.at).await?)
    }
}

impl Metered {
    /// What is to be reported of an hour, where all up to its end comes to `total`.
    fn report(&self, hour: Hour, total: Picos, now: UnixSeconds) -> Result<Report, BillingError> {
        let too_much = || BillingError::TooMuch(self.organization.clone());
        let total = total.round_up().ok_or_else(too_much)?;
        // Less than before, where something was taken back: later hours make up for it.
        let amount = total.get().saturating_sub(self.reported.get()).max(0);
        let no_span = || BillingError::NoSpan(self.organization.clone());
        let span = self.span(hour).ok_or_else(no_span)?;
        let last = span.until.map_or(UnixSeconds(u64::MAX), |until| until.minus(1));
        let at = hour.last_second().min(last).max(now.minus(OLDEST_SECS));
        let customer = span.customer.clone();
        Ok(Report { hour, amount: Micros::new(amount), customer, at, begun: now })
    }

    /// The span that goes on for the longest of those that an hour has a part of.
    fn span(&self, hour: Hour) -> Option<&Span> {
        let begun = self.spans.iter().filter(|span| span.from <= hour.last_second());
        begun.max_by_key(|span| (span.until.is_none(), span.until, span.from))
    }

    fn add(&mut self, report: &Report) {
        let reported = self.reported.get().saturating_add(report.amount.get());
        self.reported = Micros::new(reported);
        self.watermark = Some(report.hour);
    }
}

impl ReportedUsage {
    fn add(&mut self, report: &Report) {
        self.num_hours += 1;
        self.total += i128::from(report.amount.get());
    }
}
