//! What is done by the clock: usage is reported, who does not pay is reminded, suspended and
//! restored, with letters that say so, and what webhooks have missed is asked for.
//!
//! Invariant: it can end at any moment, and may run in several servers at once: all that it knows
//! is in the database.

use std::time::Duration;

use server_billing::{BillingError, UnixSeconds};
use server_metering::OrganizationId;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Subscriptions;

const TICK_EVERY: Duration = Duration::from_secs(60);
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// An hour is reported so long after it has settled, or once more if Stripe did not take it.
const REPORT_EVERY: Duration = Duration::from_secs(600);
const REFRESH_EVERY: Duration = Duration::from_secs(86_400);
/// Between organizations, for Stripe's limit of requests.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);
const BATCH: i64 = 100;
const MAX_BATCHES: usize = 10_000;

impl Subscriptions {
    /// Does all of it, for as long as it is polled.
    pub async fn work_forever(self) {
        tokio::join!(
            self.tick_forever(),
            self.write_forever(),
            self.report_forever(),
            self.refresh_forever()
        );
    }

    async fn tick_forever(&self) {
        let mut tick = every(TICK_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.billing().tick(self.now()).await {
                tracing::error!(%error, "who is to be reminded of invoices cannot be read");
            }
        }
    }

    async fn write_forever(&self) {
        let mut tick = every(WRITE_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.write_letters().await {
                tracing::error!(%error, "letters about invoices cannot be written");
            }
        }
    }

    async fn report_forever(&self) {
        let mut tick = every(REPORT_EVERY);
        loop {
            tick.tick().await;
            match self.billing().report_usage(self.now()).await {
                Ok(done) if done.num_hours + done.num_failed > 0 => {
                    let (hours, failed) = (done.num_hours, done.num_failed);
                    tracing::info!(hours, failed, "usage is reported to Stripe");
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "usage is not reported to Stripe"),
            }
        }
    }

    async fn refresh_forever(&self) {
        let mut tick = every(REFRESH_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = self.refresh_all(self.now()).await {
                tracing::error!(%error, "what webhooks have missed is not asked for");
            }
        }
    }

    /// Asks Stripe how all organizations stand that are customers; how many it were. One that
    /// fails is in the log, and does not hold up others.
    ///
    /// # Errors
    /// If it cannot be read which they are.
    pub async fn refresh_all(&self, now: UnixSeconds) -> Result<usize, BillingError> {
        let (mut last, mut num): (Option<String>, usize) = (None, 0);
        for _ in 0..MAX_BATCHES {
            let batch = self.store().billing_customers(last.as_deref(), BATCH).await;
            let batch = batch.map_err(crate::store::failed)?;
            for id in &batch {
                let id = OrganizationId::new(id).map_err(crate::store::failed)?;
                match self.billing().refresh(&id, now).await {
                    Ok(()) => num += 1,
                    // It was one, and was deleted at Stripe.
                    Err(BillingError::NoCustomer) => {}
                    Err(error) => {
                        tracing::error!(organization = %id, %error, "Stripe is not asked")
                    }
                }
                sleep(REFRESH_PAUSE).await;
            }
            last = batch.last().cloned();
            if last.is_none() {
                break;
            }
        }
        Ok(num)
    }
}

/// The first is at once: the server may have been down.
fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
