//! What letters about invoices say.

use server_identity::mail::{Letter, LetterError, Site};
use server_metering::UnixMillis;
use server_store::BillingLetter;

/// A letter, of what lies in the outbox.
pub(super) fn letter(site: &Site<'_>, told: &BillingLetter) -> Result<Letter, LetterError> {
    match told {
        BillingLetter::Reminder { organization, amount, since, suspended_at, url } => {
            let days = (date(*since), date(*suspended_at));
            let days = (days.0.as_str(), days.1.as_str());
            Letter::payment_reminder(site, organization, amount.as_deref(), days, url)
        }
        BillingLetter::Suspended { organization, amount, since, url } => {
            Letter::suspension(site, organization, amount.as_deref(), &date(*since), url)
        }
        BillingLetter::Restored { organization, url } => {
            Letter::restoration(site, organization, url)
        }
    }
}

fn date(at: i64) -> String {
    UnixMillis(u64::try_from(at).unwrap_or(0).saturating_mul(1000)).date()
}
