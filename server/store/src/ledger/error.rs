//! Why something is not billed, priced or reported.

use server_accounts::PriceListError;
use server_metering::{IdError, PriceError};

/// An error of what is about money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillingError {
    /// A time of nothing, or of the far future.
    #[error(
        "the time from {since} to {until} (Unix milliseconds) is none: let it begin in 1970 or \
         later, and end later than that and before the year 10000"
    )]
    Range {
        /// Where it was to begin.
        since: i64,
        /// Where it was to end.
        until: i64,
    },
    /// A list is longer than it may be.
    #[error("{num} {what} are too many: {max} at most; ask for a shorter time, or group by less")]
    TooMany {
        /// `buckets`, `groups`, …
        what: &'static str,
        /// How many.
        num: usize,
        /// The limit.
        max: usize,
    },
    /// Of a part of an hour there are no lines any more.
    #[error(
        "requests of before {since} (Unix milliseconds) are known by whole hours only, since their \
         lines were deleted: let the time begin and end with an hour, in hours or days"
    )]
    Deleted {
        /// Until when they were deleted.
        since: i64,
    },
    /// A price list cannot be used.
    #[error(transparent)]
    PriceList(#[from] PriceListError),
    /// A price list cannot stand beside others.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// A later list begins before a new one would end.
    #[error(
        "the price list '{id}' of {model} ({tier}) begins at {from}: let the new one end \
        before, or remove that one"
    )]
    Overlap {
        /// The later list.
        id: String,
        /// Its model.
        model: String,
        /// Its tier.
        tier: String,
        /// When it begins, Unix milliseconds.
        from: i64,
    },
    /// A name is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// It would be of no time.
    #[error("the {what} ends before it begins: let it end later")]
    Never {
        /// What.
        what: &'static str,
    },
    /// What is over is not billed afterwards.
    #[error("the {what} would change what is over and was billed: give a time that is to come")]
    Past {
        /// What.
        what: &'static str,
    },
    /// A month has one commitment.
    #[error("the commitment '{id}' is of that time already: end it first")]
    Committed {
        /// The other one.
        id: String,
    },
    /// A list that was kept is none.
    #[error("the price list '{id}' is kept and cannot be read ({error}): remove it")]
    Kept {
        /// Which.
        id: String,
        /// Why.
        error: PriceListError,
    },
}
