//! What one account, or one organization's models, have used until now: what leases and prices with
//! steps go on from, where several servers have one ledger.

use std::collections::HashMap;
use std::sync::LazyLock;

use server_metering::{
    ModelId, ModelSums, OrganizationId, Period, PriceBook, Priced, Sum, Tier, UnixMillis, Usage,
};

use super::batch::{name, number};
use super::cells::{COST, METERS, sum_of};
use super::error::BillingError;
use super::sums::{KEY, Swept, periods};
use crate::StoreError;
use crate::sql::{Transaction, query};

static SUMS_OF_PATH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {KEY}, {METERS}, {COST} FROM usage_sums
        WHERE organization_id = $1 AND project_id IN ('', $2) AND key_id IN ('', $3)
        AND model = '' AND tier = ''
        AND number = CASE period WHEN 'day' THEN number WHEN 'month' THEN $4 ELSE 0 END"
    )
});
static SUMS_OF_MODELS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {KEY}, {METERS}, {COST} FROM usage_sums
        WHERE organization_id = $1 AND project_id = '' AND key_id = '' AND model <> ''
        AND number = CASE period WHEN 'day' THEN number WHEN 'month' THEN $2 ELSE 0 END"
    )
});

/// Of the present day, the present month and ever.
pub(crate) type SumOfEach = [Sum; Period::ALL.len()];

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

/// What an organization used of each model and tier in the present day and month, and ever.
pub(crate) async fn model_sums(
    transaction: &mut Transaction,
    organization: &str,
    now: UnixMillis,
) -> Result<Vec<ModelSums>, StoreError> {
    let month = number(Period::Month, now);
    let rows: Vec<Swept> =
        query!(transaction, fetch_all, SUMS_OF_MODELS.as_str(), organization, month)?;
    let mut sums = HashMap::<_, SumOfEach>::new();
    for Swept { texts: [_, _, _, model, tier, period], numbers } in rows {
        let (usage, cost) = sum_of(&numbers[1..]);
        let of_model = sums.entry((model, tier)).or_default();
        add(of_model, (&period, numbers[0]), &Sum { usage, cost }, now);
    }
    let named = |((model, tier), sums): ((String, String), _)| {
        Ok(ModelSums { model: ModelId::new(&model)?, tier: Tier::new(&tier)?, sums })
    };
    let all: Result<_, BillingError> = sums.into_iter().map(named).collect();
    Ok(all?)
}

/// What an organization used of a price list's period until a moment in it.
pub(super) async fn used(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    (book, priced): (&PriceBook, &Priced),
    at: UnixMillis,
) -> Result<Usage, StoreError> {
    let mut used = Sum::default();
    for ModelSums { model, tier, sums } in
        model_sums(transaction, organization.as_str(), at).await?
    {
        let is_of = |list: &Priced| list.model == priced.model && list.tier == priced.tier;
        if book.find(&model, &tier, at).is_some_and(|list| is_of(&list)) {
            used.add(&sums[priced.prices.period() as usize]);
        }
    }
    Ok(used.usage)
}

/// Adds a row of sums to those of the periods that it is a part of.
fn add(to: &mut SumOfEach, (period, of): (&str, i64), sum: &Sum, now: UnixMillis) {
    let of_row = Period::ALL.into_iter().find(|it| name(*it) == period);
    for period in of_row.into_iter().flat_map(|period| periods(period, of, now)) {
        to[period as usize].add(sum);
    }
}
