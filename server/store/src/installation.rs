//! What holds for all organizations of a database: the currency of all amounts.
//!
//! Invariant: nothing that was ever charged, priced or budgeted changes its currency.

use serde_json::json;
use server_accounts::{Allowed, Currency, may};

use crate::accounts::audit;
use crate::accounts::check::unreadable;
use crate::sql::{execute, query};
use crate::{Store, StoreError, revisions};

const CURRENCY: &str = "SELECT currency FROM installation WHERE id = 0";
const SET: &str = "INSERT INTO installation (id, currency) VALUES (0, $1)
    ON CONFLICT (id) DO UPDATE SET currency = excluded.currency";
/// What has amounts, if anything has. All that was charged is in the sums.
const AMOUNTS: &str = "SELECT CASE
    WHEN EXISTS (SELECT 1 FROM prices WHERE removed_at IS NULL) THEN 'prices'
    WHEN EXISTS (SELECT 1 FROM usage_sums WHERE cost_micros > 0 OR cost_picos > 0)
        THEN 'usage that was charged'
    WHEN EXISTS (SELECT 1 FROM organizations WHERE limits LIKE '%\"budgets\"%')
        OR EXISTS (SELECT 1 FROM projects WHERE limits LIKE '%\"budgets\"%')
        OR EXISTS (SELECT 1 FROM keys WHERE revoked_at IS NULL AND limits LIKE '%\"budgets\"%')
        THEN 'budgets'
    ELSE '' END";

impl Store {
    /// The currency of all amounts.
    ///
    /// # Errors
    /// If the database fails, or what it has is none.
    pub async fn currency(&self) -> Result<Currency, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let row: Option<(Option<String>,)> =
                query!(&mut transaction, fetch_optional, CURRENCY)?;
            Ok(row.and_then(|(code,)| code))
        };
        let Some(code) = self.in_time(work).await? else { return Ok(Currency::default()) };
        code.parse().map_err(|error| unreadable("currency", &code, error))
    }

    /// Chooses the currency of all amounts. Does nothing if it is that already.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if there are prices or budgets, or anything was charged: amounts
    /// would mean something else.
    pub async fn set_currency(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        currency: Currency,
    ) -> Result<(), StoreError> {
        if self.currency().await? == currency {
            return Ok(());
        }
        let (organization, code) = (allowed.organization(), currency.code());
        let work = async {
            let mut transaction = self.write_beside_every(organization).await?;
            // Who sets prices or budgets takes the next number, too, and waits for this.
            revisions::next(&mut transaction).await?;
            let (what,): (String,) = query!(&mut transaction, fetch_one, AMOUNTS)?;
            if !what.is_empty() {
                let why = format!("there are {what} in another one, which would change with it");
                return Err(StoreError::invalid("currency", why));
            }
            execute!(&mut transaction, SET, code)?;
            let changes = json!({ "changes_requested": { "currency": code } });
            let event = audit::event("organization.updated", organization, None, changes);
            audit::commit(transaction, allowed, event).await
        };
        self.in_time(work).await
    }
}
