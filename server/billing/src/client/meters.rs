//! Meters: what was used, told to Stripe once.

use serde::Deserialize;

use super::form::Form;
use super::send::Call;
use super::{IdempotencyKey, Stripe, StripeError};
use crate::ids::{CustomerId, MeterId};
use crate::objects::List;
use crate::time::UnixSeconds;

/// Stripe names this refusal seldom, and says it always.
const DUPLICATE_CODE: &str = "duplicate_meter_event";
const DUPLICATE_MESSAGE: &str = "An event already exists with identifier";

/// So much was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterEvent<'a> {
    /// The meter's event name.
    pub event_name: &'a str,
    /// What Stripe knows it by for at least 24 hours; up to 100 characters.
    pub identifier: &'a str,
    /// Who used it.
    pub customer: &'a CustomerId,
    /// How much, in the meter's units.
    pub value: i64,
    /// When: at most 35 days ago.
    pub at: UnixSeconds,
}

/// Stripe has an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Since now, or since an earlier try of this request.
    Now,
    /// Since an earlier request.
    Before,
}

impl Stripe {
    /// Tells Stripe what was used.
    ///
    /// # Errors
    /// If Stripe refuses for another reason than that it has this event, or does not answer.
    pub async fn report(&self, event: &MeterEvent<'_>) -> Result<Taken, StripeError> {
        let form = Form::new()
            .field("event_name", event.event_name)
            .field("identifier", event.identifier)
            .field("timestamp", event.at.0.to_string())
            .field("payload[stripe_customer_id]", event.customer.as_str())
            .field("payload[value]", event.value.to_string());
        // Not made of the identifier, which is enough against doubles: Stripe keeps a failure, too,
        // for as long as it keeps a key.
        let key = IdempotencyKey::random();
        let path = ["billing", "meter_events"];
        match self.call::<serde::de::IgnoredAny>(Call::post(&path, form, &key)).await {
            Ok(_) => Ok(Taken::Now),
            Err(error) if is_duplicate(&error) => Ok(Taken::Before),
            Err(error) => Err(error),
        }
    }

    /// Whether a meter has anything of a customer in the minute of `at`. It is seconds to minutes
    /// behind what was reported.
    ///
    /// # Errors
    /// If Stripe does not answer.
    pub async fn has_usage(
        &self,
        (meter, customer): (&MeterId, &CustomerId),
        at: UnixSeconds,
    ) -> Result<bool, StripeError> {
        #[derive(Deserialize)]
        struct Summary {
            aggregated_value: f64,
        }
        let minute = UnixSeconds(at.0 - at.0 % 60);
        let form = Form::new()
            .field("customer", customer.as_str())
            .field("start_time", minute.0.to_string())
            .field("end_time", minute.plus(60).0.to_string());
        let path = ["billing", "meters", meter.as_str(), "event_summaries"];
        let list: List<Summary> = self.call(Call::get(&path, form)).await?;
        Ok(list.data.iter().any(|summary| summary.aggregated_value != 0.0))
    }
}

fn is_duplicate(error: &StripeError) -> bool {
    match error {
        StripeError::Refused { status: 400, code, message, .. } => {
            code.as_deref() == Some(DUPLICATE_CODE) || message.starts_with(DUPLICATE_MESSAGE)
        }
        _ => false,
    }
}
