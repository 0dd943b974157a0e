//! What was used before a server began: where limits and tariffs go on from.
//!
//! Invariant: a line is in a day's sum, or in a month's and that of all time, never in both: lines
//! are added to days, and what sweeps old days adds them to the others in the same transaction. So
//! a line changes four sums, and not twelve.

use std::sync::LazyLock;

use server_metering::{
    AccountId, KeyId, Meters, ModelId, OrganizationId, Path, Period, ProjectId, Sum, Tier,
    UnixMillis,
};
use sqlx::{ColumnIndex, Database, Decode, Encode, FromRow, QueryBuilder, Row, Type};

use super::append::add_to_sums;
use super::batch::{months_and_totals, name, number, start_of_day};
use super::books::PriceBooks;
use super::cells::{COST, Cells, METERS, NUM_METERS, NUM_SUM, USUAL, meters_by_use, sum_of};
use super::error::BillingError;
use super::statements::SUMS;
use crate::database::now;
use crate::sql::{Transaction, execute, on};
use crate::{Store, StoreError};

/// Rows that are read at once.
const PAGE: usize = 5_000;
/// Days, and months, that are kept: the present one and those before it.
const KEPT: i64 = 3;

const REMOVE: &str = "DELETE FROM usage_sums
    WHERE (organization_id, project_id, key_id, model, tier, period, number) IN
    (SELECT organization_id, project_id, key_id, model, tier, period, number FROM usage_sums
        WHERE period = $1 AND number < $2 LIMIT $3)";
/// What was removed of days is what is added to months, whoever added to it in the meantime.
static REMOVE_DAYS: LazyLock<String> =
    LazyLock::new(|| format!("{REMOVE} RETURNING {KEY}, {METERS}, {COST}"));
const ACCOUNT: &str = "organization_id, project_id, key_id, model, tier";
const NUM_ACCOUNT: usize = 5;
pub(super) const KEY: &str = "organization_id, project_id, key_id, model, tier, period, number";

/// What is not usual of a sum is in one text, and nothing if there is none: a start reads millions.
static SELECT: LazyLock<String> = LazyLock::new(|| {
    let [usual, others] = meters_by_use();
    let (text, are_none) = (others.replace(", ", " || ' ' || "), others.replace(", ", " = 0 AND "));
    format!(
        "SELECT {ACCOUNT}, number, {usual}, {COST},
        CASE WHEN {are_none} = 0 THEN '' ELSE {text} END FROM usage_sums"
    )
});

/// A day's sum, as it is removed.
pub(super) type Swept = Cells<6, { 1 + NUM_SUM }>;

/// What is known of an account, or of what an organization used of a model.
struct Known {
    account: [String; NUM_ACCOUNT],
    /// Of which day or month.
    number: i64,
    sum: Sum,
}

impl Store {
    /// Adds to all accounts what they used in the day and the month of `now`, and ever; and to
    /// what organizations used of models, that of the price list's period. How many sums it were.
    ///
    /// `now` is of the clock that `meters` has. Nothing is settled of what is counted until this is
    /// over: it is for a start, when the ledger has all that the journal had.
    ///
    /// # Errors
    /// If the database fails: some sums are added then, and these meters are not to be used.
    pub async fn restore_meters(
        &self,
        meters: &Meters,
        books: &PriceBooks,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        let mut num = 0;
        // What is swept in between would be read twice, or not at all.
        let mut transaction = self.in_time(self.read_every_locked()).await?;
        for period in Period::ALL {
            let mut after = None;
            loop {
                let page = page_of_sums(&mut transaction, (period, now), after.as_ref());
                let rows = self.in_time(page).await?;
                num += rows.len() as u64;
                for row in &rows {
                    restore(meters, books, (period, now), row)?;
                }
                let is_last = rows.len() < PAGE;
                after = rows.into_iter().next_back();
                if is_last {
                    break;
                }
            }
        }
        Ok(num)
    }
}

async fn page_of_sums(
    transaction: &mut Transaction,
    of: (Period, UnixMillis),
    after: Option<&Known>,
) -> Result<Vec<Known>, StoreError> {
    let rows = on!(transaction, |connection| {
        select(of, after).build_query_as().fetch_all(connection).await
    })?;
    Ok(rows)
}

