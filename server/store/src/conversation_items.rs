//! The items of conversations.
//!
//! Invariant: an item's position is never given to another, so a list that is read page by page
//! stays in order while it grows.

use sqlx::{Sqlite, Transaction};

use crate::conversations::{ITEMS_SIZE, not_found};
use crate::database::now;
use crate::page::{Page, PageQuery};
use crate::{Store, StoreError};

const GROW: &str = "UPDATE conversations SET num_items = num_items + $4,
    next_position = next_position + $4, expires_at = $5
    WHERE tenant = $1 AND id = $2 AND expires_at > $3 RETURNING next_position, num_items";
const SHRINK: &str =
    "UPDATE conversations SET num_items = num_items - 1 WHERE tenant = $1 AND id = $2";
const INSERT_ITEM: &str = "INSERT INTO conversation_items
    (tenant, conversation_id, position, id, item, num_bytes) VALUES ($1, $2, $3, $4, $5, $6)";
const REMOVE_ITEM: &str = "DELETE FROM conversation_items
    WHERE tenant = $1 AND conversation_id = $2 AND id = $3 RETURNING num_bytes";
const SELECT_ITEM: &str = "SELECT position, item FROM conversation_items
    WHERE tenant = $1 AND conversation_id = $2 AND id = $3";
const LIST_UP: &str = "SELECT id, item FROM conversation_items
    WHERE tenant = $1 AND conversation_id = $2 AND position > $3 ORDER BY position LIMIT $4";
const LIST_DOWN: &str = "SELECT id, item FROM conversation_items
    WHERE tenant = $1 AND conversation_id = $2 AND position < $3 ORDER BY position DESC LIMIT $4";

/// An item of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique in its conversation.
    pub id: String,
    /// The item, as JSON.
    pub json: String,
}

impl Store {
    /// Adds items at the end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Duplicate`], or if there is no room; then none is
    /// added.
    pub async fn add_items(
        &self,
        tenant: &str,
        conversation: &str,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write().await?;
            self.append_to(&mut transaction, tenant, conversation, items).await?;
            Ok(transaction.commit().await?)
        };
        self.in_time(work).await
    }

    pub(crate) async fn append_to(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        tenant: &str,
        conversation: &str,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let num_items = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let grow = sqlx::query_as(GROW).bind(tenant).bind(conversation).bind(now());
        let grow = grow.bind(num_items).bind(self.expiry());
        let grown = grow.fetch_optional(&mut **transaction).await?;
        let (end, total): (i64, i64) = grown.ok_or_else(|| not_found(conversation))?;
        let max = self.limits().max_conversation_items;
        if u64::try_from(total).unwrap_or(0) > max {
            return Err(StoreError::TooMany { what: "conversation's items", max });
        }
        let mut num_bytes = 0;
        for (position, item) in (end - num_items..end).zip(items) {
            let size = self.check_size("item", item.json.len())?;
            num_bytes += size;
            let insert = sqlx::query(INSERT_ITEM).bind(tenant).bind(conversation).bind(position);
            let insert = insert.bind(&item.id).bind(&item.json).bind(size);
            insert.execute(&mut **transaction).await.map_err(|error| duplicate(error, item))?;
        }
        self.charge(transaction, tenant, (num_items, num_bytes)).await
    }

    /// An item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation, or the item in it, is not there.
    pub async fn item(
        &self,
        tenant: &str,
        conversation: &str,
        id: &str,
    ) -> Result<String, StoreError> {
        Ok(self.positioned(tenant, conversation, id).await?.1)
    }

    async fn positioned(
        &self,
        tenant: &str,
        conversation: &str,
        id: &str,
    ) -> Result<(i64, String), StoreError> {
        self.conversation(tenant, conversation).await?;
        let select = sqlx::query_as(SELECT_ITEM).bind(tenant).bind(conversation).bind(id);
        let row = self.in_time(async { Ok(select.fetch_optional(self.readers()).await?) }).await?;
        row.ok_or_else(|| StoreError::NotFound { what: "item", id: id.to_owned() })
    }

    /// A page of the items.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation is not there, [`StoreError::NotListed`] if the
    /// item that the page comes after is not.
    pub async fn items(
        &self,
        tenant: &str,
        conversation: &str,
        query: &PageQuery,
    ) -> Result<Page<Item>, StoreError> {
        let after = match &query.after {
            Some(id) => {
                let found = self.positioned(tenant, conversation, id).await;
                Some(found.map_err(|error| error.of_cursor("item"))?.0)
            }
            None => self.conversation(tenant, conversation).await.map(|_| None)?,
        };
        let (sql, start) =
            if query.descending { (LIST_DOWN, i64::MAX) } else { (LIST_UP, i64::MIN) };
        let list = sqlx::query_as(sql).bind(tenant).bind(conversation);
        let list = list.bind(after.unwrap_or(start)).bind(query.num_read());
        let size = |(id, json): &(String, String)| id.len() + json.len();
        let page = self.in_time(Page::read(list.fetch(self.readers()), query, size)).await?;
        Ok(page.map(|(id, json)| Item { id, json }))
    }

    /// All items, the first first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such conversation, [`StoreError::TooLarge`] if they
    /// are too much for one context.
    pub async fn all_items(
        &self,
        tenant: &str,
        conversation: &str,
    ) -> Result<Vec<Item>, StoreError> {
        self.conversation(tenant, conversation).await?;
        let max = self.limits().max_context_bytes;
        let size = sqlx::query_as(ITEMS_SIZE).bind(tenant).bind(conversation);
        let size = self.in_time(async { Ok(size.fetch_one(self.readers()).await?) }).await?;
        let (num_bytes,): (i64,) = size;
        let num_bytes = u64::try_from(num_bytes).unwrap_or(0);
        if num_bytes > max {
            return Err(StoreError::TooLarge { what: "conversation", num_bytes, max });
        }
        let list = sqlx::query_as(LIST_UP).bind(tenant).bind(conversation);
        let list = list.bind(i64::MIN).bind(i64::MAX).fetch_all(self.readers());
        let rows = self.in_time(async { Ok(list.await?) }).await?;
        Ok(rows.into_iter().map(|(id, json)| Item { id, json }).collect())
    }

    /// Forgets an item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation, or the item in it, is not there.
    pub async fn delete_item(
        &self,
        tenant: &str,
        conversation: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        self.positioned(tenant, conversation, id).await?;
        let work = async {
            let mut transaction = self.write().await?;
            let removed = sqlx::query_as(REMOVE_ITEM).bind(tenant).bind(conversation).bind(id);
            let removed = removed.fetch_optional(&mut *transaction).await?;
            let (num_bytes,): (i64,) =
                removed.ok_or_else(|| StoreError::NotFound { what: "item", id: id.to_owned() })?;
            let shrink = sqlx::query(SHRINK).bind(tenant).bind(conversation);
            shrink.execute(&mut *transaction).await?;
            self.charge(&mut transaction, tenant, (-1, -num_bytes)).await?;
            Ok(transaction.commit().await?)
        };
        self.in_time(work).await
    }
}

fn duplicate(error: sqlx::Error, item: &Item) -> StoreError {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => StoreError::Duplicate { id: item.id.clone() },
        _ => error.into(),
    }
}
