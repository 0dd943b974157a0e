//! Alerts: whom to tell how much of a limit is used, and what is to be sent to them.
//!
//! Invariant: that a threshold was reached is marked in the transaction that puts its messages into
//! the outbox, so each is told once a period, however many processes see it. A message is tried by
//! one process at a time, until it was delivered or given up.

mod armed;
mod fire;
mod outbox;
mod outgoing;
mod rules;
mod webhooks;

use crate::StoreError;
use crate::accounts::check;

pub use self::armed::{ArmedAlert, ArmedAlerts};
pub use self::fire::Firing;
pub(crate) use self::fire::put;
pub use self::outbox::{Delivery, Target};
pub use self::outgoing::Outgoing;
pub use self::rules::{Alert, AlertOn, NewAlert};
pub use self::webhooks::{NewWebhook, Webhook};

/// Of an organization.
const MAX_WEBHOOKS: u64 = 16;
const MAX_ALERTS: u64 = 64;
/// Messages of an organization that are yet to be delivered.
const MAX_WAITING: u64 = 1_000;
/// Of an alert.
const MAX_ADDRESSES: usize = 8;
const MAX_THRESHOLDS: usize = 8;
/// Of a webhook.
const MAX_EVENTS: usize = 16;
const MAX_EVENT_BYTES: usize = 64;
const MAX_URL_BYTES: usize = 2048;
const MAX_ADDRESS_BYTES: usize = 320;

/// What a message to a mailbox is of.
pub(crate) const MAIL: &str = "mail";

/// Stands for every type of event.
const EVERY_EVENT: &str = "*";

/// One word of 1 to `max` bytes: what lists of words are made of.
fn word(what: &'static str, text: &str, max: usize) -> Result<String, StoreError> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(StoreError::invalid(what, "it has blanks or control characters"));
    }
    check::text(what, text, max)
}

/// An address as it is kept; whether it is one, who writes to it finds out.
pub(crate) fn checked_address(address: &str) -> Result<String, StoreError> {
    match word("address", address, MAX_ADDRESS_BYTES) {
        Ok(address) if !address.contains('@') => {
            Err(StoreError::invalid("address", "it has no '@'"))
        }
        checked => checked,
    }
}

fn check_number(what: &'static str, num: i64, max: u64) -> Result<(), StoreError> {
    let is_full = u64::try_from(num).is_ok_and(|num| num >= max);
    if is_full { Err(StoreError::TooMany { what, max }) } else { Ok(()) }
}
