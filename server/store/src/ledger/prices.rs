//! Price lists over time.
//!
//! Invariant: at any moment a model's tier has one list for all or none, and of each organization
//! one of its own or none; a change takes the counter of revisions first, so changes take turns.

use serde_json::json;
use server_accounts::{Allowed, AuditEvent, Kind, PriceListData, may, new_id};
use server_metering::{ModelId, PriceError, Tier};

use super::error::BillingError;
use super::filter::{END_OF_TIME, check_range};
use crate::accounts::audit;
use crate::database::{millis, now};
use crate::page::{Page, PageQuery};
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError, revisions};

/// What it is called in errors.
const WHAT: &str = "price list";
/// The most that hold or will of a model's tier; an organization's own ones cut those for all to
/// pieces, and all of them have to fit a book.
const MAX_LISTS: i64 = 300;

const NUM: &str = "SELECT COUNT(*) FROM prices WHERE organization_id = $1 AND model = $2
    AND tier = $3 AND removed_at IS NULL AND (valid_until IS NULL OR valid_until > $4)";
const IN_TIME: &str = "SELECT id, valid_from FROM prices WHERE organization_id = $1
    AND model = $2 AND tier = $3 AND removed_at IS NULL
    AND (valid_until IS NULL OR valid_until > $4) AND ($5 IS NULL OR valid_from < $5)
    ORDER BY valid_from";
const END: &str = "UPDATE prices SET valid_until = $2, revision = $3 WHERE id = $1";
const INSERT: &str = "INSERT INTO prices (organization_id, id, model, tier, valid_from,
    valid_until, list, created_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const REMOVE: &str = "UPDATE prices SET removed_at = $3, revision = $4
    WHERE organization_id IN ('', $1) AND id = $2 AND removed_at IS NULL
    RETURNING organization_id, model, tier";
const FIND: &str = "SELECT id FROM prices
    WHERE organization_id IN ('', $1) AND id = $2 AND removed_at IS NULL";
/// What is asked for, of what an organization sees; with the row that a page comes after.
macro_rules! list {
    ($compare:literal, $descending:literal) => {
        concat!(
            "SELECT organization_id, id, model, tier, valid_from, valid_until, list, created_at
            FROM prices WHERE organization_id IN ('', $1) AND removed_at IS NULL
            AND ($2 IS NULL OR model = $2) AND ($3 IS NULL OR tier = $3)
            AND ($4 IS NULL OR (valid_from <= $4 AND (valid_until IS NULL OR valid_until > $4)))
            AND ($5 IS NULL OR (model, tier, valid_from, id) ",
            $compare,
            " (SELECT model, tier, valid_from, id FROM prices WHERE id = $5))
            ORDER BY model",
            $descending,
            ", tier",
            $descending,
            ", valid_from",
            $descending,
            ", id",
            $descending,
            " LIMIT $6"
        )
    };
}
const LIST: &str = list!(">", "");
const LIST_DOWN: &str = list!("<", " DESC");

type Row = (String, String, String, String, i64, Option<i64>, String, i64);

/// A price list, and when it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    /// Whose it is; `None` is everybody's.
    pub organization: Option<String>,
    /// Its id.
    pub id: String,
    /// The version of a model.
    pub model: String,
    /// How it is served: `standard`, `priority` or `flex`.
    pub tier: String,
    /// The first moment, Unix milliseconds.
    pub valid_from: i64,
    /// The first moment after it, if there is one.
    pub valid_until: Option<i64>,
    /// The prices.
    pub list: PriceListData,
    /// Unix time in seconds.
    pub created_at: i64,
}

/// A price list that is to hold.
#[derive(Clone, Debug)]
pub struct NewPrice<'a> {
    /// Whose it is, which must be the organization it is allowed in; `None` is everybody's.
    pub organization: Option<&'a str>,
    /// The version of a model.
    pub model: &'a str,
    /// How it is served.
    pub tier: &'a str,
    /// From when on, Unix milliseconds.
    pub valid_from: i64,
    /// Until when, if it ends.
    pub valid_until: Option<i64>,
    /// The prices.
    pub list: PriceListData,
}

/// Which price lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceFilter {
    /// Of this model.
    pub model: Option<String>,
    /// Of this tier.
    pub tier: Option<String>,
    /// That hold at this moment, Unix milliseconds.
    pub at: Option<i64>,
}

impl Store {
    /// Lets a price list hold; the one that holds when it begins ends then, and does not come back.
    ///
    /// # Errors
    /// If it is no list or its tier none, holds for no time, or a later one begins before it ends.
    pub async fn set_price(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        new: &NewPrice<'_>,
    ) -> Result<PriceList, StoreError> {
        check(allowed, new)?;
        let price = PriceList {
            organization: new.organization.map(str::to_owned),
            id: new_id(Kind::PriceList),
            model: new.model.to_owned(),
            tier: new.tier.to_owned(),
            valid_from: new.valid_from,
            valid_until: new.valid_until,
            list: new.list.clone(),
            created_at: now(),
        };
        let work = async {
            let mut transaction = self.write_beside_every(allowed.organization()).await?;
            let revision = revisions::next(&mut transaction).await?;
            let ended = make_room(&mut transaction, &price, revision).await?;
            execute!(
                &mut transaction,
                INSERT,
                new.organization.unwrap_or_default(),
                price.id,
                price.model,
                price.tier,
                price.valid_from,
                price.valid_until,
                price.list.to_json(),
                price.created_at,
                revision
            )?;
            let detail = json!({
                "organization": price.organization, "model": price.model, "tier": price.tier,
                "valid_from": price.valid_from, "valid_until": price.valid_until,
                "list": price.list.to_json(), "ended": ended,
            });
            let event = event("price.created", &price.id, &detail);
            audit::append(&mut transaction, allowed, event).await?;
            transaction.commit().await
        };
        self.in_time(work).await?;
        Ok(price)
    }

