//! Responses, and the chains they form.
//!
//! Invariant: a response that is finished never changes again.

use std::sync::LazyLock;

use server_metering::ProjectPath;

use crate::database::{names, now};
use crate::sql::{Transaction, execute, query};
use crate::{Item, Store, StoreError};

/// The states that a response leaves.
pub const UNFINISHED: [&str; 2] = ["queued", "in_progress"];

const INSERT: &str = "INSERT INTO responses (tenant, project_id, id, created_at, expires_at,
    status, previous_id, conversation_id, body, input, num_bytes, process)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const INSERT_OUTPUT: &str = "INSERT INTO response_outputs
    (tenant, project_id, item_id, response_id) VALUES ($1, $2, $3, $4)";
const SELECT_MAKER: &str = "SELECT response_id FROM response_outputs
    WHERE tenant = $1 AND project_id = $2 AND item_id = $3";
const REMOVE_UNFINISHED: &str = "DELETE FROM responses WHERE tenant = $1 AND project_id = $2
    AND id = $3 AND status IN ('queued', 'in_progress') RETURNING num_bytes";
const REMOVE: &str = "DELETE FROM responses
    WHERE tenant = $1 AND project_id = $2 AND id = $3 RETURNING num_bytes";
const SELECT: &str = "SELECT status, previous_id, conversation_id, body, input FROM responses
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4";
const LINK: &str = "SELECT previous_id, num_bytes FROM responses
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4";
const SET_STATUS: &str = "UPDATE responses SET status = $4 WHERE tenant = $1
    AND project_id = $2 AND id = $3 AND status IN ('queued', 'in_progress')";
const FAIL_UNFINISHED: &str =
    "UPDATE responses SET status = 'failed' WHERE status IN ('queued', 'in_progress')";
static FAIL_LEFT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE responses SET status = 'failed' WHERE status IN ('queued', 'in_progress')
        AND {IS_LEFT}"
    )
});
/// Whether the `process` of a row is no more. PostgreSQL knows which live: each holds a lock of its
/// own number.
pub(crate) const IS_LEFT: &str = "NOT EXISTS (SELECT 1 FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT)) = process)";

/// A response to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its id.
    pub id: String,
    /// Unix time in seconds.
    pub created_at: i64,
    /// Where it stands.
    pub status: String,
    /// The response that it follows.
    pub previous_id: Option<String>,
    /// The conversation that it is part of.
    pub conversation_id: Option<String>,
    /// The response itself, as JSON.
    pub body: String,
    /// The items it was asked with, as a JSON array.
    pub input: String,
    /// The ids of the items that it made.
    pub output_ids: Vec<String>,
}

impl Response {
    fn num_bytes(&self) -> usize {
        self.body.len() + self.input.len()
    }
}

/// A response that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands; the body may say what was before.
    pub status: String,
    /// The response that it follows.
    pub previous_id: Option<String>,
    /// The conversation that it is part of.
    pub conversation_id: Option<String>,
    /// The response itself, as JSON.
    pub body: String,
    /// The items it was asked with, as a JSON array.
    pub input: String,
}

impl Store {
    /// Keeps a new response, and adds `items` to its conversation if it has one.
    ///
    /// # Errors
    /// If there is no room, no such conversation, or the database fails; then nothing is kept.
    pub async fn add_response(
        &self,
        whose: &ProjectPath,
        response: &Response,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            self.charge_and_insert(&mut transaction, whose, (1, 0), response).await?;
            self.append(&mut transaction, whose, response, items).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Writes what became of a response that was kept unfinished. Does nothing, and says `false`,
    /// if it was cancelled or deleted meanwhile.
    ///
    /// # Errors
    /// As [`add_response`](Self::add_response).
    pub async fn finish_response(
        &self,
        whose: &ProjectPath,
        response: &Response,
        items: &[Item],
    ) -> Result<bool, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let (row, id) = (&mut transaction, &response.id);
            let removed = query!(row, fetch_optional, REMOVE_UNFINISHED, tenant, project, id)?;
            let Some((num_bytes,)) = removed else {
                return Ok(false);
            };
            let freed: (i64, i64) = (0, num_bytes);
            self.charge_and_insert(&mut transaction, whose, freed, response).await?;
            self.append(&mut transaction, whose, response, items).await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.in_time(work).await
    }

