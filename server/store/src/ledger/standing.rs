//! What one account, or some organizations' models, have used until a moment: what leases and
//! prices with steps go on from.

use std::collections::HashMap;
use std::sync::LazyLock;

use server_metering::{ModelId, ModelSums, OrganizationId, Period, Sum, Tier, UnixMillis};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::batch::{name, number};
use super::cells::{COST, Cells, METERS, NUM_SUM, sum_of};
use super::error::BillingError;
use super::sums::{KEY, Swept, is_kept, periods};
use crate::sql::{Bound, Transaction, on, query};
use crate::{Store, StoreError};

static SUMS_OF_PATH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {KEY}, {METERS}, {COST} FROM usage_sums
        WHERE organization_id = $1 AND project_id IN ('', $2) AND key_id IN ('', $3)
        AND model = '' AND tier = ''
        AND number = CASE period WHEN 'day' THEN number WHEN 'month' THEN $4 ELSE 0 END"
    )
});

/// Of the present day, the present month and ever.
pub(crate) type SumOfEach = [Sum; Period::ALL.len()];
/// By organization, and by model and tier.
type Sums = HashMap<String, HashMap<(String, String), SumOfEach>>;

impl Store {
    /// What an organization used of each model and tier in the day and the month of a moment, and
    /// ever, as the ledger has it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn model_sums(
        &self,
        organization: &OrganizationId,
        utc: UnixMillis,
    ) -> Result<Vec<ModelSums>, StoreError> {
        let organization = organization.as_str();
        let work = async {
            let mut transaction = self.read(organization).await?;
            let sums = model_sums(&mut transaction, &[organization], utc).await?;
            Ok(sums.into_values().next().unwrap_or_default())
        };
        self.in_time(work).await
    }
}

/// What an organization, one of its projects and one of that one's keys used in the present day
/// and month and ever, by project and key; of those above they are empty.
pub(crate) async fn account_sums(
    transaction: &mut Transaction,
    (organization, project, key): (&str, &str, &str),
    now: UnixMillis,
) -> Result<HashMap<(String, String), SumOfEach>, StoreError> {
    let (sql, month) = (SUMS_OF_PATH.as_str(), number(Period::Month, now));
    let rows: Vec<Swept> = query!(transaction, fetch_all, sql, organization, project, key, month)?;
    let mut sums = HashMap::<_, SumOfEach>::new();
    for Swept { texts: [_, project, key, _, _, period], numbers } in rows {
        let (usage, cost) = sum_of(&numbers[1..]);
        let of_account = sums.entry((project, key)).or_default();
        add(of_account, (&period, numbers[0]), &Sum { usage, cost }, now);
    }
    Ok(sums)
}

/// What organizations used of each model and tier in the day and the month of a moment, and ever,
/// by organization.
pub(super) async fn model_sums(
    transaction: &mut Transaction,
    organizations: &[&str],
    at: UnixMillis,
) -> Result<HashMap<String, Vec<ModelSums>>, StoreError> {
    let mut sums = Sums::new();
    for part in organizations.chunks(MAX_ORGANIZATIONS) {
        let rows: Vec<Swept> = on!(&mut *transaction, |connection| {
            select_sums(part, at).build_query_as().fetch_all(connection).await
        })?;
        for Swept { texts: [organization, _, _, model, tier, period], numbers } in rows {
            let (usage, cost) = sum_of(&numbers[1..]);
            let of_model = sums.entry(organization).or_default().entry((model, tier)).or_default();
            add(of_model, (&period, numbers[0]), &Sum { usage, cost }, at);
        }
        let is_swept = |period: &Period| *period != Period::Total && !is_kept(*period, at);
        for period in Period::ALL.into_iter().filter(is_swept) {
            add_days(transaction, &mut sums, part, (period, at)).await?;
        }
    }
    let named = |((model, tier), sums): ((String, String), _)| {
        Ok(ModelSums { model: ModelId::new(&model)?, tier: Tier::new(&tier)?, sums })
    };
    let of_one = |(organization, models): (String, HashMap<_, _>)| {
        let models: Result<_, BillingError> = models.into_iter().map(named).collect();
        Ok((organization, models?))
    };
    sums.into_iter().map(of_one).collect()
}

/// Of a day or month whose sums are no more, what reports have of its days.
async fn add_days(
    transaction: &mut Transaction,
    sums: &mut Sums,
    organizations: &[&str],
    (period, at): (Period, UnixMillis),
) -> Result<(), StoreError> {
    for of_model in sums.values_mut().flat_map(HashMap::values_mut) {
        of_model[period as usize] = Sum::default();
    }
    let rows: Vec<Cells<3, NUM_SUM>> = on!(transaction, |connection| {
        select_days(organizations, (period, at)).build_query_as().fetch_all(connection).await
    })?;
    for Cells { texts: [organization, model, tier], numbers } in rows {
        let (usage, cost) = sum_of(&numbers);
        let of_model = sums.entry(organization).or_default().entry((model, tier)).or_default();
        of_model[period as usize].add(&Sum { usage, cost });
    }
    Ok(())
}

/// Organizations of one statement.
const MAX_ORGANIZATIONS: usize = 256;

fn select_sums<DB>(organizations: &[&str], at: UnixMillis) -> QueryBuilder<DB>
where
    DB: Database,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new(format!(
        "SELECT {KEY}, {METERS}, {COST} FROM usage_sums
        WHERE project_id = '' AND key_id = '' AND model <> ''
        AND number = CASE period WHEN 'day' THEN number WHEN 'month' THEN "
    ));
    sql.push_bind(number(Period::Month, at)).push(" ELSE 0 END");
    push_organizations(&mut sql, organizations);
    sql
}

/// A line's day has each key's part.
fn select_days<DB>(organizations: &[&str], (period, at): (Period, UnixMillis)) -> QueryBuilder<DB>
where
    DB: Database,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let first = period.start(period.number(at)).unwrap_or_default();
    let end = period.end(at).unwrap_or(first);
    let mut sql = QueryBuilder::new(format!(
        "SELECT organization_id, model, tier, {METERS}, {COST} FROM usage_days WHERE day >= "
    ));
    sql.push_bind(number(Period::Day, first)).push(" AND day < ");
    sql.push_bind(number(Period::Day, end));
    push_organizations(&mut sql, organizations);
    sql
}

fn push_organizations<DB>(sql: &mut QueryBuilder<DB>, organizations: &[&str])
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut names = sql.push(" AND organization_id IN (").separated(", ");
    for organization in organizations {
        names.push_bind(organization.bound().into_owned());
    }
    sql.push(")");
}

/// Adds a row of sums to those of the periods that it is a part of.
fn add(to: &mut SumOfEach, (period, of): (&str, i64), sum: &Sum, now: UnixMillis) {
    let of_row = Period::ALL.into_iter().find(|it| name(*it) == period);
    for period in of_row.into_iter().flat_map(|period| periods(period, of, now)) {
        to[period as usize].add(sum);
    }
}
