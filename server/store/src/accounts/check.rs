//! What is checked on its way in.
//!
//! Invariant: what passes is as the database gives it back, and no longer than said here.

use serde_json::{Map, Value};
use server_accounts::{Allowed, LimitsData, MAX_RETENTION_DAYS, Scopes};
use server_metering::MAX_ID_BYTES;

use crate::StoreError;
use crate::sql::Bound;

pub(crate) const MAX_NAME_BYTES: usize = 256;
/// Of a reason, which is told to people.
pub(crate) const MAX_REASON_BYTES: usize = 1024;
const MAX_SETTINGS_BYTES: usize = 16 << 10;

/// A text for people, of 1 to `max` bytes.
pub(crate) fn text(what: &'static str, text: &str, max: usize) -> Result<String, StoreError> {
    let text = text.bound().into_owned();
    match text.len() {
        len if (1..=max).contains(&len) => Ok(text),
        len => Err(StoreError::invalid(what, format!("it has {len} bytes: give it 1 to {max}"))),
    }
}

/// A name for people, on one line.
pub(crate) fn name(name: &str) -> Result<String, StoreError> {
    if name.chars().any(char::is_control) {
        return Err(StoreError::invalid("name", "it has control characters: leave them out"));
    }
    text("name", name, MAX_NAME_BYTES)
}

/// An id that somebody chose.
pub(crate) fn id(id: &str) -> Result<(), StoreError> {
    let is_fine = (1..=MAX_ID_BYTES).contains(&id.len()) && !id.chars().any(char::is_control);
    // `-` stands for no project in paths of accounts.
    if is_fine && id != "-" {
        return Ok(());
    }
    let why = format!("give it 1 to {MAX_ID_BYTES} bytes without control characters, not just '-'");
    Err(StoreError::invalid("id", why))
}

/// Settings, a JSON object.
pub(crate) fn settings(json: &str) -> Result<Map<String, Value>, StoreError> {
    if json.len() > MAX_SETTINGS_BYTES {
        let why = format!("they have more than {MAX_SETTINGS_BYTES} bytes");
        return Err(StoreError::invalid("settings", why));
    }
    serde_json::from_str(json).map_err(|error| StoreError::invalid("settings", error))
}

/// A number of days that things can be kept for.
pub(crate) fn retention_days(days: u32) -> Result<(), StoreError> {
    if (1..=MAX_RETENTION_DAYS).contains(&days) {
        return Ok(());
    }
    let why = format!("give it 1 to {MAX_RETENTION_DAYS} days, not {days}");
    Err(StoreError::invalid("retention", why))
}

/// Limits that can be kept to, as JSON.
pub(crate) fn limits(limits: &LimitsData) -> Result<String, StoreError> {
    limits.limits().map_err(|error| StoreError::invalid("limits", error))?;
    Ok(limits.to_json())
}

/// Scopes within bounds, as JSON.
pub(crate) fn scopes(scopes: &Scopes) -> Result<String, StoreError> {
    let scopes = scopes.clone().checked().map_err(|error| StoreError::invalid("scopes", error))?;
    serde_json::to_string(&scopes).map_err(|error| StoreError::invalid("scopes", error))
}

/// The organization, of leave that holds in the whole of it.
pub(crate) fn whole<P>(allowed: &Allowed<P>) -> Result<&str, StoreError> {
    let id = allowed.organization();
    if allowed.covers_all() { Ok(id) } else { Err(not_found("organization", id)) }
}

pub(crate) fn not_found(what: &'static str, id: &str) -> StoreError {
    StoreError::NotFound { what, id: id.to_owned() }
}

/// Of a row that was read but makes no sense.
pub(crate) fn unreadable(what: &'static str, id: &str, why: impl ToString) -> StoreError {
    StoreError::Unreadable { what, id: id.to_owned(), why: why.to_string() }
}
