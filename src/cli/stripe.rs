//! Options of `serve` for Stripe.

use std::path::PathBuf;

use clap::Args;
use server_subscriptions::Secret;

/// Whether organizations are billed, and how; nobody is, without a key.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StripeArgs {
    /// Bill organizations by Stripe, with this secret or restricted key of its API; better given as
    /// AGENTBASE_STRIPE_KEY, which other users of the machine do not see [default: nobody is
    /// billed]
    // Not STRIPE_SECRET_KEY: whoever has that set for another program asked nothing of this one.
    #[arg(long, value_name = "KEY", env = "AGENTBASE_STRIPE_KEY", hide_env_values = true,
        value_parser = Secret::new, requires_all = ["stripe_webhook_secret", "plans"])]
    pub(crate) stripe_key: Option<Secret>,

    /// What Stripe signs webhooks with; the old and the new one while it is changed
    #[arg(long, value_name = "SECRET", env = "AGENTBASE_STRIPE_WEBHOOK_SECRET",
        hide_env_values = true, value_parser = Secret::new, value_delimiter = ',')]
    pub(crate) stripe_webhook_secret: Vec<Secret>,

    /// Where Stripe's API is [default: https://api.stripe.com]
    #[arg(long, value_name = "URL", env = "AGENTBASE_STRIPE_API")]
    pub(crate) stripe_api: Option<String>,

    /// What is sold: plans, their limits and prices at Stripe, in TOML
    #[arg(long, value_name = "FILE", env = "AGENTBASE_PLANS")]
    pub(crate) plans: Option<PathBuf>,
}