/// Sums of all days that are not in months yet, or of the present month, or of all time, in the
/// order of the table's key.
fn select<DB>((period, now): (Period, UnixMillis), after: Option<&Known>) -> QueryBuilder<DB>
where
    DB: Database,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new(SELECT.as_str());
    sql.push(" WHERE period = ").push_bind(name(period).to_owned());
    if period != Period::Day {
        sql.push(" AND number = ").push_bind(number(period, now));
    }
    if let Some(after) = after {
        sql.push(format_args!(" AND (number, {ACCOUNT}) > (")).push_bind(after.number);
        for text in &after.account {
            sql.push(", ").push_bind(text.clone());
        }
        sql.push(")");
    }
    sql.push(format_args!(" ORDER BY number, {ACCOUNT} LIMIT {PAGE}"));
    sql
}

fn restore(
    meters: &Meters,
    books: &PriceBooks,
    (period, now): (Period, UnixMillis),
    Known { account, number, sum }: &Known,
) -> Result<(), BillingError> {
    let [organization, project, key, model, tier] = account.each_ref().map(String::as_str);
    let periods = periods(period, *number, now);
    let organization = OrganizationId::new(organization)?;
    if !model.is_empty() {
        let (model, tier) = (ModelId::new(model)?, Tier::new(tier)?);
        // Units count for the list that they are charged by, which may be of all versions.
        let priced = books.of(&organization).find(&model, &tier, now);
        if let Some(priced) = priced.filter(|it| periods.contains(&it.prices.period())) {
            let (period, priced) = (priced.prices.period(), (&priced.model, &priced.tier));
            meters.restore_used(&organization, priced, period, sum);
        }
        return Ok(());
    }
    let account = match (project, key) {
        ("", _) => AccountId::Organization(organization),
        (project, "") => AccountId::Project(organization, ProjectId::new(project)?),
        (project, key) => {
            let (project, key) = (ProjectId::new(project)?, KeyId::new(key)?);
            AccountId::Key(Path { organization, project, key })
        }
    };
    for period in periods {
        meters.restore(&account, period, sum);
    }
    Ok(())
}

/// What of the present a sum is a part of.
pub(super) fn periods(period: Period, of: i64, now: UnixMillis) -> Vec<Period> {
    if period != Period::Day {
        // Of others than the present ones nothing is read.
        return vec![period];
    }
    let (at, all) = (start_of_day(of), Period::ALL.into_iter());
    all.filter(|period| period.number(at) == period.number(now)).collect()
}

impl<'r, R: Row> FromRow<'r, R> for Known
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let mut account = std::array::from_fn(|_| String::new());
        for (idx, text) in account.iter_mut().enumerate() {
            *text = row.try_get(idx)?;
        }
        let number = |idx| row.try_get::<i64, _>(NUM_ACCOUNT + idx);
        let mut numbers = [0; NUM_SUM];
        for (idx, place) in USUAL.into_iter().enumerate() {
            numbers[place] = number(1 + idx)?;
        }
        for (idx, cost) in numbers[NUM_METERS..].iter_mut().enumerate() {
            *cost = number(1 + USUAL.len() + idx)?;
        }
        let others: String = row.try_get(NUM_ACCOUNT + 1 + USUAL.len() + 2)?;
        let places = (0..NUM_METERS).filter(|place| !USUAL.contains(place));
        for (place, text) in places.zip(others.split(' ')) {
            numbers[place] = match text {
                "" => 0,
                text => text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            };
        }
        let (usage, cost) = sum_of(&numbers);
        Ok(Self { account, number: number(0)?, sum: Sum { usage, cost } })
    }
}

/// Whether a day or month has sums still, by the clock of any server.
pub(super) fn is_kept(period: Period, at: UnixMillis) -> bool {
    let now = UnixMillis(now().unsigned_abs().saturating_mul(1000));
    // The oldest may go at any moment.
    number(period, at) > number(period, now) + 1 - KEPT
}

/// Adds days that are over to their months and to all time, and removes months that nothing counts
/// in any more; so many of each at most. How many sums were removed.
pub(crate) async fn sweep(transaction: &mut Transaction, max: i64) -> Result<usize, StoreError> {
    let now = UnixMillis(now().unsigned_abs().saturating_mul(1000));
    let oldest = |period| number(period, now) + 1 - KEPT;
    let (day, month) = (name(Period::Day), name(Period::Month));
    let (first, sql) = (oldest(Period::Day), REMOVE_DAYS.as_str());
    let days: Vec<Swept> = on!(&mut *transaction, |connection| {
        let query = sqlx::query_as(sql).bind(day).bind(first).bind(max);
        query.fetch_all(connection).await
    })?;
    add_to_sums(transaction, &SUMS, &months_and_totals(&days)).await?;
    let num_months = execute!(transaction, REMOVE, month, oldest(Period::Month), max)?;
    Ok(days.len() + usize::try_from(num_months).unwrap_or(usize::MAX))
}
