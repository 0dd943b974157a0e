//! Conversations: made, noted on and forgotten with their items.

use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Item, Store, StoreError};

const INSERT: &str = "INSERT INTO conversations
    (tenant, id, created_at, expires_at, metadata, num_items, next_position, num_bytes)
    VALUES ($1, $2, $3, $4, $5, 0, 0, $6)";
const SELECT: &str = "SELECT created_at, metadata FROM conversations
    WHERE tenant = $1 AND id = $2 AND expires_at > $3";
const UPDATE: &str = "UPDATE conversations SET metadata = $4, num_bytes = $5
    WHERE tenant = $1 AND id = $2 AND expires_at > $3 RETURNING created_at";
const SIZE: &str = "SELECT num_bytes, num_items FROM conversations WHERE tenant = $1 AND id = $2";
pub(crate) const ITEMS_SIZE: &str = "SELECT CAST(COALESCE(SUM(num_bytes), 0) AS BIGINT)
    FROM conversation_items
    WHERE tenant = $1 AND conversation_id = $2";
const REMOVE: &str = "DELETE FROM conversations WHERE tenant = $1 AND id = $2";

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
        tenant: &str,
        conversation: &Conversation,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let Conversation { id, created_at, metadata } = conversation;
        let work = async {
            let mut transaction = self.write(tenant).await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            self.charge(&mut transaction, tenant, (1, num_bytes)).await?;
            let (row, expires_at) = (&mut transaction, self.expiry());
            execute!(row, INSERT, tenant, id, created_at, expires_at, metadata, num_bytes)?;
            if !items.is_empty() {
                self.append_to(&mut transaction, tenant, id, items).await?;
            }
            transaction.commit().await
        };
        self.in_time(work).await
    }

    /// A conversation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn conversation(&self, tenant: &str, id: &str) -> Result<Conversation, StoreError> {
        let work = async {
            let mut transaction = self.read(tenant).await?;
            Ok(query!(&mut transaction, fetch_optional, SELECT, tenant, id, now())?)
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
        tenant: &str,
        id: &str,
        metadata: &str,
    ) -> Result<Conversation, StoreError> {
        let work = async {
            let mut transaction = self.write(tenant).await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            let size = query!(&mut transaction, fetch_optional, SIZE, tenant, id)?;
            let (before, _): (i64, i64) = size.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (0, num_bytes - before)).await?;
            let row = &mut transaction;
            let updated =
                query!(row, fetch_optional, UPDATE, tenant, id, now(), metadata, num_bytes)?;
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
    pub async fn delete_conversation(&self, tenant: &str, id: &str) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write(tenant).await?;
            self.remove_conversation(&mut transaction, tenant, id).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    pub(crate) async fn remove_conversation(
        &self,
        transaction: &mut Transaction,
        tenant: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let size = query!(transaction, fetch_optional, SIZE, tenant, id)?;
        let (own, num_items): (i64, i64) = size.ok_or_else(|| not_found(id))?;
        let (of_items,): (i64,) = query!(transaction, fetch_one, ITEMS_SIZE, tenant, id)?;
        execute!(transaction, REMOVE, tenant, id)?;
        self.charge(transaction, tenant, (-1 - num_items, -own - of_items)).await
    }
}

pub(crate) fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "conversation", id: id.to_owned() }
}
