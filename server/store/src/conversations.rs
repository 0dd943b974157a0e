//! Conversations: made, noted on and forgotten with their items.

use server_metering::ProjectPath;

use crate::database::{names, now};
use crate::sql::{Transaction, execute, query};
use crate::{Item, Store, StoreError};

const INSERT: &str = "INSERT INTO conversations
    (tenant, project_id, id, created_at, expires_at, metadata, num_items, next_position, num_bytes)
    VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7)";
const SELECT: &str = "SELECT created_at, metadata FROM conversations
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4";
const UPDATE: &str = "UPDATE conversations SET metadata = $5, num_bytes = $6
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4 RETURNING created_at";
const SIZE: &str = "SELECT num_bytes, num_items FROM conversations
    WHERE tenant = $1 AND project_id = $2 AND id = $3";
pub(crate) const ITEMS_SIZE: &str = "SELECT CAST(COALESCE(SUM(num_bytes), 0) AS BIGINT)
    FROM conversation_items
    WHERE tenant = $1 AND project_id = $2 AND conversation_id = $3";
const REMOVE: &str = "DELETE FROM conversations WHERE tenant = $1 AND project_id = $2 AND id = $3";

/// A conversation, without its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Unix time in seconds.
    pub created_at: i64,
    /// A JSON object.
    pub metadata: String,
}

impl Store {
    /// Keeps a new conversation with its first items.
    ///
    /// # Errors
    /// If there is no room or the database fails.
    pub async fn add_conversation(
        &self,
        whose: &ProjectPath,
        conversation: &Conversation,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let Conversation { id, created_at, metadata } = conversation;
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            self.charge(&mut transaction, tenant, (1, num_bytes)).await?;
            let (row, expires_at) = (&mut transaction, self.expiry());
            execute!(
                row, INSERT, tenant, project, id, created_at, expires_at, metadata, num_bytes
            )?;
            if !items.is_empty() {
                self.append_to(&mut transaction, whose, id, items).await?;
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// A conversation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn conversation(
        &self,
        whose: &ProjectPath,
        id: &str,
    ) -> Result<Conversation, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            Ok(query!(&mut transaction, fetch_optional, SELECT, tenant, project, id, now())?)
        };
        let row = self.in_time(work).await?;
        let (created_at, metadata) = row.ok_or_else(|| not_found(id))?;
        Ok(Conversation { id: id.to_owned(), created_at, metadata })
    }

    /// Replaces the metadata.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such conversation.
    pub async fn update_conversation(
        &self,
        whose: &ProjectPath,
        id: &str,
        metadata: &str,
    ) -> Result<Conversation, StoreError> {
        let (tenant, project) = names(whose);
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            let size = query!(&mut transaction, fetch_optional, SIZE, tenant, project, id)?;
            let (before, _): (i64, i64) = size.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (0, num_bytes - before)).await?;
            let row = &mut transaction;
            let updated = query!(
                row,
                fetch_optional,
                UPDATE,
                tenant,
                project,
                id,
                now(),
                metadata,
                num_bytes
            )?;
            let (created_at,) = updated.ok_or_else(|| not_found(id))?;
            transaction.commit().await?;
            Ok(Conversation { id: id.to_owned(), created_at, metadata: metadata.to_owned() })
        };
        self.in_time(work).await
    }

    /// Forgets a conversation and its items.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_conversation(
        &self,
        whose: &ProjectPath,
        id: &str,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            self.remove_conversation(&mut transaction, names(whose), id).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    pub(crate) async fn remove_conversation(
        &self,
        transaction: &mut Transaction,
        (tenant, project): (&str, &str),
        id: &str,
    ) -> Result<(), StoreError> {
        let size = query!(transaction, fetch_optional, SIZE, tenant, project, id)?;
        let (own, num_items): (i64, i64) = size.ok_or_else(|| not_found(id))?;
        let (of_items,): (i64,) = query!(transaction, fetch_one, ITEMS_SIZE, tenant, project, id)?;
        execute!(transaction, REMOVE, tenant, project, id)?;
        self.charge(transaction, tenant, (-1 - num_items, -own - of_items)).await
    }
}

pub(crate) fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "conversation", id: id.to_owned() }
}
