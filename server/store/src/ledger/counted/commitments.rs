//! What an organization pays at least for each month.
//!
//! Invariant: of any month an organization has one at most, and no month that is over gets one.

use serde_json::json;
use server_accounts::{Allowed, Kind, may, new_id};
use server_metering::{Micros, Period, UnixMillis};

use super::{MAX_EACH, check_span};
use crate::accounts::check::{self, not_found};
use crate::accounts::list::{List, Part};
use crate::accounts::{audit, organizations::check_in_force};
use crate::database::{millis, now};
use crate::ledger::batch::number;
use crate::ledger::error::BillingError;
use crate::page::{Page, PageQuery};
use crate::sql::{execute, query};
use crate::{Store, StoreError};

const WHAT: &str = "commitment";
/// More than a line of the ledger can say is not billed at once.
const MAX_AMOUNT: Micros = Micros::new(9_000_000_000_000);
const COLUMNS: &str = "organization_id, id, amount, from_month, until_month, created_at";
const NUM: &str = "SELECT COUNT(*) FROM commitments WHERE organization_id = $1";
const OTHERS: &str = "SELECT id FROM commitments WHERE organization_id = $1
    AND (until_month IS NULL OR (until_month > $2 AND until_month > from_month))
    AND ($3 IS NULL OR from_month < $3) LIMIT 1";
const INSERT: &str = "INSERT INTO commitments
    (organization_id, id, amount, from_month, until_month, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)";
/// One that did not begin is no more.
const END: &str = "UPDATE commitments
    SET until_month = CASE WHEN from_month > $3 THEN from_month ELSE $3 END
    WHERE organization_id = $1 AND id = $2 AND (until_month IS NULL OR until_month > $3)";

type Row = (String, String, i64, i64, Option<i64>, i64);

/// What is to be paid at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCommitment {
    /// For each month.
    pub amount: Micros,
    /// A moment of the first month, Unix milliseconds; without it, now.
    pub from: Option<i64>,
    /// For so many months; without it, until it is ended.
    pub months: Option<u32>,
}

/// What is paid at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Its organization.
    pub organization: String,
    /// Its id.
    pub id: String,
    /// For each month, of the calendar in UTC.
    pub amount: Micros,
    /// The first moment of the first month, Unix milliseconds.
    pub from: i64,
    /// The first moment after the last month, if there is one.
    pub until: Option<i64>,
    /// Unix time in seconds.
    pub created_at: i64,
}

impl Store {
    /// Lets an organization pay an amount for each month at least.
    ///
    /// # Errors
    /// If it is none, is of the past, or the organization has another one in that time; beyond 100.
    pub async fn create_commitment(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        new: &NewCommitment,
    ) -> Result<Commitment, StoreError> {
        let organization = allowed.organization();
        if new.amount <= Micros::ZERO || new.amount > MAX_AMOUNT {
            let why = format!("give more than 0, and {MAX_AMOUNT} at most");
            return Err(StoreError::invalid("amount", why));
        }
        let present = month(millis());
        let from = new.from.map_or(present, month);
        if from < present {
            return Err(BillingError::Past { what: WHAT }.into());
        }
        let until = new.months.map(|months| from.saturating_add(months.into()));
        check_span(WHAT, from, until)?;
        let (id, amount) = (new_id(Kind::Commitment), new.amount.get());
        let row: Row = (organization.to_owned(), id.clone(), amount, from, until, now());
        let detail = json!({ "data": {
            "amount": new.amount.to_string(), "from_month": from, "until_month": until,
        } });
        let event = audit::event("commitment.created", &id, None, detail);
        let work = async {
            let mut transaction = self.write(organization).await?;
            check_in_force(&mut transaction, organization).await?;
            let other: Option<(String,)> =
                query!(&mut transaction, fetch_optional, OTHERS, organization, from, until)?;
            if let Some((id,)) = other {
                return Err(BillingError::Committed { id }.into());
            }
            let (num,): (i64,) = query!(&mut transaction, fetch_one, NUM, organization)?;
            if num >= MAX_EACH {
                let max = MAX_EACH.unsigned_abs();
                return Err(StoreError::TooMany { what: "organization's commitments", max });
            }
            let into = &mut transaction;
            execute!(into, INSERT, organization, id, amount, from, until, row.5)?;
            audit::commit(transaction, allowed, event).await?;
            Ok(read(row))
        };
        self.in_time(work).await
    }

    /// Ends one with the present month, or before another: `until` is a moment, in Unix
    /// milliseconds, of the first month that is not committed to.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none that lasts longer; if that month is over.
    pub async fn end_commitment(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        id: &str,
        until: Option<i64>,
    ) -> Result<Commitment, StoreError> {
        let organization = allowed.organization();
        let present = month(millis());
        let until = until.map_or(present + 1, month);
        if until < present {
            return Err(BillingError::Past { what: WHAT }.into());
        }
        let event = audit::event("commitment.ended", id, None, json!({ "until_month": until }));
        let work = async {
            let mut transaction = self.write(organization).await?;
            if execute!(&mut transaction, END, organization, id, until)? == 0 {
                return Err(not_found(WHAT, id));
            }
            let ended = list(organization).one(&mut transaction, id).await?;
            audit::commit(transaction, allowed, event).await?;
            Ok(read(ended))
        };
        self.in_time(work).await
    }

    /// A page of them, those that ended, too, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the one that the page comes after is not there.
    pub async fn commitments(
        &self,
        allowed: &Allowed<may::ReadBilling>,
        query: &PageQuery,
    ) -> Result<Page<Commitment>, StoreError> {
        let organization = check::whole(allowed)?;
        let size = |_: &Row| size_of::<Row>();
        Ok(self.page_of(organization, &list(organization), query, size).await?.map(read))
    }
}

fn list(organization: &str) -> List {
    let scope = Part::default().sql("organization_id = ").text(organization);
    let (table, order, filter) = ("commitments", "created_at", Part::default());
    List { what: WHAT, columns: COLUMNS, table, order, scope, filter }
}

fn month(at: i64) -> i64 {
    number(Period::Month, UnixMillis(at.max(0).unsigned_abs()))
}

fn read(row: Row) -> Commitment {
    let (organization, id, amount, from, until, created_at) = row;
    let start = |month: i64| {
        let first = Period::Month.start(month.unsigned_abs()).unwrap_or_default();
        i64::try_from(first.0).unwrap_or(i64::MAX)
    };
    let (amount, from, until) = (Micros::new(amount), start(from), until.map(start));
    Commitment { organization, id, amount, from, until, created_at }
}
