//! What was used before a server began: where limits and tariffs go on from.
//!
//! Invariant: a sum of the present day or month is never swept.

use server_metering::{
    AccountId, KeyId, Meters, ModelId, OrganizationId, Path, Period, ProjectId, Sum, Tier,
    UnixMillis,
};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::batch::name;
use super::books::PriceBooks;
use super::cells::{COST, Cells, METERS, NUM_SUM, sum_of};
use super::error::BillingError;
use crate::database::now;
use crate::sql::{Transaction, execute, on};
use crate::{Store, StoreError};

/// Rows that are read at once.
const PAGE: usize = 5_000;
/// Days, and months, that are kept: the present one and those before it.
const KEPT: u64 = 3;

const SWEEP: &str = "DELETE FROM usage_sums
    WHERE (organization_id, project_id, key_id, model, tier, period, number) IN
    (SELECT organization_id, project_id, key_id, model, tier, period, number FROM usage_sums
        WHERE period = $1 AND number < $2 LIMIT $3)";

type Row = Cells<6, { 1 + NUM_SUM }>;

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
        let (mut after, mut num) = (None, 0);
        loop {
            let rows = self.in_time(self.page_of_sums(after.as_ref(), now)).await?;
            num += rows.len() as u64;
            for row in &rows {
                restore(meters, books, now, row)?;
            }
            let is_last = rows.len() < PAGE;
            after = rows.into_iter().next_back();
            if is_last {
                return Ok(num);
            }
        }
    }

    async fn page_of_sums(
        &self,
        after: Option<&Row>,
        now: UnixMillis,
    ) -> Result<Vec<Row>, StoreError> {
        let mut transaction = self.read_every().await?;
        let rows = on!(&mut transaction, |connection| {
            select(after, now).build_query_as().fetch_all(connection).await
        })?;
        Ok(rows)
    }
}

/// The sums of the present, in the order of the table's key.
fn select<DB>(after: Option<&Row>, now: UnixMillis) -> QueryBuilder<DB>
where
    DB: Database,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let key = "organization_id, project_id, key_id, model, tier, period, number";
    let mut sql = QueryBuilder::new(format!("SELECT {key}, {METERS}, {COST} FROM usage_sums"));
    sql.push(" WHERE (period = 'total'");
    for period in [Period::Day, Period::Month] {
        sql.push(format_args!(" OR (period = '{}' AND number = ", name(period)));
        sql.push_bind(number(period, now)).push(")");
    }
    sql.push(")");
    if let Some(Row { texts, numbers }) = after {
        sql.push(format_args!(" AND ({key}) > ("));
        for text in texts {
            sql.push_bind(text.clone()).push(", ");
        }
        sql.push_bind(numbers[0]).push(")");
    }
    sql.push(format_args!(" ORDER BY {key} LIMIT {PAGE}"));
    sql
}

fn restore(
    meters: &Meters,
    books: &PriceBooks,
    now: UnixMillis,
    row: &Row,
) -> Result<(), BillingError> {
    let [organization, project, key, model, tier, period] =
        row.texts.each_ref().map(String::as_str);
    let (usage, cost) = sum_of(&row.numbers[1..]);
    let sum = Sum { usage, cost };
    let Some(period) = Period::ALL.into_iter().find(|it| name(*it) == period) else {
        return Ok(());
    };
    let organization = OrganizationId::new(organization)?;
    if !model.is_empty() {
        let (model, tier) = (ModelId::new(model)?, Tier::new(tier)?);
        // Units count for the list that they are charged by, which may be of all versions.
        let priced = books.of(&organization).find(&model, &tier, now);
        if let Some(priced) = priced.filter(|it| it.prices.period() == period) {
            meters.restore_used(&organization, (&priced.model, &priced.tier), period, &sum);
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
    meters.restore(&account, period, &sum);
    Ok(())
}

fn number(period: Period, at: UnixMillis) -> i64 {
    i64::try_from(period.number(at)).unwrap_or(i64::MAX)
}

/// Removes sums of days and months that nothing counts in any more, so many of each at most.
pub(crate) async fn sweep(transaction: &mut Transaction, max: i64) -> Result<u64, StoreError> {
    let now = UnixMillis(now().unsigned_abs().saturating_mul(1000));
    let mut num_removed = 0;
    for period in [Period::Day, Period::Month] {
        let oldest = i64::try_from((period.number(now) + 1).saturating_sub(KEPT)).unwrap_or(0);
        num_removed += execute!(transaction, SWEEP, name(period), oldest, max)?;
    }
    Ok(num_removed)
}
