//! What is lent of limits to processes that share a database.
//!
//! Invariant: what the ledger has of a period and what is reserved of it are never more than its
//! limit together, since who asks for an organization's does so alone. What the ledger takes from a
//! process in the meantime is counted twice until that process says so, and never not at all.

mod rates;
mod rows;

use std::collections::HashMap;
use std::sync::LazyLock;

use server_metering::{
    AccountId, LeaseAsk, LeaseAsks, LeaseGrant, LeaseGrants, LeaseOf, OrganizationId, Period, Sum,
    UnixMillis,
};

use self::rows::{Account, LeaseRow, ids};
use crate::database::millis;
use crate::ledger::{account_sums, number};
use crate::responses::IS_LEFT;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError};

/// Who asks gets this part of what is left beyond what it needs, at most: the others get the same,
/// and what each has and does not use keeps nobody waiting as long as there is plenty.
const SLICE: i128 = 32;
/// How long what a process reserved that is no more stays so, whose journal nobody reads.
const FORGOTTEN_AFTER_MS: i64 = 7 * 24 * 60 * 60 * 1000;

const SELECT: &str =
    "SELECT project_id, key_id, what, period, number, process, reserved FROM leases
    WHERE organization_id = $1 AND project_id IN ('', $2) AND key_id IN ('', $3)
    AND number BETWEEN CASE period WHEN 'day' THEN $4 - 1 WHEN 'month' THEN $5 - 1 ELSE 0 END
        AND CASE period WHEN 'day' THEN $4 WHEN 'month' THEN $5 ELSE 0 END
    ORDER BY number";
const REMOVE_EMPTY: &str = "DELETE FROM leases WHERE process = $1 AND reserved <= 0";
const FORGET: &str = "DELETE FROM leases WHERE process = $1";
/// Of processes that are no more: their requests do not run, and what they may have used is in the
/// ledger by now, or in a journal that nobody reads.
static RECLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM leases WHERE process <> $1 AND (what = 'requests' OR touched_at < $2)
        AND {IS_LEFT}"
    )
});

/// By account and limit, what each process has reserved.
type Held = HashMap<(Account, String, String), HashMap<i64, i128>>;

impl Store {
    /// Lends a process what it asks for of an organization's limits, as far as it is there.
    ///
    /// All asks are of one path, of one moment.
    ///
    /// # Errors
    /// If the database fails: nothing is lent then, or the process does not know of it.
    pub async fn lend(
        &self,
        process: i64,
        organization: &OrganizationId,
        asks: &LeaseAsks,
        utc: UnixMillis,
    ) -> Result<LeaseGrants, StoreError> {
        let work = async {
            let mut transaction = self.write_leases(organization.as_str()).await?;
            let mut grants = LeaseGrants::default();
            if !asks.leases.is_empty() {
                let lending = Lending { process, organization: organization.as_str(), utc };
                grants.leases = lending.lend(&mut transaction, &asks.leases).await?;
            }
            grants.rates = rates::take(&mut transaction, organization, &asks.rates, utc).await?;
            transaction.commit().await?;
            Ok(grants)
        };
        self.in_time(work).await
    }

    /// Writes what a process has reserved now, which is no more than before, and what it puts back
    /// of rates.
    ///
    /// # Errors
    /// If the database fails: it may have been written all the same.
    pub async fn give_back(
        &self,
        process: i64,
        all: &[(OrganizationId, LeaseAsks)],
    ) -> Result<(), StoreError> {
        let mut leases = Vec::new();
        for (organization, asks) in all {
            let row = |ask| LeaseRow::new(process, organization.as_str(), ask, 0);
            leases.extend(asks.leases.iter().map(row));
        }
        let work = async {
            let mut transaction = self.write_every_unlocked().await?;
            LeaseRow::write(&mut transaction, &mut leases).await?;
            if leases.iter().any(LeaseRow::is_empty) {
                execute!(&mut transaction, REMOVE_EMPTY, process)?;
            }
            rates::put_back(&mut transaction, all).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Forgets what a process had reserved, all of whose usage is in the ledger.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_leases(&self, process: i64) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.write_every_unlocked().await?;
            let num = execute!(&mut transaction, FORGET, process)?;
            transaction.commit().await?;
            Ok(num)
        };
        self.in_time(work).await
    }

