//! Chat completions that clients ask to be stored.

use server_metering::ProjectPath;
use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::database::{names, now};
use crate::page::{Page, PageQuery};
use crate::sql::{Bound, Transaction, execute, on, query};
use crate::{Store, StoreError};

/// What it is called in errors.
const WHAT: &str = "chat completion";
const INSERT: &str = "INSERT INTO completions (tenant, project_id, id, created_at, expires_at,
    model, body, messages, num_bytes, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
        (SELECT COALESCE(MAX(position), 0) + 1 FROM completions
            WHERE tenant = $1 AND project_id = $2))";
const INSERT_METADATA: &str = "INSERT INTO completion_metadata
    (tenant, project_id, completion_id, name, value) VALUES ($1, $2, $3, $4, $5)";
const REMOVE_METADATA: &str = "DELETE FROM completion_metadata
    WHERE tenant = $1 AND project_id = $2 AND completion_id = $3";
const SELECT: &str = "SELECT created_at, model, body, messages FROM completions
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4";
const UPDATE: &str = "UPDATE completions SET body = $4, num_bytes = $5
    WHERE tenant = $1 AND project_id = $2 AND id = $3";
const SIZE: &str = "SELECT num_bytes FROM completions
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4";
const REMOVE: &str = "DELETE FROM completions
    WHERE tenant = $1 AND project_id = $2 AND id = $3 RETURNING num_bytes";

/// A chat completion that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Its id.
    pub id: String,
    /// Unix time in seconds.
    pub created_at: i64,
    /// The model that answered.
    pub model: String,
    /// The completion itself with its metadata, as JSON.
    pub body: String,
    /// The messages it was asked with, as a JSON array.
    pub messages: String,
}

impl Completion {
    fn num_bytes(&self) -> usize {
        self.body.len() + self.messages.len()
    }
}

/// Which completions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletionFilter {
    /// Of this model.
    pub model: Option<String>,
    /// With all of this metadata.
    pub metadata: Vec<(String, String)>,
}

impl Store {
    /// Keeps a completion.
    ///
    /// # Errors
    /// If there is no room or the database fails.
    pub async fn add_completion(
        &self,
        whose: &ProjectPath,
        completion: &Completion,
        metadata: &[(String, String)],
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let num_bytes = self.check_size(WHAT, completion.num_bytes())?;
            self.charge(&mut transaction, tenant, (1, num_bytes)).await?;
            execute!(
                &mut transaction,
                INSERT,
                tenant,
                project,
                completion.id,
                completion.created_at,
                self.expiry(),
                completion.model,
                completion.body,
                completion.messages,
                num_bytes
            )?;
            add_metadata(&mut transaction, whose, &completion.id, metadata).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// A completion.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn completion(
        &self,
        whose: &ProjectPath,
        id: &str,
    ) -> Result<Completion, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            Ok(query!(&mut transaction, fetch_optional, SELECT, tenant, project, id, now())?)
        };
        let row = self.in_time(work).await?;
        let (created_at, model, body, messages) = row.ok_or_else(|| not_found(id))?;
        Ok(Completion { id: id.to_owned(), created_at, model, body, messages })
    }

    /// Replaces the body, which holds the metadata, and the metadata that is looked for.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such completion.
    pub async fn update_completion(
        &self,
        whose: &ProjectPath,
        completion: &Completion,
        metadata: &[(String, String)],
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let id = &completion.id;
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let num_bytes = self.check_size(WHAT, completion.num_bytes())?;
            let size = query!(&mut transaction, fetch_optional, SIZE, tenant, project, id, now())?;
            let (before,): (i64,) = size.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (0, num_bytes - before)).await?;
            execute!(&mut transaction, UPDATE, tenant, project, id, completion.body, num_bytes)?;
            execute!(&mut transaction, REMOVE_METADATA, tenant, project, id)?;
            add_metadata(&mut transaction, whose, id, metadata).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// Forgets a completion.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_completion(&self, whose: &ProjectPath, id: &str) -> Result<(), StoreError> {
        self.remove(REMOVE, whose, id, not_found).await
    }

    /// The bodies of a page of completions, in the order they were made in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the completion that the page comes after is not there.
    pub async fn completions(
        &self,
        whose: &ProjectPath,
        filter: &CompletionFilter,
        query: &PageQuery,
    ) -> Result<Page<String>, StoreError> {
        if let Some(after) = &query.after {
            let found = self.completion(whose, after).await;
            found.map_err(|error| error.of_cursor(WHAT))?;
        }
        let size = |(body,): &(String,)| body.len();
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            on!(&mut transaction, |connection| {
                let mut sql = select_page(whose, filter, query);
                let list = sql.build_query_as().fetch(connection);
                Page::read(list, query, size).await
            })
        };
        let page = self.in_time(work).await?;
        Ok(page.map(|(body,)| body))
    }
}

fn select_page<DB>(
    whose: &ProjectPath,
    filter: &CompletionFilter,
    query: &PageQuery,
) -> QueryBuilder<DB>
where
    DB: Database,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let (tenant, project) = names(whose);
    let text = |text: &str| text.bound().into_owned();
    let mut sql = QueryBuilder::new("SELECT body FROM completions AS c WHERE c.tenant = ");
    sql.push_bind(tenant.to_owned()).push(" AND c.project_id = ").push_bind(project.to_owned());
    sql.push(" AND c.expires_at > ").push_bind(now());
    if let Some(model) = &filter.model {
        sql.push(" AND c.model = ").push_bind(text(model));
    }
    for (name, value) in &filter.metadata {
        sql.push(" AND EXISTS (SELECT 1 FROM completion_metadata AS m WHERE m.tenant = c.tenant");
        sql.push(" AND m.project_id = c.project_id AND m.completion_id = c.id AND m.name = ")
            .push_bind(text(name));
        sql.push(" AND m.value = ").push_bind(text(value)).push(")");
    }
    if let Some(after) = &query.after {
        let before_or_after = if query.descending { "<" } else { ">" };
        sql.push(" AND (c.created_at, c.position) ").push(before_or_after);
        sql.push(" (SELECT created_at, position FROM completions WHERE tenant = ");
        sql.push_bind(tenant.to_owned()).push(" AND project_id = ").push_bind(project.to_owned());
        sql.push(" AND id = ").push_bind(text(after)).push(")");
    }
    let direction = if query.descending { " DESC" } else { "" };
    sql.push(" ORDER BY c.created_at").push(direction).push(", c.position").push(direction);
    sql.push(" LIMIT ").push_bind(query.num_read());
    sql
}

async fn add_metadata(
    transaction: &mut Transaction,
    whose: &ProjectPath,
    id: &str,
    metadata: &[(String, String)],
) -> Result<(), StoreError> {
    let (tenant, project) = names(whose);
    for (name, value) in metadata {
        execute!(transaction, INSERT_METADATA, tenant, project, id, name, value)?;
    }
    Ok(())
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: WHAT, id: id.to_owned() }
}
