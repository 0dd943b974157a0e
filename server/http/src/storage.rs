//! Things that are kept, as all routes for them see them: whether there is a store, what its
//! errors mean to a client, pages of lists, and metadata.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::Value;
use server_api::{List, Metadata};
use server_store::{Page, PageQuery, Store, StoreError};

use crate::{ApiError, AppState};

/// OpenAI's limits.
const MAX_PAIRS: usize = 16;
const MAX_NAME_CHARS: usize = 64;
const MAX_VALUE_CHARS: usize = 512;
const MAX_PAGE: u32 = 100;
const DEFAULT_PAGE: u32 = 20;

impl AppState {
    /// Where things are kept.
    pub(crate) fn kept(&self) -> Result<&Store, ApiError> {
        self.store().ok_or_else(|| {
            let message = "This server keeps nothing: it has no store.";
            ApiError::invalid(None, message).code("no_store")
        })
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = format!("{error}.");
        match error {
            StoreError::NotFound { what, id } => {
                let id: String = id.chars().take(MAX_NAME_CHARS).collect();
                let mut what = what.to_owned();
                what[..1].make_ascii_uppercase();
                let message = format!("{what} with id '{id}' not found.");
                Self::refused(StatusCode::NOT_FOUND, "not_found", message)
            }
            StoreError::NotListed => not_listed(),
            StoreError::TooLarge { .. } => Self::invalid(None, message).code("too_large_to_keep"),
            StoreError::Billing(_) => Self::invalid(None, message),
            StoreError::TooMany { .. } => Self::invalid(None, message).code("too_many"),
            StoreError::Duplicate { .. } => {
                Self::invalid(Some("items"), message).code("duplicate_item")
            }
            StoreError::Full { .. } => {
                Self::refused(StatusCode::FORBIDDEN, "storage_limit_exceeded", message)
            }
            StoreError::Exists { .. } => Self::invalid(None, message).code("already_exists"),
            StoreError::Invalid { .. } => Self::invalid(None, message),
            StoreError::InUse { .. } => Self::invalid(None, message).code("in_use"),
            StoreError::Stays { .. } => Self::invalid(None, message).code("cannot_be_archived"),
            StoreError::LastOwner(_) => Self::invalid(None, message).code("last_owner"),
            StoreError::Denied(_) => {
                Self::refused(StatusCode::FORBIDDEN, "insufficient_permissions", message)
            }
            StoreError::Timeout
            | StoreError::Database(_)
            | StoreError::Migration(_)
            | StoreError::Create(_)
            | StoreError::Restoring
            | StoreError::Unreadable { .. }
            | StoreError::Url(_) => {
                // What is bound to a statement is no part of its error.
                tracing::error!(%error, "the store failed");
                let message = "What is kept cannot be reached now.";
                Self::unavailable("storage_unavailable", message, 5)
            }
        }
    }
}

/// Checks what a client notes on something.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::invalid(Some("metadata"), message));
    if metadata.len() > MAX_PAIRS {
        return invalid(format!(
            "'metadata' has {} pairs, the limit is {MAX_PAIRS}.",
            metadata.len()
        ));
    }
    for (name, value) in metadata {
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
            return invalid(format!("A key in 'metadata' has 1 to {MAX_NAME_CHARS} characters."));
        }
        if value.chars().count() > MAX_VALUE_CHARS {
            return invalid(format!(
                "'metadata.{name}' is longer than {MAX_VALUE_CHARS} characters."
            ));
        }
    }
    Ok(())
}

/// What follows a path after its `?`.
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequestParts<AppState> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Query {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(other, value)| other == name && !value.is_empty());
        pair.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "True" | "1"))
    }

    /// Which page is asked for.
    pub(crate) fn page(&self, is_descending: bool) -> Result<PageQuery, ApiError> {
        let limit = match self.get("limit").map(str::parse) {
            None => DEFAULT_PAGE,
            Some(Ok(limit @ 1..=MAX_PAGE)) => limit,
            Some(_) => {
                let message = format!("Invalid value for 'limit': it is 1 to {MAX_PAGE}.");
                return Err(ApiError::invalid(Some("limit"), message));
            }
        };
        let descending = match self.get("order") {
            None => is_descending,
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => {
                let message = "Invalid value for 'order': it is 'asc' or 'desc'.";
                return Err(ApiError::invalid(Some("order"), message));
            }
        };
        Ok(PageQuery { after: self.get("after").map(str::to_owned), limit, descending })
    }

    /// The `metadata[NAME]=VALUE` that things are looked for by.
    pub(crate) fn metadata(&self) -> Result<Vec<(String, String)>, ApiError> {
        let pairs = self.0.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        });
        let pairs: Vec<_> = pairs.collect();
        check_metadata(&pairs.iter().cloned().collect())?;
        Ok(pairs)
    }
}

/// A page of things that have an `id`.
pub(crate) fn list(page: Page<Value>) -> List {
    let id = |thing: Option<&Value>| thing.and_then(|thing| Some(thing["id"].as_str()?.to_owned()));
    List {
        object: "list".to_owned(),
        first_id: id(page.rows.first()),
        last_id: id(page.rows.last()),
        data: page.rows,
        has_more: page.has_more,
    }
}

/// A page of a list that is in memory, the first first.
pub(crate) fn page_of(mut all: Vec<Value>, query: &PageQuery) -> Result<Page<Value>, ApiError> {
    if query.descending {
        all.reverse();
    }
    let start = match &query.after {
        None => 0,
        Some(after) => match all.iter().position(|thing| thing["id"] == **after) {
            Some(position) => position + 1,
            None => return Err(not_listed()),
        },
    };
    let limit = query.limit as usize;
    let has_more = all.len() - start > limit;
    Ok(Page { rows: all.into_iter().skip(start).take(limit).collect(), has_more })
}

/// A page was to come after what the list does not have.
fn not_listed() -> ApiError {
    let message = "Invalid value for 'after': nothing on the list has this id.";
    ApiError::invalid(Some("after"), message)
}

/// What was kept as JSON.
pub(crate) fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, ApiError> {
    serde_json::from_str(json).map_err(|error| {
        // Not what it is: it holds what was said.
        tracing::error!(line = error.line(), column = error.column(), "kept JSON does not parse");
        ApiError::internal()
    })
}

/// What is to be kept, as JSON.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|_| ApiError::internal())
}

/// Unix time in seconds.
#[must_use]
pub fn unix_time() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
