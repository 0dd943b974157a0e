//! `/api/v1/organization/audit`: the log verified, and all of it.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_accounts::{Allowed, may};
use server_http::ApiError;
use server_store::AuditError;

use super::audit_logs::filter;
use crate::Admin;
use crate::export::{Format, file};
use crate::openapi::Refusals;
use crate::query::Query;
use crate::who::Asker;
use crate::wire::audit::AuditVerification;
use crate::wire::line::AuditRow;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/audit/verify", post(verify))
        .route("/api/v1/organization/audit/export", get(export))
}

/// Verifies the chain of hashes of the whole log.
#[utoipa::path(post, path = "/api/v1/organization/audit/verify", tag = "Audit",
    operation_id = "verify_audit_log",
    responses((status = 200, description = "Whether it holds", body = AuditVerification),
        Refusals))]
pub(crate) async fn verify(
    State(admin): State<Admin>,
    asker: Asker,
) -> Result<Json<AuditVerification>, ApiError> {
    let (num_records, error) = match admin.store.verify_audit(&asker.may()?).await {
        Ok(num) => (Some(num), None),
        Err(AuditError::Broken(broken)) => (None, Some(broken.to_string())),
        Err(AuditError::Store(error)) => return Err(error.into()),
    };
    let object = "organization.audit_verification";
    Ok(Json(AuditVerification { object, valid: error.is_none(), num_records, error }))
}

/// The log as a file, the oldest first, with the hashes that it is verified by.
#[utoipa::path(get, path = "/api/v1/organization/audit/export", tag = "Audit",
    operation_id = "export_audit_log",
    params(("format" = Option<String>, Query, description = "`csv` or `jsonl` (the default)"),
        ("effective_at" = Option<Object>, Query, style = DeepObject, explode,
            description = "`effective_at[gt]`, `[gte]`, `[lt]`, `[lte]`: Unix seconds"),
        ("event_types[]" = Option<Vec<String>>, Query),
        ("actor_ids[]" = Option<Vec<String>>, Query),
        ("resource_ids[]" = Option<Vec<String>>, Query),
        ("project_ids[]" = Option<Vec<String>>, Query)),
    responses((status = 200, description = "The file", body = AuditRow,
        content_type = "application/jsonl"), Refusals))]
pub(crate) async fn export(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Response, ApiError> {
    let (format, filter) = (Format::asked(&query)?, filter(&query)?);
    let allowed: Allowed<may::ReadAudit> = asker.may()?;
    file(format, move |page| {
        let (store, allowed, filter) = (admin.store.clone(), allowed.clone(), filter.clone());
        async move { Ok(AuditRow::page(store.audit_log(&allowed, &filter, &page).await?)) }
    })
    .await
}
