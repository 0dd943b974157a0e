//! The admin API: organizations, projects, people, keys, limits, usage and costs, in the shapes of
//! OpenAI's administration under `/v1/organization`, and under `/api/v1` what OpenAI's has not.
//!
//! `who` says whose key it is and what it may, `query` and `body` read what is asked, a handler in
//! `routes` calls the store with an [`Allowed`](server_accounts::Allowed), and `wire` is the shape
//! of what it answers.
//!
//! Invariant: a handler acts in the organization of who asks, and in no other: no path and
//! no body names one.

mod body;
mod buckets;
mod export;
mod inviter;
mod list;
mod openapi;
mod owners;
mod params;
mod people;
mod query;
mod roles;
mod routes;
mod state;
mod who;
mod wire;

use axum::Router;
use axum::middleware::from_fn_with_state;

pub use inviter::{InviteMail, InviteSecret, Inviter, Sent};
pub use openapi::{Refusals, document};
pub use people::{Known, People};
pub use state::Admin;
pub use who::Asker;

/// All routes, to be [mounted](server_http::AppStateBuilder::mount) with their [`document`]. Each
/// needs an admin key, or a person with a role.
pub fn routes(admin: Admin) -> Router {
    guard(&admin, routes::all()).with_state(admin)
}

/// Routes that need an admin key; their handlers get an [`Asker`].
pub fn guard<S>(admin: &Admin, routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.route_layer(from_fn_with_state(admin.clone(), who::require_admin))
}
