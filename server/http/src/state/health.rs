//! Whether requests would be answered: what is known of keys, of usage, and of all models.
//!
//! Invariant: a failure is told before what only takes time.

use server_api::Health;
use server_metering::JournalError;

use super::{AppState, Slot};

/// Every request is refused then, whatever models answer.
const KEYS_UNCHECKED: &str = "API keys: cannot be checked, since the database does not answer";

impl AppState {
    /// Whether keys can be checked, usage be recorded and all models answer, and what is known of
    /// what does not.
    pub(crate) fn health(&self) -> Health {
        let mut health = Health { status: "ok".to_owned(), pending: Vec::new() };
        let mut lacks = |status: &str, what: String| {
            // A failure weighs more than what only takes time.
            if health.status != "failed" {
                health.status = status.to_owned();
            }
            health.pending.push(what);
        };
        if !self.auth().can_check() {
            lacks("failed", KEYS_UNCHECKED.to_owned());
        }
        if let Some(Err(error)) = self.meters().map(|meters| meters.check()) {
            lacks("failed", unrecorded(&error).to_owned());
        }
        self.slots(|slots| {
            for (id, slot) in slots {
                match slot {
                    Slot::Ready(model) if model.is_alive() => {}
                    Slot::Ready(_) => lacks("failed", format!("{id}: stopped")),
                    Slot::Loading => lacks("loading", format!("{id}: loading")),
                    Slot::Failed(reason) => lacks("failed", format!("{id}: failed: {reason}")),
                }
            }
        });
        health
    }
}

/// Why usage cannot be recorded, without the files that the error names: anybody may ask.
fn unrecorded(error: &JournalError) -> &'static str {
    match error {
        JournalError::Full { .. } => {
            "usage: cannot be recorded, since the ledger is too far behind: see that the database \
             works"
        }
        JournalError::NotKept { .. } => {
            "usage: cannot be recorded, since the journal's disk failed: start again on one that \
             works"
        }
        _ => "usage: cannot be recorded: see that the journal's disk works and has room",
    }
}
