//! What is used, what it costs and whether it may be used: exact billing, with no SQL on the path
//! of a token (ADR 22).
//!
//! Invariant: no budget or quota is overspent by work that keeps to its [`Permit`], and all that
//! was delivered is in the ledger once, whatever ends the work: its end, a cancel or a drop. After
//! a kill the last mark is, which is a second old at most. All arithmetic is of integers.
//!
//! A request asks [`Meters::admit`] for a permit, which holds the worst case at each level of its
//! account's [`Path`], and room in the [`Journal`] for how it ends. It tells the permit what it
//! delivers, and settles it. A [`Follower`] gives what was settled to the [`Ledger`].

mod account;
mod book;
mod clock;
mod follower;
mod id;
mod journal;
mod lease;
mod limits;
mod meter;
mod meters;
mod money;
mod numbering;
mod organization;
mod period;
mod permit;
mod price;
mod rate;
mod refusal;
mod sums;
mod tariff;

pub use account::Standing;
pub use book::{PriceBook, PriceError, Priced, Validity};
pub use clock::{Clock, SystemClock, UnixMillis};
pub use follower::{Behind, Follower, FollowerOptions, Ledger, LedgerError};
pub use id::{
    AccountId, Endpoint, IdError, KeyId, Level, MAX_ID_BYTES, ModelId, OrganizationId, Path,
    ProjectId, ProjectPath, RequestId, Tag, Tier,
};
pub use journal::{
    Durability, Ending, Entry, Journal, JournalError, JournalOptions, Opened, Recovered, Replay,
    replay,
};
pub use lease::{
    LeaseAsk, LeaseAsks, LeaseGrant, LeaseGrants, LeaseOf, LendError, Lender, RateAsk, RateGrant,
};
pub use limits::{Budget, Limits, Quota};
pub use meter::{Meter, UnknownMeter, Usage};
pub use meters::{Ask, Meters};
pub use money::{Micros, MoneyError, Picos};
pub use numbering::{ModelSums, Numbering};
pub use period::Period;
pub use permit::{CappedBy, MARK_EVERY, Permit, Receipt};
pub use price::{Prices, Quote};
pub use rate::{RateKind, RateStatus, RateStatuses};
pub use refusal::Refusal;
pub use sums::Sum;
pub use tariff::{Committed, MAX_STEPS, Price, Step, Tariff, TariffError, Terms};
