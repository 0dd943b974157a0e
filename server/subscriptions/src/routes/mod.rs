//! The handlers.

pub(crate) mod billing;
pub(crate) mod webhook;

use axum::Router;
use server_admin::Admin;

use crate::Subscriptions;

/// All routes, to be [mounted](server_http::AppStateBuilder::mount) with their
/// [`document`](crate::document). Those under `/api/v1` need an admin key, also of an organization
/// that may not go on: it has to be able to pay. The webhook needs Stripe's signature.
pub fn routes(subscriptions: Subscriptions, admin: &Admin) -> Router {
    let admin = admin.clone().even_suspended();
    let keyed = server_admin::guard(&admin, billing::routes());
    keyed.merge(webhook::routes()).with_state(subscriptions)
}
