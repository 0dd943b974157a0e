//! What is billed by the clock: what is kept, throughput that is held ready, and what is paid at
//! least.
//!
//! Invariant: a line's id is made of what it is of and of its hour or month, so it is in the ledger
//! once: who counts an hour again, after a kill or beside another server, adds nothing. An hour is
//! counted when it is over, at the prices of its last moment, and its lines are of that moment.

mod commitments;
mod due;
mod hours;
mod months;
mod provisions;

use server_metering::{Tier, UnixMillis};

use super::error::BillingError;
use crate::sql::{execute, query};
use crate::{Store, StoreError};

pub use commitments::{Commitment, NewCommitment};
pub use provisions::{NewProvision, Provision};

/// What such lines have for an endpoint. They are no requests.
pub(super) const COUNTED: [&str; 3] = [STORAGE, PROVISIONED, COMMITMENT];
/// What prices of storage are of, in place of a model.
pub const STORAGE: &str = "storage";
const PROVISIONED: &str = Tier::PROVISIONED;
const COMMITMENT: &str = "commitment";
/// In place of a project or a key, as in paths of accounts.
pub(super) const NOBODY: &str = "-";
/// Of an organization, as of its provisions and its commitments.
const MAX_EACH: i64 = 100;

const LAST: &str = "SELECT last FROM counted WHERE what = $1";
const SET_LAST: &str = "INSERT INTO counted (what, last) VALUES ($1, $2)
    ON CONFLICT (what) DO UPDATE SET last =
    CASE WHEN counted.last > excluded.last THEN counted.last ELSE excluded.last END";

/// What is over, and was counted or not.
struct Clock {
    /// What it is called.
    what: &'static str,
    /// The most that are counted of the past.
    max: i64,
}

impl Clock {
    /// The next that was not counted before the present one. Where none ever was, counting begins
    /// with the present one: what was before is not billed afterwards.
    async fn next(&self, store: &Store, present: i64) -> Result<Option<i64>, StoreError> {
        let work = async {
            let mut transaction = store.read("").await?;
            let last: Option<(i64,)> = query!(&mut transaction, fetch_optional, LAST, self.what)?;
            Ok(last)
        };
        let Some((last,)) = store.in_time(work).await? else {
            self.set_last(store, present - 1).await?;
            return Ok(None);
        };
        let (next, first) = (last.saturating_add(1), present.saturating_sub(self.max));
        if next < first {
            tracing::warn!(what = self.what, num = first - next, "too long ago to be billed");
        }
        let next = next.max(first);
        Ok((next < present).then_some(next))
    }

    async fn set_last(&self, store: &Store, last: i64) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = store.write_every_unlocked().await?;
            execute!(&mut transaction, SET_LAST, self.what, last)?;
            transaction.commit().await
        };
        store.in_time(work).await
    }
}

fn as_number(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// Of what has a first and a first after its last: hours, or months.
fn check_span(what: &'static str, from: i64, until: Option<i64>) -> Result<(), BillingError> {
    match until {
        Some(until) if until <= from => Err(BillingError::Never { what }),
        _ => Ok(()),
    }
}
