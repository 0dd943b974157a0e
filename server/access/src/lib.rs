//! Accounts and the ledger of a database, at work in a server: keys are checked in memory, requests
//! are let in by limits, and what they used goes to the ledger (ADR 22, 23).
//!
//! Invariant: what is in memory follows the database by a fraction of a second; where it cannot, it
//! lets nobody in.

mod alerts;
mod books;
mod error;
mod gate;
mod hours;
mod leases;
mod watch;

pub use alerts::{AlertMail, Alerts, AlertsOptions};
pub use books::{Books, BooksOptions};
pub use error::AccessError;
pub use gate::Gate;
pub use hours::Hours;
pub use watch::{Access, POLL_EVERY};
