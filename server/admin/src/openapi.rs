//! The description of the admin API, gathered from the handlers.

use server_api::ErrorBody;
use utoipa::openapi::OpenApi;
use utoipa::{IntoResponses, OpenApi as Describe};

use crate::routes::{
    admin_keys, alerts, audit, audit_logs, billing, invites, keys, limits, organization, privacy,
    project_keys, project_users, projects, provisions, rate_limits, roles, service_accounts, usage,
    users, webhooks,
};

/// What any of these routes may answer instead.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its description is used; `ApiError` writes the answers")]
pub enum Refusals {
    /// The request is at fault; `param` names the field.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// The key is missing or not known.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// It is no admin key, or may not do this.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The organization has no such thing.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The database, or the mail server, cannot be reached.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

#[derive(Describe)]
#[openapi(
    paths(
        admin_keys::list,
        admin_keys::create,
        admin_keys::retrieve,
        admin_keys::delete,
        alerts::list,
        alerts::create,
        alerts::delete,
        audit::verify,
        audit::export,
        audit_logs::list,
        billing::usage,
        billing::export,
        billing::prices,
        billing::estimate,
        invites::list,
        invites::create,
        invites::retrieve,
        invites::delete,
        keys::list,
        keys::create,
        keys::retrieve,
        keys::modify,
        keys::delete,
        keys::rotate,
        keys::limits,
        keys::set_limits,
        limits::of_organization,
        limits::of_project,
        limits::set_of_project,
        organization::retrieve,
        organization::modify,
        privacy::export,
        project_keys::list,
        project_keys::retrieve,
        project_keys::delete,
        project_users::list,
        project_users::create,
        project_users::retrieve,
        project_users::modify,
        project_users::delete,
        projects::list,
        projects::create,
        projects::retrieve,
        projects::modify,
        projects::archive,
        provisions::list,
        provisions::create,
        provisions::end,
        provisions::commitments,
        rate_limits::list,
        rate_limits::modify,
        roles::list,
        roles::create,
        roles::retrieve,
        roles::delete,
        service_accounts::list,
        service_accounts::create,
        service_accounts::retrieve,
        service_accounts::delete,
        usage::completions,
        usage::embeddings,
        usage::moderations,
        usage::images,
        usage::audio_transcriptions,
        usage::costs,
        users::list,
        users::retrieve,
        users::modify,
        users::delete,
        webhooks::list,
        webhooks::create,
        webhooks::delete,
        webhooks::deliveries,
    ),
    components(schemas(ErrorBody, server_api::ErrorObject)),
    security(("key" = []))
)]
struct Document;

/// The description of all routes.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}
