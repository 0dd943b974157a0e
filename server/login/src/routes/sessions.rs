//! `/api/v1/me/sessions`

use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Json, Router};
use server_http::ApiError;

use crate::Login;
use crate::body::In;
use crate::openapi::Refusals;
use crate::who::{Anyone, Asker};
use crate::wire::session::{SessionObject, SessionObjects};
use crate::wire::{All, AuthStatus};

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/me/sessions", get(list).delete(end_others))
        .route("/api/v1/me/sessions/{session_id}", delete(end))
}

/// The sessions that are on.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "Me", operation_id = "list_sessions",
    responses((status = 200, description = "Them", body = SessionObjects), Refusals))]
pub(crate) async fn list(
    State(login): State<Login>,
    Asker(Anyone { user, session, .. }, _): Asker,
) -> Result<Json<All<SessionObject>>, ApiError> {
    let sessions = login.0.store.sessions(&user.id).await?;
    let told = sessions.into_iter().map(|it| SessionObject::new(it, &session.id));
    Ok(All::new(told.collect()))
}

/// Ends all sessions but the one that asks.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "Me",
    operation_id = "end_other_sessions",
    responses((status = 200, description = "They have ended", body = AuthStatus), Refusals))]
pub(crate) async fn end_others(
    State(login): State<Login>,
    Asker(Anyone { user, session, .. }, _): Asker,
) -> Result<Json<AuthStatus>, ApiError> {
    login.0.store.end_sessions(&user.id, Some(&session.id)).await?;
    Ok(AuthStatus::new("ended"))
}

/// Ends a session.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{session_id}", tag = "Me",
    operation_id = "end_session", params(("session_id" = String, Path)),
    responses((status = 200, description = "It has ended", body = AuthStatus), Refusals))]
pub(crate) async fn end(
    State(login): State<Login>,
    Asker(Anyone { user, .. }, _): Asker,
    In(id): In<String>,
) -> Result<Json<AuthStatus>, ApiError> {
    login.0.store.end_session(&user.id, &id).await?;
    Ok(AuthStatus::new("ended"))
}