    /// Removes a price list, as if it never held; what was charged by it stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none for all, nor of the organization.
    pub async fn remove_price(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        id: &str,
    ) -> Result<(), StoreError> {
        let organization = allowed.organization();
        let work = async {
            let mut transaction = self.write_beside_every(organization).await?;
            let revision = revisions::next(&mut transaction).await?;
            let removed: Option<(String, String, String)> = query!(
                &mut transaction,
                fetch_optional,
                REMOVE,
                organization,
                id,
                now(),
                revision
            )?;
            let (of, model, tier) = removed.ok_or_else(|| not_found(id))?;
            let of = Some(of).filter(|of| !of.is_empty());
            let detail = json!({ "organization": of, "model": model, "tier": tier });
            audit::append(&mut transaction, allowed, event("price.deleted", id, &detail)).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// A page of the price lists for all and of an organization's own, by model, tier and time.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the list that the page comes after is not there.
    pub async fn prices(
        &self,
        allowed: &Allowed<may::ReadPrices>,
        filter: &PriceFilter,
        query: &PageQuery,
    ) -> Result<Page<PriceList>, StoreError> {
        let organization = allowed.organization();
        let sql = if query.descending { LIST_DOWN } else { LIST };
        let work = async {
            let mut transaction = self.read(organization).await?;
            if let Some(after) = &query.after {
                let found: Option<(String,)> =
                    query!(&mut transaction, fetch_optional, FIND, organization, after)?;
                found.ok_or(StoreError::NotListed)?;
            }
            let rows: Vec<Row> = query!(
                &mut transaction,
                fetch_all,
                sql,
                organization,
                filter.model,
                filter.tier,
                filter.at,
                query.after,
                query.num_read()
            )?;
            Ok(rows)
        };
        let mut rows = self.in_time(work).await?;
        let has_more = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        let rows = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { rows, has_more })
    }
}

fn check(allowed: &Allowed<may::RunPlatform>, new: &NewPrice<'_>) -> Result<(), StoreError> {
    if let Some(other) = new.organization.filter(|it| *it != allowed.organization()) {
        return Err(StoreError::NotFound { what: "organization", id: other.to_owned() });
    }
    ModelId::new(new.model).map_err(BillingError::from)?;
    if !Tier::ALL.contains(&new.tier) {
        return Err(StoreError::invalid("tier", format!("give one of {}", Tier::ALL.join(", "))));
    }
    new.list.prices().map_err(BillingError::from)?;
    let (since, until) = (new.valid_from, new.valid_until.unwrap_or(END_OF_TIME));
    Ok(check_range(since, until)?)
}

/// Ends the list that holds when a new one begins, and says which it is.
async fn make_room(
    transaction: &mut Transaction,
    new: &PriceList,
    revision: i64,
) -> Result<Option<String>, StoreError> {
    let PriceList { organization, model, tier, valid_from, valid_until, .. } = new;
    let organization = organization.as_deref().unwrap_or_default();
    let (num,): (i64,) = query!(transaction, fetch_one, NUM, organization, model, tier, millis())?;
    if num >= MAX_LISTS {
        let model = ModelId::new(model).map_err(BillingError::from)?;
        let tier = Tier::new(tier).map_err(BillingError::from)?;
        return Err(BillingError::from(PriceError::TooMany { model, tier }).into());
    }
    let lists: Vec<(String, i64)> = query!(
        transaction,
        fetch_all,
        IN_TIME,
        organization,
        model,
        tier,
        *valid_from,
        *valid_until
    )?;
    let mut ended = None;
    for (id, from) in lists {
        if from >= *valid_from {
            let (model, tier) = (model.clone(), tier.clone());
            return Err(BillingError::Overlap { id, model, tier, from }.into());
        }
        execute!(transaction, END, id, *valid_from, revision)?;
        ended = Some(id);
    }
    Ok(ended)
}

fn read(row: Row) -> Result<PriceList, BillingError> {
    let (organization, id, model, tier, valid_from, valid_until, list, created_at) = row;
    let organization = Some(organization).filter(|it| !it.is_empty());
    let list = PriceListData::parse(&list);
    let list = list.map_err(|error| BillingError::Kept { id: id.clone(), error })?;
    Ok(PriceList { organization, id, model, tier, valid_from, valid_until, list, created_at })
}

fn event(action: &'static str, id: &str, detail: &serde_json::Value) -> AuditEvent {
    AuditEvent { action, target: id.to_owned(), project: None, detail: detail.to_string() }
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: WHAT, id: id.to_owned() }
}