    /// `num_rows` more, and what the response has beyond the bytes that were freed.
    async fn charge_and_insert(
        &self,
        transaction: &mut Transaction,
        whose: &ProjectPath,
        (num_rows, freed): (i64, i64),
        response: &Response,
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let num_bytes = self.check_size("response", response.num_bytes())?;
        self.charge(transaction, tenant, (num_rows, num_bytes - freed)).await?;
        execute!(
            transaction,
            INSERT,
            tenant,
            project,
            response.id,
            response.created_at,
            self.expiry(),
            response.status,
            response.previous_id,
            response.conversation_id,
            response.body,
            response.input,
            num_bytes,
            self.process()
        )?;
        for item in &response.output_ids {
            execute!(transaction, INSERT_OUTPUT, tenant, project, item, response.id)?;
        }
        Ok(())
    }

    async fn append(
        &self,
        transaction: &mut Transaction,
        whose: &ProjectPath,
        response: &Response,
        items: &[Item],
    ) -> Result<(), StoreError> {
        match &response.conversation_id {
            Some(id) if !items.is_empty() => self.append_to(transaction, whose, id, items).await,
            _ => Ok(()),
        }
    }

    /// A response that was kept.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn response(&self, whose: &ProjectPath, id: &str) -> Result<Kept, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            Ok(query!(&mut transaction, fetch_optional, SELECT, tenant, project, id, now())?)
        };
        let row = self.in_time(work).await?;
        let row = row.ok_or_else(|| not_found(id))?;
        let (status, previous_id, conversation_id, body, input) = row;
        Ok(Kept { status, previous_id, conversation_id, body, input })
    }

    /// The response that made an item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn maker(&self, whose: &ProjectPath, item: &str) -> Result<Kept, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            Ok(query!(&mut transaction, fetch_optional, SELECT_MAKER, tenant, project, item)?)
        };
        let row = self.in_time(work).await?;
        let not_found = || StoreError::NotFound { what: "item", id: item.to_owned() };
        let (id,): (String,) = row.ok_or_else(not_found)?;
        self.response(whose, &id).await.map_err(|error| match error {
            StoreError::NotFound { .. } => not_found(),
            error => error,
        })
    }

    /// A response and all that it follows, the first of them first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if one of them is not kept any more; [`StoreError::TooMany`] or
    /// [`StoreError::TooLarge`] if they are too much for one context.
    pub async fn chain(&self, whose: &ProjectPath, id: &str) -> Result<Vec<Kept>, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            let (mut ids, mut next, mut total) = (Vec::new(), Some(id.to_owned()), 0);
            let limits = self.limits();
            while let Some(id) = next {
                let link =
                    query!(&mut transaction, fetch_optional, LINK, tenant, project, id, now())?;
                let (previous, num_bytes): (_, i64) = link.ok_or_else(|| not_found(&id))?;
                ids.push(id);
                total += u64::try_from(num_bytes).unwrap_or(0);
                if ids.len() > limits.max_chain as usize {
                    let (what, max) = ("chain of responses", limits.max_chain.into());
                    return Err(StoreError::TooMany { what, max });
                }
                if total > limits.max_context_bytes {
                    let (what, max) = ("chain of responses", limits.max_context_bytes);
                    return Err(StoreError::TooLarge { what, num_bytes: total, max });
                }
                next = previous;
            }
            Ok(ids)
        };
        let mut chain = Vec::new();
        for id in self.in_time(work).await?.iter().rev() {
            chain.push(self.response(whose, id).await?);
        }
        Ok(chain)
    }

    /// Moves an unfinished response to another state; `false` if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_status(
        &self,
        whose: &ProjectPath,
        id: &str,
        status: &str,
    ) -> Result<bool, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let updated = execute!(&mut transaction, SET_STATUS, tenant, project, id, status)?;
            transaction.commit().await?;
            Ok(updated > 0)
        };
        self.in_time(work).await
    }

    /// Forgets a response.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_response(&self, whose: &ProjectPath, id: &str) -> Result<(), StoreError> {
        self.remove(REMOVE, whose, id, not_found).await
    }

    /// What a process that is no more was working on will not go on.
    pub(crate) async fn fail_unfinished(&self) -> Result<(), StoreError> {
        let mut transaction = self.write_every().await?;
        let failed = match &transaction {
            Transaction::Sqlite(_) => execute!(&mut transaction, FAIL_UNFINISHED)?,
            Transaction::Postgres(_) => execute!(&mut transaction, FAIL_LEFT.as_str())?,
        };
        transaction.commit().await?;
        if failed > 0 {
            tracing::warn!(responses = failed, "left unfinished, now failed");
        }
        Ok(())
    }
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "response", id: id.to_owned() }
}
