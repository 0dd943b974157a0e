//! The items of conversations.
//!
//! Invariant: an item's position is never given to another, so a list that is read page by page
//! stays in order while it grows.

use server_metering::ProjectPath;

use crate::conversations::{ITEMS_SIZE, not_found};
use crate::database::{names, now};
use crate::page::{Page, PageQuery};
use crate::sql::{Bound, Transaction, execute, on, query};
use crate::{Store, StoreError};

const GROW: &str = "UPDATE conversations SET num_items = num_items + $5,
    next_position = next_position + $5, expires_at = $6
    WHERE tenant = $1 AND project_id = $2 AND id = $3 AND expires_at > $4
    RETURNING next_position, num_items";
const SHRINK: &str = "UPDATE conversations SET num_items = num_items - 1
    WHERE tenant = $1 AND project_id = $2 AND id = $3";
const INSERT_ITEM: &str = "INSERT INTO conversation_items
    (tenant, project_id, conversation_id, position, id, item, num_bytes)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REMOVE_ITEM: &str = "DELETE FROM conversation_items
    WHERE tenant = $1 AND project_id = $2 AND conversation_id = $3 AND id = $4
    RETURNING num_bytes";
const SELECT_ITEM: &str = "SELECT position, item FROM conversation_items
    WHERE tenant = $1 AND project_id = $2 AND conversation_id = $3 AND id = $4";
const LIST_UP: &str = "SELECT id, item FROM conversation_items
    WHERE tenant = $1 AND project_id = $2 AND conversation_id = $3 AND position > $4
    ORDER BY position LIMIT $5";
const LIST_DOWN: &str = "SELECT id, item FROM conversation_items
    WHERE tenant = $1 AND project_id = $2 AND conversation_id = $3 AND position < $4
    ORDER BY position DESC LIMIT $5";

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
        whose: &ProjectPath,
        conversation: &str,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            self.append_to(&mut transaction, whose, conversation, items).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }

    pub(crate) async fn append_to(
        &self,
        transaction: &mut Transaction,
        whose: &ProjectPath,
        conversation: &str,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        let num_items = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let (fresh, expires_at) = (now(), self.expiry());
        let grown = query!(
            transaction,
            fetch_optional,
            GROW,
            tenant,
            project,
            conversation,
            fresh,
            num_items,
            expires_at
        )?;
        let (end, total): (i64, i64) = grown.ok_or_else(|| not_found(conversation))?;
        let max = self.limits().max_conversation_items;
        if u64::try_from(total).unwrap_or(0) > max {
            return Err(StoreError::TooMany { what: "conversation's items", max });
        }
        let mut num_bytes = 0;
        for (position, item) in (end - num_items..end).zip(items) {
            let size = self.check_size("item", item.json.len())?;
            num_bytes += size;
            let Item { id, json } = item;
            execute!(
                transaction,
                INSERT_ITEM,
                tenant,
                project,
                conversation,
                position,
                id,
                json,
                size
            )
            .map_err(|error| duplicate(error, item))?;
        }
        self.charge(transaction, tenant, (num_items, num_bytes)).await
    }

    /// An item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation, or the item in it, is not there.
    pub async fn item(
        &self,
        whose: &ProjectPath,
        conversation: &str,
        id: &str,
    ) -> Result<String, StoreError> {
        Ok(self.positioned(whose, conversation, id).await?.1)
    }

    async fn positioned(
        &self,
        whose: &ProjectPath,
        conversation: &str,
        id: &str,
    ) -> Result<(i64, String), StoreError> {
        let (tenant, project) = names(whose);
        self.conversation(whose, conversation).await?;
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            Ok(query!(
                &mut transaction,
                fetch_optional,
                SELECT_ITEM,
                tenant,
                project,
                conversation,
                id
            )?)
        };
        let row = self.in_time(work).await?;
        row.ok_or_else(|| StoreError::NotFound { what: "item", id: id.to_owned() })
    }

    /// A page of the items.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation is not there, [`StoreError::NotListed`] if the
    /// item that the page comes after is not.
    pub async fn items(
        &self,
        whose: &ProjectPath,
        conversation: &str,
        query: &PageQuery,
    ) -> Result<Page<Item>, StoreError> {
        let (tenant, project) = names(whose);
        let after = match &query.after {
            Some(id) => {
                let found = self.positioned(whose, conversation, id).await;
                Some(found.map_err(|error| error.of_cursor("item"))?.0)
            }
            None => self.conversation(whose, conversation).await.map(|_| None)?,
        };
        let (sql, start) =
            if query.descending { (LIST_DOWN, i64::MAX) } else { (LIST_UP, i64::MIN) };
        let (start, num_read) = (after.unwrap_or(start), query.num_read());
        let size = |(id, json): &(String, String)| id.len() + json.len();
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            on!(&mut transaction, |connection| {
                let list = sqlx::query_as(sql).bind(tenant).bind(project);
                let list =
                    list.bind(conversation.bound()).bind(start).bind(num_read).fetch(connection);
                Page::read(list, query, size).await
            })
        };
        let page = self.in_time(work).await?;
        Ok(page.map(|(id, json)| Item { id, json }))
    }

    /// All items, the first first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such conversation, [`StoreError::TooLarge`] if they
    /// are too much for one context.
    pub async fn all_items(
        &self,
        whose: &ProjectPath,
        conversation: &str,
    ) -> Result<Vec<Item>, StoreError> {
        let (tenant, project) = names(whose);
        self.conversation(whose, conversation).await?;
        let max = self.limits().max_context_bytes;
        let work = async {
            let mut transaction = self.read_project(whose).await?;
            let size =
                query!(&mut transaction, fetch_one, ITEMS_SIZE, tenant, project, conversation)?;
            let (num_bytes,): (i64,) = size;
            let num_bytes = u64::try_from(num_bytes).unwrap_or(0);
            if num_bytes > max {
                return Err(StoreError::TooLarge { what: "conversation", num_bytes, max });
            }
            let (from, all, rows) = (i64::MIN, i64::MAX, &mut transaction);
            Ok(query!(rows, fetch_all, LIST_UP, tenant, project, conversation, from, all)?)
        };
        let rows = self.in_time(work).await?;
        Ok(rows.into_iter().map(|(id, json)| Item { id, json }).collect())
    }

    /// Forgets an item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the conversation, or the item in it, is not there.
    pub async fn delete_item(
        &self,
        whose: &ProjectPath,
        conversation: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let (tenant, project) = names(whose);
        self.positioned(whose, conversation, id).await?;
        let work = async {
            let mut transaction = self.write_project(whose).await?;
            let row = &mut transaction;
            let removed =
                query!(row, fetch_optional, REMOVE_ITEM, tenant, project, conversation, id)?;
            let (num_bytes,): (i64,) =
                removed.ok_or_else(|| StoreError::NotFound { what: "item", id: id.to_owned() })?;
            execute!(&mut transaction, SHRINK, tenant, project, conversation)?;
            self.charge(&mut transaction, tenant, (-1, -num_bytes)).await?;
            transaction.commit().await
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
