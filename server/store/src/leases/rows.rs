//! Rows of what is lent, and what accounts and limits are called in them.

use std::sync::LazyLock;

use server_metering::{AccountId, LeaseAsk, LeaseOf};

use crate::StoreError;
use crate::database::millis;
use crate::ledger::{Insert, Written, name, write_rows};
use crate::sql::Transaction;

static SET: LazyLock<Insert> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, what, period, number, process";
    Insert::new(
        format!("INSERT INTO leases ({key}, reserved, touched_at)"),
        format!(
            " ON CONFLICT ({key}) DO UPDATE SET
            reserved = excluded.reserved, touched_at = excluded.touched_at"
        ),
    )
});

/// A project and a key of an organization; empty where there is none.
pub(super) type Account = (String, String);

/// The organization of an account, and the rest of it.
pub(super) fn ids(id: &AccountId) -> (&str, Account) {
    match id {
        AccountId::Organization(organization) => (organization.as_str(), Account::default()),
        AccountId::Project(organization, project) => {
            (organization.as_str(), (project.as_str().to_owned(), String::new()))
        }
        AccountId::Key(path) => {
            let account = (path.project.as_str().to_owned(), path.key.as_str().to_owned());
            (path.organization.as_str(), account)
        }
    }
}

/// What a limit is called, and its period.
pub(super) fn names(of: LeaseOf) -> (&'static str, &'static str) {
    match of {
        LeaseOf::Money(period) => ("money", name(period)),
        LeaseOf::Units(meter, period) => (meter.name(), name(period)),
        LeaseOf::Concurrency => ("requests", ""),
    }
}

/// What a process has reserved of a limit.
#[derive(Debug)]
pub(super) struct LeaseRow<'a> {
    organization: &'a str,
    account: Account,
    of: (&'static str, &'static str),
    number: i64,
    process: i64,
    reserved: i64,
}

impl<'a> LeaseRow<'a> {
    pub(super) fn new(process: i64, organization: &'a str, ask: &LeaseAsk, more: i128) -> Self {
        Self {
            organization,
            account: ids(&ask.account).1,
            of: names(ask.of),
            number: i64::try_from(ask.number).unwrap_or(i64::MAX),
            process,
            reserved: i64::try_from(ask.reserved.max(0) + more).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reserved == 0
    }

    /// Writes rows, in one order, so that no writer waits for another in a circle.
    pub(super) async fn write(
        transaction: &mut Transaction,
        rows: &mut [Self],
    ) -> Result<(), StoreError> {
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        let now = millis();
        let cells: Vec<_> = rows.iter().map(|row| row.cells(now)).collect();
        write_rows(transaction, &SET, &cells).await
    }

    fn key(&self) -> (&str, &Account, (&str, &str), i64) {
        (self.organization, &self.account, self.of, self.number)
    }

    fn cells(&self, now: i64) -> Written<'_, 5, 4> {
        let (project, key) = &self.account;
        let texts = [self.organization, project, key, self.of.0, self.of.1];
        (texts, [self.number, self.process, self.reserved, now])
    }
}
