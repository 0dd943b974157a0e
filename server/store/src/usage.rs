//! How much each tenant keeps.
//!
//! Invariant: a tenant's row says what its other rows come to, since both change in one
//! transaction.

use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

const CHARGE: &str = "INSERT INTO tenants (tenant, num_rows, num_bytes) VALUES ($1, $2, $3)
    ON CONFLICT (tenant) DO UPDATE SET num_rows = tenants.num_rows + excluded.num_rows,
    num_bytes = tenants.num_bytes + excluded.num_bytes RETURNING num_rows, num_bytes";
const USED: &str = "SELECT num_rows, num_bytes FROM tenants WHERE tenant = $1";

impl Store {
    /// Whether a tenant has room for another thing of so many bytes, which is checked again when
    /// it comes.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::TooLarge`] if not.
    pub async fn check_room(
        &self,
        tenant: &str,
        what: &'static str,
        num_bytes: usize,
    ) -> Result<(), StoreError> {
        let num_bytes = self.check_size(what, num_bytes)?;
        let used = self.used(tenant).await?;
        self.check((used.0 + 1, used.1 + num_bytes))
    }

    /// How many rows and bytes a tenant keeps.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn used(&self, tenant: &str) -> Result<(i64, i64), StoreError> {
        let work = async {
            let mut transaction = self.read(tenant).await?;
            let used = query!(&mut transaction, fetch_optional, USED, tenant)?;
            Ok(used.unwrap_or_default())
        };
        self.in_time(work).await
    }

    /// Adds to what a tenant keeps; what is less is never refused.
    pub(crate) async fn charge(
        &self,
        transaction: &mut Transaction,
        tenant: &str,
        (num_rows, num_bytes): (i64, i64),
    ) -> Result<(), StoreError> {
        let used = query!(transaction, fetch_one, CHARGE, tenant, num_rows, num_bytes)?;
        if num_rows > 0 || num_bytes > 0 { self.check(used) } else { Ok(()) }
    }

    fn check(&self, (num_rows, num_bytes): (i64, i64)) -> Result<(), StoreError> {
        let limits = self.limits();
        for (what, used, max) in
            [("rows", num_rows, limits.max_rows), ("bytes", num_bytes, limits.max_bytes)]
        {
            let used = u64::try_from(used).unwrap_or(0);
            if used > max {
                return Err(StoreError::Full { what, used, max });
            }
        }
        Ok(())
    }

    /// The size of one thing, if it may have it.
    pub(crate) fn check_size(
        &self,
        what: &'static str,
        num_bytes: usize,
    ) -> Result<i64, StoreError> {
        let max = self.limits().max_object_bytes;
        match i64::try_from(num_bytes) {
            Ok(size) if num_bytes as u64 <= max => Ok(size),
            _ => Err(StoreError::TooLarge { what, num_bytes: num_bytes as u64, max }),
        }
    }
}
