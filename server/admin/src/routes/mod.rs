//! The handlers, one file per resource.

pub(crate) mod admin_keys;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod audit_logs;
pub(crate) mod billing;
pub(crate) mod invites;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod organization;
pub(crate) mod privacy;
pub(crate) mod project_keys;
pub(crate) mod project_users;
pub(crate) mod projects;
pub(crate) mod provisions;
pub(crate) mod rate_limits;
pub(crate) mod roles;
pub(crate) mod service_accounts;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhooks;

use axum::Router;

use crate::Admin;

/// All routes.
pub(crate) fn all() -> Router<Admin> {
    Router::new()
        .merge(admin_keys::routes())
        .merge(alerts::routes())
        .merge(audit::routes())
        .merge(audit_logs::routes())
        .merge(billing::routes())
        .merge(invites::routes())
        .merge(keys::routes())
        .merge(limits::routes())
        .merge(organization::routes())
        .merge(privacy::routes())
        .merge(project_keys::routes())
        .merge(project_users::routes())
        .merge(projects::routes())
        .merge(provisions::routes())
        .merge(rate_limits::routes())
        .merge(roles::routes())
        .merge(service_accounts::routes())
        .merge(usage::routes())
        .merge(users::routes())
        .merge(webhooks::routes())
}
