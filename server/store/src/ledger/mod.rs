//! What was used, what it cost, and at which prices.
//!
//! Invariant: the sums are those of the ledger's lines, since both change in one transaction; a
//! request is in it once. Costs are exact: pico-units of the currency, never rounded here.

mod append;
mod batch;
mod books;
mod cells;
mod charged;
mod counted;
mod deleted;
mod error;
mod fed;
mod filter;
mod insert;
mod line;
mod lines;
mod numbered;
mod prices;
mod prune;
mod query;
mod runs;
mod standing;
mod statements;
mod sums;
mod usage;

pub(crate) use append::write_rows;
pub(crate) use batch::{name, number};
pub use books::PriceBooks;
pub use counted::{Commitment, NewCommitment, NewProvision, Provision, STORAGE};
pub(crate) use deleted::{UNTIL_THROUGH, mark as mark_deleted, sweep as sweep_deleted};
pub use error::BillingError;
pub use fed::SqlLedger;
pub use filter::UsageFilter;
pub(crate) use filter::{END_OF_TIME, MILLIS_PER_HOUR};
pub(crate) use insert::{Insert, Written};
pub use lines::LedgerLine;
pub use prices::{NewPrice, PriceFilter, PriceList};
pub use query::{Bucket, BucketQuery, BucketWidth, GroupBy, UsageGroup, UsageQuery, UsageTotal};
pub(crate) use standing::account_sums;
pub(crate) use sums::sweep as sweep_sums;
