//! What an operator configures.
//!
//! Invariant: what would fail later, at the first webhook or the first change of a plan, is refused
//! at the start.

use serde::Deserialize;
use server_accounts::LimitsError;
use server_billing::{
    BillingOptions, MeterId, MeterOptions, Plan, Plans, PlansError, Schedule, Secret, StripeError,
    WebhookError, WebhookSecrets,
};

use crate::store::limits;

/// How long after an hour's end the ledger may still be told of it, unless the file says.
const SETTLE_SECS: u64 = 300;
/// What the ledger had not been told a day later is in the next hour's report anyway.
const MAX_SETTLE_SECS: u64 = 86_400;
const MAX_URL_BYTES: usize = 2048;
const MAX_EVENT_NAME_BYTES: usize = 100;

/// Stripe, as an operator configures it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The secret or restricted key: `sk_…` or `rk_…`.
    pub key: Secret,
    /// What webhooks are signed with, `whsec_…`: one, or the old and the new.
    pub webhook_secrets: Vec<Secret>,
    /// Where Stripe's API is, if not where it usually is.
    pub api: Option<String>,
    /// The text of the file of plans, TOML.
    pub plans: String,
}

/// Why Stripe cannot be used like that.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The file is no TOML, or fields are missing or wrong.
    #[error("the file of plans cannot be read: {0}")]
    Text(#[from] toml::de::Error),
    /// The plans break a rule.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// What a plan lets use is no limit that can be kept to.
    #[error("the limits of plan '{plan}' cannot be kept to: {error}")]
    Limits {
        /// Which.
        plan: String,
        /// Why.
        error: LimitsError,
    },
    /// Where browsers go is no page.
    #[error("return_url is a page, https://… (http://… on this machine), of at most 2,048 bytes")]
    ReturnUrl,
    /// The meter cannot be.
    #[error(
        "a meter's event_name has 1 to {MAX_EVENT_NAME_BYTES} bytes, and its settle_secs are at \
         most {MAX_SETTLE_SECS}"
    )]
    Meter,
    /// Webhooks cannot be verified.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Stripe cannot be reached like that.
    #[error(transparent)]
    Stripe(#[from] StripeError),
}

/// The file of plans.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Where browsers go after a checkout, and from Stripe's pages.
    return_url: String,
    /// Whether Stripe computes taxes.
    #[serde(default)]
    automatic_tax: bool,
    /// Where usage is counted.
    meter: Option<Meter>,
    /// What happens to who does not pay.
    #[serde(default)]
    dunning: Schedule,
    #[serde(rename = "plan")]
    plans: Vec<Plan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meter {
    id: MeterId,
    event_name: String,
    #[serde(default = "settle_secs")]
    settle_secs: u64,
}

fn settle_secs() -> u64 {
    SETTLE_SECS
}

impl Options {
    /// How billing is configured, and where browsers go.
    pub(crate) fn billing(&self) -> Result<(BillingOptions, String), OptionsError> {
        let file: File = toml::from_str(&self.plans)?;
        let plans = Plans::new(file.plans)?;
        for plan in plans.all() {
            let told = |error| OptionsError::Limits { plan: plan.id.clone(), error };
            limits(&plan.limits).limits().map_err(told)?;
        }
        let is_page = ["https://", "http://localhost", "http://127.0.0.1"]
            .iter()
            .any(|start| file.return_url.starts_with(start));
        let is_visible = file.return_url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_page || !is_visible || file.return_url.len() > MAX_URL_BYTES {
            return Err(OptionsError::ReturnUrl);
        }
        let meter = file.meter.map(|meter| {
            let fits = (1..=MAX_EVENT_NAME_BYTES).contains(&meter.event_name.len());
            let Meter { id, event_name, settle_secs } = meter;
            (fits && settle_secs <= MAX_SETTLE_SECS)
                .then_some(MeterOptions { id, event_name, settle_secs })
                .ok_or(OptionsError::Meter)
        });
        let options = BillingOptions {
            plans,
            schedule: file.dunning,
            webhook_secrets: WebhookSecrets::new(self.webhook_secrets.clone())?,
            meter: meter.transpose()?,
            has_automatic_tax: file.automatic_tax,
        };
        Ok((options, file.return_url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "return_url = 'https://a.test/billing'\n[meter]\nid = 'mtr_1'\n\
        event_name = 'usage'\n[[plan]]\nid = 'free'\nname = 'Free'\nmonthly_fee = '0'\n\
        [plan.limits]\nmonthly_budget = '5'\n";

    fn read(plans: &str) -> Result<(BillingOptions, String), OptionsError> {
        let secret = Secret::new("x").unwrap();
        let (plans, webhook_secrets) = (plans.to_owned(), vec![secret.clone()]);
        Options { key: secret, webhook_secrets, api: None, plans }.billing()
    }

    #[test]
    fn a_file_says_all_but_secrets() {
        let (options, url) = read(FILE).unwrap();
        assert_eq!(url, "https://a.test/billing");
        assert_eq!(options.meter.unwrap().settle_secs, SETTLE_SECS);
        assert_eq!(options.schedule, Schedule::default());
        assert!(!options.has_automatic_tax);
        let dunned = format!("{FILE}[dunning]\nreminder_days = [2]\nsuspend_after_days = 5\n");
        let schedule = read(&dunned).unwrap().0.schedule;
        assert_eq!(schedule, Schedule::new(vec![2], 5).unwrap());
    }

    #[test]
    fn what_would_fail_later_is_refused() {
        let wrong = |from: &str, to: &str| read(&FILE.replace(from, to)).unwrap_err();
        assert!(matches!(wrong("https://", "ftp://"), OptionsError::ReturnUrl));
        assert!(matches!(wrong("/billing", "/a b"), OptionsError::ReturnUrl));
        assert!(matches!(wrong("'usage'", "''"), OptionsError::Meter));
        assert!(matches!(wrong("'5'", "'-5'"), OptionsError::Limits { .. }));
        assert!(matches!(wrong("'0'", "'1'"), OptionsError::Plans(_)));
        assert!(matches!(wrong("[meter]", "[metre]"), OptionsError::Text(_)));
    }
}
