//! What comes before an input: a response and all that it follows, or a conversation.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::Value;
use server_api::{ResponsesInput, ResponsesRequest};
use server_store::{Kept, Store, StoreError, UNFINISHED};

use super::items;
use crate::blocking::run_sized;
use crate::caller::NOTHING_STORED;
use crate::storage::read;
use crate::{ApiError, AppState, Caller};

/// References to items in one input.
const MAX_REFERENCES: usize = 1024;
const NO_PREVIOUS: &str = "previous_response_not_found";

/// All items that a response answers, and how many of them, at the end, are its own.
pub(super) struct Context {
    pub(super) items: Vec<Value>,
    pub(super) num_new: usize,
    /// Of the request and what was read for it: a measure of the work on them.
    pub(super) num_bytes: usize,
}

impl Context {
    /// The request's own items.
    pub(super) fn input(&self) -> Vec<Value> {
        self.items[self.items.len() - self.num_new..].to_vec()
    }

    /// The items with what references stand for in place of them.
    pub(super) async fn resolved(
        &self,
        state: &AppState,
        caller: &Caller,
    ) -> Result<Vec<Value>, ApiError> {
        let is_reference = |item: &&Value| item["type"] == "item_reference";
        let num_references = self.items.iter().filter(is_reference).count();
        if num_references == 0 {
            return Ok(self.items.clone());
        }
        if num_references > MAX_REFERENCES {
            let message = format!("'input' has more than {MAX_REFERENCES} references.");
            return Err(ApiError::invalid(Some("input"), message));
        }
        let known = self.items.iter().filter(|item| !is_reference(item));
        let known = known.filter_map(|item| Some((item["id"].as_str()?.to_owned(), item.clone())));
        let mut found: HashMap<String, Value> = known.collect();
        let mut resolved = Vec::new();
        for item in &self.items {
            let id = item["id"].as_str().unwrap_or_default();
            if !is_reference(&item) {
                resolved.push(item.clone());
            } else if let Some(item) = found.get(id) {
                resolved.push(item.clone());
            } else {
                let made = output(&made_by(state.kept()?, caller, id).await?)?;
                let made = made.into_iter();
                found.extend(made.filter_map(|item| Some((item["id"].as_str()?.to_owned(), item))));
                resolved.extend(found.get(id).cloned());
            }
        }
        Ok(resolved)
    }
}

async fn made_by(store: &Store, caller: &Caller, id: &str) -> Result<Kept, ApiError> {
    store.maker(&caller.whose(), id).await.map_err(|error| missing(error.into(), caller, "input"))
}

/// Reads what comes before a request's input.
pub(super) async fn read_context(
    state: &AppState,
    caller: &Caller,
    request: &ResponsesRequest,
    num_bytes: usize,
) -> Result<Context, ApiError> {
    let whose = &caller.whose();
    let chain = match &request.previous_response_id {
        Some(id) => {
            let chain = state.kept()?.chain(whose, id).await;
            chain.map_err(|error| match error {
                // Of those before it the client may know nothing.
                StoreError::NotFound { id: gone, .. } if gone != *id => {
                    let message = format!(
                        "The response '{id}' cannot be followed: one that comes before it, \
                         '{gone}', is not kept any more."
                    );
                    ApiError::invalid(Some("previous_response_id"), message).code(NO_PREVIOUS)
                }
                error => missing(error.into(), caller, "previous_response_id"),
            })?
        }
        None => Vec::new(),
    };
    let own = match &request.conversation {
        Some(conversation) => state.kept()?.all_items(whose, &conversation.id).await?,
        None => Vec::new(),
    };
    let in_chain = chain.iter().map(|kept| kept.input.len() + kept.body.len());
    let num_read = in_chain.chain(own.iter().map(|item| item.json.len())).sum::<usize>();
    let input = request.input.clone();
    let assemble = move || {
        let mut items = Vec::new();
        for kept in &chain {
            check_followed(kept)?;
            items.extend(read::<Vec<Value>>(&kept.input)?);
            items.extend(output(kept)?);
        }
        for item in &own {
            items.push(read(&item.json)?);
        }
        let new = match input {
            Some(ResponsesInput::Text(text)) => vec![items::said(text)],
            Some(ResponsesInput::Items(items)) => items::checked(items, "input")?,
            None => Vec::new(),
        };
        let num_new = new.len();
        items.extend(new);
        Ok(Context { items, num_new, num_bytes: num_bytes + num_read })
    };
    run_sized(state, num_bytes + num_read, assemble).await?
}

/// What is not finished, or has more before it than its own items, cannot be followed.
fn check_followed(kept: &Kept) -> Result<(), ApiError> {
    let invalid = |message| Err(ApiError::invalid(Some("previous_response_id"), message));
    if UNFINISHED.contains(&kept.status.as_str()) {
        return invalid(format!("A response that is {} cannot be followed.", kept.status));
    }
    if kept.conversation_id.is_some() {
        let message = "A response that is part of a conversation is followed by naming the \
                       conversation.";
        return invalid(message.to_owned());
    }
    Ok(())
}

/// The items that a response made.
pub(super) fn output(kept: &Kept) -> Result<Vec<Value>, ApiError> {
    match read::<Value>(&kept.body)?["output"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// Something that a field names is not there: the request is at fault, not its address.
fn missing(error: ApiError, caller: &Caller, param: &str) -> ApiError {
    if error.status() != StatusCode::NOT_FOUND {
        return error;
    }
    let code = if param == "input" { "item_not_found" } else { NO_PREVIOUS };
    let mut message = error.body().error.message;
    if !caller.stores() {
        message = format!("{message} {NOTHING_STORED} Send what was said before in 'input'.");
    }
    ApiError::invalid(Some(param), message).code(code)
}