    /// Frees what processes had that are no more: places of requests at once, and what lay for a
    /// week. How many of these it were. On SQLite there is one process.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reclaim_leases(&self) -> Result<u64, StoreError> {
        let work = async {
            let mut transaction = self.write_every_unlocked().await?;
            if matches!(transaction, Transaction::Sqlite(_)) {
                return Ok(0);
            }
            let (own, before) = (self.process(), millis() - FORGOTTEN_AFTER_MS);
            let num = execute!(&mut transaction, RECLAIM.as_str(), own, before)?;
            transaction.commit().await?;
            Ok(num)
        };
        self.in_time(work).await
    }

    /// What an account used in the day and the month of a moment, and ever, as the ledger has it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn account_sums(
        &self,
        id: &AccountId,
        utc: UnixMillis,
    ) -> Result<[Sum; Period::ALL.len()], StoreError> {
        let (organization, account) = ids(id);
        let work = async {
            let mut transaction = self.read(organization).await?;
            let names = (organization, account.0.as_str(), account.1.as_str());
            let sums = account_sums(&mut transaction, names, utc).await?;
            Ok(sums.get(&account).copied().unwrap_or_default())
        };
        self.in_time(work).await
    }
}

/// Who asks, and when.
struct Lending<'a> {
    process: i64,
    organization: &'a str,
    utc: UnixMillis,
}

impl Lending<'_> {
    async fn lend(
        &self,
        transaction: &mut Transaction,
        asks: &[LeaseAsk],
    ) -> Result<Vec<LeaseGrant>, StoreError> {
        let (project, key) = deepest(asks.iter().map(|ask| ids(&ask.account).1));
        let names = (self.organization, project.as_str(), key.as_str());
        // First, so that what the ledger takes in between counts twice, and not not at all.
        let held = self.held(transaction, (&project, &key)).await?;
        let used = account_sums(transaction, names, self.utc).await?;
        let grant = |ask: &LeaseAsk| {
            let account = ids(&ask.account).1;
            let sums = used.get(&account).copied().unwrap_or_default();
            let used = match ask.of {
                LeaseOf::Money(period) => sums[period as usize].cost.get(),
                LeaseOf::Units(meter, period) => sums[period as usize].usage.get(meter).into(),
                LeaseOf::Concurrency => 0,
            };
            let (what, period) = rows::names(ask.of);
            let of_all = held.get(&(account, what.to_owned(), period.to_owned()));
            let others = of_all.into_iter().flatten().filter(|(owner, _)| **owner != self.process);
            let (num, elsewhere) = others.fold((0, 0), |(n, sum), (_, more)| (n + 1, sum + more));
            let is_of_now = ask.of.period().is_none_or(|it| it.number(self.utc) == ask.number);
            let left = if is_of_now { ask.limit - used - elsewhere - ask.reserved } else { 0 };
            let more = slice(left, ask, num);
            LeaseGrant { more, used, elsewhere, left: left - more }
        };
        let grants: Vec<_> = asks.iter().map(grant).collect();
        let row = |(ask, grant): (_, &LeaseGrant)| {
            LeaseRow::new(self.process, self.organization, ask, grant.more)
        };
        let mut rows: Vec<_> = asks.iter().zip(&grants).map(row).collect();
        LeaseRow::write(transaction, &mut rows).await?;
        Ok(grants)
    }

    /// Who has reserved how much. Of who has told nothing of a period that began just now, what was
    /// reserved of the one before counts: requests that run on may be settled in this one.
    async fn held(
        &self,
        transaction: &mut Transaction,
        (project, key): (&str, &str),
    ) -> Result<Held, StoreError> {
        let (day, month) = (number(Period::Day, self.utc), number(Period::Month, self.utc));
        let rows: Vec<(String, String, String, String, i64, i64, i64)> =
            query!(transaction, fetch_all, SELECT, self.organization, project, key, day, month)?;
        let mut held = Held::new();
        for (project, key, what, period, _, owner, reserved) in rows {
            let of_all = held.entry(((project, key), what, period)).or_default();
            // Later periods come later.
            of_all.insert(owner, i128::from(reserved).max(0));
        }
        Ok(held)
    }
}

/// How much is lent of what is left, with so many other processes that have some.
fn slice(left: i128, ask: &LeaseAsk, num_others: i128) -> i128 {
    if ask.need <= 0 || left <= 0 {
        return 0;
    }
    let beyond = (left - ask.need).max(0) / (SLICE * (1 + num_others));
    // What is reserved is 64 bits in the database.
    left.min(ask.need + beyond).min(i128::from(i64::MAX) - ask.reserved).max(0)
}

/// The project and the key of a path, of which these are accounts.
fn deepest(accounts: impl Iterator<Item = Account>) -> Account {
    accounts.fold(Account::default(), |(project, key), (other, of)| {
        (if other.is_empty() { project } else { other }, if of.is_empty() { key } else { of })
    })
}
