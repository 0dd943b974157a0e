//! `/api/v1/organization/export`: all that is stored of the organization.
//!
//! Invariant: an export holds a connection to the database, so few run at once and none for long;
//! one that is not told to its end is cut off, which its client sees.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use server_accounts::{Allowed, may};
use server_http::ApiError;
use server_store::StoreError;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Admin;
use crate::openapi::Refusals;
use crate::who::Asker;

/// Lines that wait for a client.
const MAX_WAITING: usize = 64;
/// For all of it.
const TIME: Duration = Duration::from_secs(600);
/// Seconds until another try may find a place.
const RETRY_S: u32 = 60;

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/organization/export", get(export))
}

/// All that is stored of the organization, without secrets: a JSON object each line, with a `table`
/// and its `row`.
#[utoipa::path(get, path = "/api/v1/organization/export", tag = "Organization",
    operation_id = "export_organization",
    responses((status = 200, description = "The file", body = Object,
        content_type = "application/jsonl"), Refusals))]
pub(crate) async fn export(State(admin): State<Admin>, asker: Asker) -> Result<Response, ApiError> {
    let allowed: Allowed<may::WritePrivacy> = asker.may()?;
    let Ok(place) = Arc::clone(&admin.exports).try_acquire_owned() else {
        let message = "Other exports are running: try again in a minute.";
        return Err(ApiError::unavailable("exports_running", message, RETRY_S));
    };
    let (sender, mut lines) = mpsc::channel(MAX_WAITING);
    let store = admin.store.clone();
    let telling = tokio::spawn(async move {
        let _place = place;
        let told = timeout(TIME, store.export_organization(&allowed, sender)).await;
        told.unwrap_or(Err(StoreError::Timeout))
    });
    // What cannot be told at all is an error, and no file.
    let first = lines.recv().await;
    if first.is_none() {
        telling.await.map_err(|_| ApiError::internal())??;
        return Err(ApiError::internal());
    }
    let rest = stream::try_unfold((first, lines, telling), |(first, mut lines, telling)| async {
        let line = match first {
            Some(line) => Some(line),
            None => lines.recv().await,
        };
        let Some(line) = line else {
            return match telling.await {
                Ok(Ok(_)) => Ok(None),
                Ok(Err(error)) => {
                    tracing::error!(%error, "an export is cut off");
                    Err(std::io::Error::other(error))
                }
                Err(error) => Err(std::io::Error::other(error)),
            };
        };
        Ok(Some((line + "\n", (None, lines, telling))))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"organization.jsonl\""),
    ];
    Ok((headers, Body::from_stream(rest)).into_response())
}
