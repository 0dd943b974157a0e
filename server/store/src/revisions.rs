//! Numbers of changes that servers ask for.
//!
//! Invariant: numbers become visible in their order: whoever takes one holds the counter until its
//! transaction ends.

use crate::sql::{Transaction, query};
use crate::{Store, StoreError};

const NEXT: &str = "INSERT INTO revisions (id, last) VALUES (0, 1)
    ON CONFLICT (id) DO UPDATE SET last = revisions.last + 1 RETURNING last";
pub(crate) const LAST: &str = "SELECT last FROM revisions WHERE id = 0";

/// The next number, for the rows that this transaction changes.
pub(crate) async fn next(transaction: &mut Transaction) -> Result<i64, StoreError> {
    let (next,): (i64,) = query!(transaction, fetch_one, NEXT)?;
    Ok(next)
}

impl Store {
    /// The number of the last change to what requests depend on; 0 before the first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let work = async {
            let mut transaction = self.read("").await?;
            let last: Option<(i64,)> = query!(&mut transaction, fetch_optional, LAST)?;
            Ok(last.unwrap_or_default().0)
        };
        self.in_time(work).await
    }
}
