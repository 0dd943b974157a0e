//! Transactions of one project, for what its clients ask to be kept.
//!
//! Invariant: on PostgreSQL they see and write no row of another project, by the database's own
//! rule. Writers of an organization's projects take turns, since they share its limits.

use server_metering::ProjectPath;

use super::{Pools, postgres};
use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

/// The names that statements are given, as `$1` and `$2`.
pub(crate) fn names(whose: &ProjectPath) -> (&str, &str) {
    (whose.organization.as_str(), whose.project.as_str())
}

impl Store {
    /// A transaction that sees what one project keeps; it is not committed.
    pub(crate) async fn read_project(
        &self,
        whose: &ProjectPath,
    ) -> Result<Transaction, StoreError> {
        let (tenant, project) = names(whose);
        match &self.inner.pools {
            Pools::Sqlite { .. } => self.read(tenant).await,
            Pools::Postgres(pool) => {
                postgres::begin_project(pool, postgres::OF_PROJECT, (tenant, project)).await
            }
        }
    }

    /// A transaction that writes what one project keeps, when its organization's other writers are
    /// done.
    pub(crate) async fn write_project(
        &self,
        whose: &ProjectPath,
    ) -> Result<Transaction, StoreError> {
        let (tenant, project) = names(whose);
        match &self.inner.pools {
            Pools::Sqlite { .. } => self.write(tenant).await,
            Pools::Postgres(pool) => {
                postgres::begin_project(pool, postgres::TURN_OF_PROJECT, (tenant, project)).await
            }
        }
    }

    /// Removes one row by a statement that returns its bytes.
    pub(crate) async fn remove(
        &self,
        sql: &'static str,
        whose: &ProjectPath,
        id: &str,
        not_found: fn(&str) -> StoreError,
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let removed = query!(&mut transaction, fetch_optional, sql, tenant, project, id)?;
            let (num_bytes,): (i64,) = removed.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (-1, -num_bytes)).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }
}
