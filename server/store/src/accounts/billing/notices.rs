//! What organizations are to be told of what they owe.
//!
//! Invariant: a notice is written with the state that it follows from, and is told of once.

use server_accounts::{Allowed, may};

use crate::sql::{execute, query};
use crate::{Store, StoreError};

const NOTICES: &str = "SELECT position, created_at, notice FROM billing_notices
    WHERE organization_id = $1 ORDER BY position DESC LIMIT $2";
const UNSENT: &str = "SELECT organization_id, position, created_at, notice FROM billing_notices
    WHERE sent_at IS NULL ORDER BY created_at, organization_id, position LIMIT $1";
pub(super) const SENT: &str = "UPDATE billing_notices SET sent_at = $3
    WHERE organization_id = $1 AND position = $2 AND sent_at IS NULL";

/// What an organization is, or was, to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingNotice {
    /// Its id.
    pub organization: String,
    /// Which of the organization's it is.
    pub position: i64,
    /// Unix time in seconds.
    pub created_at: i64,
    /// JSON.
    pub notice: String,
}

impl Store {
    /// The newest notices of an organization, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn billing_notices(
        &self,
        allowed: &Allowed<may::ReadBilling>,
        limit: i64,
    ) -> Result<Vec<BillingNotice>, StoreError> {
        let id = allowed.organization();
        let work = async {
            let mut transaction = self.read(id).await?;
            let rows: Vec<(i64, i64, String)> =
                query!(&mut transaction, fetch_all, NOTICES, id, limit)?;
            let read = |(position, created_at, notice)| BillingNotice {
                organization: id.to_owned(),
                position,
                created_at,
                notice,
            };
            Ok(rows.into_iter().map(read).collect())
        };
        self.in_time(work).await
    }

    /// Up to `limit` notices that were not sent, the oldest first; of all organizations.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unsent_notices(&self, limit: i64) -> Result<Vec<BillingNotice>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            let rows: Vec<(String, i64, i64, String)> =
                query!(&mut transaction, fetch_all, UNSENT, limit)?;
            let read = |(organization, position, created_at, notice)| BillingNotice {
                organization,
                position,
                created_at,
                notice,
            };
            Ok(rows.into_iter().map(read).collect())
        };
        self.in_time(work).await
    }

    /// A notice was sent at `now`; whether nobody had said so before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn notice_sent(&self, notice: &BillingNotice, now: i64) -> Result<bool, StoreError> {
        let BillingNotice { organization, position, .. } = notice;
        let work = async {
            let mut transaction = self.write(organization).await?;
            let num = execute!(&mut transaction, SENT, organization, *position, now)?;
            transaction.commit().await?;
            Ok(num > 0)
        };
        self.in_time(work).await
    }
}
