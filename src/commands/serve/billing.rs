//! Stripe, while the server runs; off unless an operator gives a key.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use server_admin::Admin;
use server_http::AppStateBuilder;
use server_metering::{Clock, SystemClock};
use server_store::Store;
use server_subscriptions::{Options, Subscriptions, document, routes};
use tokio::task::JoinHandle;

use crate::cli::ServeArgs;

/// The file of plans is small; anything larger is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Billing at work. Dropped, it does no more by the clock.
pub(super) struct Billing {
    subscriptions: Subscriptions,
    work: JoinHandle<()>,
}

impl Billing {
    /// Begins to report usage and to remind who does not pay, if that is configured.
    ///
    /// # Errors
    /// If the plans cannot be read, or nobody could be billed.
    pub(super) fn open(args: &ServeArgs, store: &Store) -> Result<Option<Self>> {
        let stripe = &args.stripe;
        let Some(key) = &stripe.stripe_key else { return Ok(None) };
        if args.no_auth {
            bail!("--stripe-key bills organizations by their keys, and --no-auth asks for none");
        }
        let plans = stripe.plans.as_deref().context("--stripe-key needs --plans FILE")?;
        let options = Options {
            key: key.clone(),
            webhook_secrets: stripe.stripe_webhook_secret.clone(),
            api: stripe.stripe_api.clone(),
            plans: read(plans)?,
        };
        if args.no_metering {
            tracing::warn!("with --no-metering no usage is written, and Stripe is told of none");
        }
        let subscriptions = Subscriptions::new(store.clone(), &options, clock())
            .with_context(|| format!("cannot use Stripe with {}", plans.display()))?;
        let work = tokio::spawn(subscriptions.clone().work_forever());
        Ok(Some(Self { subscriptions, work }))
    }

    /// A server that takes Stripe's webhooks, and shows organizations what they owe.
    pub(super) fn mount(&self, state: AppStateBuilder, admin: &Admin) -> AppStateBuilder {
        state.mount(routes(self.subscriptions.clone(), admin), document())
    }
}

impl Drop for Billing {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// The machine's clock.
#[cfg(not(debug_assertions))]
fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The same; a test that is about hours, days and months says how far it is ahead. What is
/// released does not have this.
#[cfg(debug_assertions)]
fn clock() -> Arc<dyn Clock> {
    struct Ahead(u64);

    impl Clock for Ahead {
        fn now(&self) -> std::time::Instant {
            SystemClock.now()
        }

        fn utc(&self) -> server_metering::UnixMillis {
            server_metering::UnixMillis(SystemClock.utc().0.saturating_add(self.0))
        }
    }

    let ahead = std::env::var("AGENTBASE_TEST_BILLING_AHEAD_SECS").ok();
    let secs: u64 = ahead.and_then(|secs| secs.parse().ok()).unwrap_or(0);
    Arc::new(Ahead(secs.saturating_mul(1000)))
}

fn read(path: &Path) -> Result<String> {
    let shown = path.display();
    let size = path.metadata().with_context(|| format!("cannot read plans {shown}"))?.len();
    if size > MAX_FILE_BYTES {
        bail!("plans {shown}: {size} bytes are more than the {MAX_FILE_BYTES} allowed");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read plans {shown}"))
}
