//! Keeping a response, and its items in a conversation.

use serde_json::Value;
use server_api::{OutputItem, Response};
use server_metering::ProjectPath;
use server_store::{Item, Store};

use super::output::id;
use crate::ApiError;
use crate::storage::to_json;

/// Where a response is kept when it is complete, and with what.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) whose: ProjectPath,
    /// The input, in the form it is kept in.
    pub(super) input: Vec<Value>,
    /// Whether the response was kept before it was worked on.
    pub(super) is_queued: bool,
}

impl Keeper {
    /// Keeps a response; `false` if it was cancelled or deleted meanwhile.
    pub(super) async fn keep(&self, response: &Response) -> Result<bool, ApiError> {
        let whose = &self.whose;
        let row = self.row(response)?;
        let has_failed = response.status == "failed";
        let items = match &response.conversation {
            Some(_) if !has_failed => self.items(&response.output)?,
            _ => Vec::new(),
        };
        if self.is_queued {
            return Ok(self.store.finish_response(whose, &row, &items).await?);
        }
        self.store.add_response(whose, &row, &items).await?;
        Ok(true)
    }

    /// Keeps a response that is yet to be worked on.
    pub(super) async fn queue(&self, response: &Response) -> Result<(), ApiError> {
        let row = self.row(response)?;
        Ok(self.store.add_response(&self.whose, &row, &[]).await?)
    }

    fn row(&self, response: &Response) -> Result<server_store::Response, ApiError> {
        Ok(server_store::Response {
            id: response.id.clone(),
            created_at: i64::try_from(response.created_at).unwrap_or(i64::MAX),
            status: response.status.clone(),
            previous_id: response.previous_response_id.clone(),
            conversation_id: response.conversation.as_ref().map(|own| own.id.clone()),
            body: to_json(response)?,
            input: to_json(&self.input)?,
            output_ids: response.output.iter().map(|item| id(item).to_owned()).collect(),
        })
    }

    /// What the conversation gains. References to what it has already add nothing.
    fn items(&self, output: &[OutputItem]) -> Result<Vec<Item>, ApiError> {
        let input = self.input.iter().filter(|item| item["type"] != "item_reference");
        let input = input.map(item);
        let output =
            output.iter().map(|made| Ok(Item { id: id(made).to_owned(), json: to_json(made)? }));
        input.chain(output).collect()
    }
}

/// An item with its id.
pub(crate) fn item(item: &Value) -> Result<Item, ApiError> {
    Ok(Item { id: item["id"].as_str().unwrap_or_default().to_owned(), json: to_json(item)? })
}
