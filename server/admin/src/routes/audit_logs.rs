//! `/v1/organization/audit_logs`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;
use server_store::AuditFilter;

use crate::Admin;
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::audit::AuditLog;

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/organization/audit_logs", get(list))
}

/// What was done in the organization, the newest first.
#[utoipa::path(get, path = "/v1/organization/audit_logs", tag = "Audit",
    operation_id = "list_audit_logs",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query), ("before" = Option<String>, Query),
        ("effective_at" = Option<Object>, Query, style = DeepObject, explode,
            description = "`effective_at[gt]`, `[gte]`, `[lt]`, `[lte]`: Unix seconds"),
        ("event_types[]" = Option<Vec<String>>, Query),
        ("actor_ids[]" = Option<Vec<String>>, Query),
        ("resource_ids[]" = Option<Vec<String>>, Query),
        ("project_ids[]" = Option<Vec<String>>, Query)),
    responses((status = 200, description = "A page of it", body = ListOf<AuditLog>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<AuditLog>>, ApiError> {
    let (paging, filter) = (query.paging(true)?, filter(&query)?);
    let page = admin.store.audit_log(&asker.may()?, &filter, &paging.page).await?;
    Ok(ListOf::page(page, &paging, AuditLog::from))
}

/// Which records are asked for.
pub(super) fn filter(query: &Query) -> Result<AuditFilter, ApiError> {
    let second = |name: &str, later: i64| -> Result<Option<i64>, ApiError> {
        Ok(query.time(&format!("effective_at[{name}]"))?.map(|second| (second + later) * 1000))
    };
    let (since, until) =
        (second("gte", 0)?.max(second("gt", 1)?), [second("lt", 0)?, second("lte", 1)?]);
    Ok(AuditFilter {
        actions: query.texts("event_types")?,
        actors: query.texts("actor_ids")?.into_iter().map(actor).collect(),
        targets: query.texts("resource_ids")?,
        projects: query.texts("project_ids")?,
        since_ms: since,
        until_ms: until.into_iter().flatten().min(),
    })
}

/// Whom an id is of, as the log names them.
fn actor(id: String) -> String {
    match &id {
        id if id.starts_with("user-") => format!("user:{id}"),
        id if id.starts_with("key_") => format!("key:{id}"),
        _ => id,
    }
}
