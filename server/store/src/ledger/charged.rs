//! Whether anybody was ever charged for a model.

use server_accounts::{Allowed, may};

use crate::sql::query;
use crate::{Store, StoreError};

/// A name stands for all of its versions, as it does in price lists.
const SELECT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM usage_sums
    WHERE model = $1 OR SUBSTR(model, 1, LENGTH($2)) = $2 LIMIT 1) AS found";

impl Store {
    /// Whether any organization used a model, by its name or by `name@version`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn was_used(
        &self,
        _: &Allowed<may::RunPlatform>,
        model: &str,
    ) -> Result<bool, StoreError> {
        let versions = format!("{model}@");
        let work = async {
            let mut transaction = self.read_every().await?;
            let (num,): (i64,) = query!(&mut transaction, fetch_one, SELECT, model, versions)?;
            Ok(num > 0)
        };
        self.in_time(work).await
    }
}
