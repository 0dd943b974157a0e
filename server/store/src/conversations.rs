//! Conversations: made, noted on and forgotten with their items.

use sqlx::{Sqlite, Transaction};

use crate::database::now;
use crate::{Item, Store, StoreError};

const INSERT: &str = "INSERT INTO conversations
    (tenant, id, created_at, expires_at, metadata, num_items, next_position, num_bytes)
    VALUES ($1, $2, $3, $4, $5, 0, 0, $6)";
const SELECT: &str = "SELECT created_at, metadata FROM conversations
    WHERE tenant = $1 AND id = $2 AND expires_at > $3";
const UPDATE: &str = "UPDATE conversations SET metadata = $4, num_bytes = $5
    WHERE tenant = $1 AND id = $2 AND expires_at > $3 RETURNING created_at";
const SIZE: &str = "SELECT num_bytes, num_items FROM conversations WHERE tenant = $1 AND id = $2";
pub(crate) const ITEMS_SIZE: &str = "SELECT COALESCE(SUM(num_bytes), 0) FROM conversation_items
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
            let mut transaction = self.write().await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            self.charge(&mut transaction, tenant, (1, num_bytes)).await?;
            let insert = sqlx::query(INSERT).bind(tenant).bind(id).bind(created_at);
            let insert = insert.bind(self.expiry()).bind(metadata).bind(num_bytes);
            insert.execute(&mut *transaction).await?;
            if !items.is_empty() {
                self.append_to(&mut transaction, tenant, id, items).await?;
            }
            Ok(transaction.commit().await?)
        };
        self.in_time(work).await
    }

    /// A conversation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn conversation(&self, tenant: &str, id: &str) -> Result<Conversation, StoreError> {
        let select = sqlx::query_as(SELECT).bind(tenant).bind(id).bind(now());
        let row = self.in_time(async { Ok(select.fetch_optional(self.readers()).await?) }).await?;
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
            let mut transaction = self.write().await?;
            let num_bytes = self.check_size("conversation", metadata.len())?;
            let size = sqlx::query_as(SIZE).bind(tenant).bind(id);
            let size = size.fetch_optional(&mut *transaction).await?;
            let (before, _): (i64, i64) = size.ok_or_else(|| not_found(id))?;
            self.charge(&mut transaction, tenant, (0, num_bytes - before)).await?;
            let update = sqlx::query_as(UPDATE).bind(tenant).bind(id).bind(now());
            let update = update.bind(metadata).bind(num_bytes);
            let updated = update.fetch_optional(&mut *transaction).await?;
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
            let mut transaction = self.write().await?;
            self.remove_conversation(&mut transaction, tenant, id).await?;
            Ok(transaction.commit().await?)
        };
        self.in_time(work).await
    }

    pub(crate) async fn remove_conversation(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        tenant: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let size = sqlx::query_as(SIZE).bind(tenant).bind(id);
        let size = size.fetch_optional(&mut **transaction).await?;
        let (own, num_items): (i64, i64) = size.ok_or_else(|| not_found(id))?;
        let items = sqlx::query_as(ITEMS_SIZE).bind(tenant).bind(id);
        let (of_items,): (i64,) = items.fetch_one(&mut **transaction).await?;
        sqlx::query(REMOVE).bind(tenant).bind(id).execute(&mut **transaction).await?;
        self.charge(transaction, tenant, (-1 - num_items, -own - of_items)).await
    }
}

pub(crate) fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "conversation", id: id.to_owned() }
}
