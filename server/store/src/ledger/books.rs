//! All prices as servers hold them in memory.
//!
//! Invariant: an organization pays by its own list in the time that it has one for a model's tier,
//! and by the list for all in any other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use server_accounts::PriceListData;
use server_metering::{ModelId, OrganizationId, PriceBook, Prices, Tier, UnixMillis, Validity};

use super::error::BillingError;
use crate::database::millis;
use crate::sql::query;
use crate::{Store, StoreError};

/// Removed ones count too: their number is that of the removal.
const LAST: &str = "SELECT COALESCE(MAX(revision), 0) FROM prices";
const SELECT: &str = "SELECT organization_id, id, model, tier, valid_from, valid_until, list
    FROM prices WHERE removed_at IS NULL AND (valid_until IS NULL OR valid_until > $1)
    ORDER BY organization_id, valid_from";

type Row = (String, String, String, String, i64, Option<i64>, String);

/// All price lists that hold or will.
#[derive(Clone, Debug, Default)]
pub struct PriceBooks {
    /// The number of the last change that is in them.
    pub revision: i64,
    /// For all.
    pub all: Arc<PriceBook>,
    /// Of organizations that have lists of their own: those, and those for all in all the rest.
    pub own: HashMap<OrganizationId, Arc<PriceBook>>,
}

/// A list, and when it holds.
#[derive(Clone)]
struct Listed {
    model: ModelId,
    tier: Tier,
    from: u64,
    until: Option<u64>,
    prices: Prices,
}

impl PriceBooks {
    /// What an organization pays by.
    #[must_use]
    pub fn of(&self, organization: &OrganizationId) -> &PriceBook {
        self.own.get(organization).unwrap_or(&self.all)
    }
}

impl Store {
    /// All price lists that hold or will, if any changed after the change of a number; 0 is before
    /// the first one.
    ///
    /// # Errors
    /// If the database fails, or a list that is kept cannot be read.
    pub async fn price_books(&self, since: i64) -> Result<Option<PriceBooks>, StoreError> {
        self.read_books(Some(since), millis()).await
    }

    /// All price lists that held at a moment of the past, or did later.
    pub(super) async fn price_books_of(&self, at: UnixMillis) -> Result<PriceBooks, StoreError> {
        Ok(self.price_books_since(None, at).await?.unwrap_or_default())
    }

    /// The same, if any changed after the change of a number, where one is given.
    pub(super) async fn price_books_since(
        &self,
        since: Option<i64>,
        at: UnixMillis,
    ) -> Result<Option<PriceBooks>, StoreError> {
        self.read_books(since, i64::try_from(at.0).unwrap_or(i64::MAX)).await
    }

    async fn read_books(
        &self,
        since: Option<i64>,
        at: i64,
    ) -> Result<Option<PriceBooks>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            // First, so that what comes between is asked for again.
            let (last,): (i64,) = query!(&mut transaction, fetch_one, LAST)?;
            if since.is_some_and(|since| last <= since) {
                return Ok(None);
            }
            let rows: Vec<Row> = query!(&mut transaction, fetch_all, SELECT, at)?;
            Ok(Some((last, rows)))
        };
        let Some((revision, rows)) = self.in_time(work).await? else { return Ok(None) };
        Ok(Some(books(revision, rows)?))
    }
}

fn books(revision: i64, rows: Vec<Row>) -> Result<PriceBooks, BillingError> {
    let mut lists = BTreeMap::<String, Vec<Listed>>::new();
    for row in rows {
        let (organization, listed) = Listed::read(row)?;
        lists.entry(organization).or_default().push(listed);
    }
    let for_all = lists.remove("").unwrap_or_default();
    let mut own = HashMap::new();
    for (organization, mut lists) in lists {
        lists.extend(rest(&for_all, &lists));
        own.insert(OrganizationId::new(&organization)?, book(lists)?);
    }
    Ok(PriceBooks { revision, all: book(for_all)?, own })
}

impl Listed {
    fn read(row: Row) -> Result<(String, Self), BillingError> {
        let (organization, id, model, tier, from, until, list) = row;
        let prices = PriceListData::parse(&list).and_then(|list| list.prices());
        let listed = Self {
            model: ModelId::new(&model)?,
            tier: Tier::new(&tier)?,
            from: from.unsigned_abs(),
            until: until.map(i64::unsigned_abs),
            prices: prices.map_err(|error| BillingError::Kept { id, error })?,
        };
        Ok((organization, listed))
    }

    fn end(&self) -> u64 {
        self.until.unwrap_or(u64::MAX)
    }
}

/// Lists for all, in the time that an organization's own ones leave.
fn rest(for_all: &[Listed], own: &[Listed]) -> Vec<Listed> {
    let mut taken = HashMap::<_, Vec<_>>::new();
    for it in own {
        // They come in the order of time.
        taken.entry((&it.model, &it.tier)).or_default().push((it.from, it.end()));
    }
    let mut rest = Vec::new();
    for listed in for_all {
        let mut from = listed.from;
        for (begin, end) in taken.get(&(&listed.model, &listed.tier)).into_iter().flatten() {
            let until = (*begin).min(listed.end());
            if from < until {
                rest.push(Listed { from, until: Some(until), ..listed.clone() });
            }
            from = from.max(*end);
        }
        if from < listed.end() {
            rest.push(Listed { from, ..listed.clone() });
        }
    }
    rest
}

fn book(lists: Vec<Listed>) -> Result<Arc<PriceBook>, BillingError> {
    let mut book = PriceBook::default();
    for Listed { model, tier, from, until, prices } in lists {
        let valid = Validity { from: UnixMillis(from), until: until.map(UnixMillis) };
        book.add(&model, &tier, valid, prices)?;
    }
    Ok(Arc::new(book))
}
