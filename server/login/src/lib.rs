//! How people get in: sign-up, login with a password and a second factor or with another provider,
//! sessions, and what people may see and change of themselves. Under `/api/v1`.
//!
//! `body` and `who` read what is asked and by whom, a handler in `routes` asks
//! [`server_identity`] whether it is right and the store to keep it, and `wire` is the shape of
//! what it answers. `pages` are what letters lead to: forms that do the same. [`Login::actor`] says
//! to other APIs what somebody may in an organization.
//!
//! Invariant: no answer, and no time that one takes, says whether an address has an account. No
//! secret is logged, and none is in an answer but the one that makes it.

mod actor;
mod attempts;
mod body;
mod cookie;
mod factors;
mod founding;
mod hashing;
mod key;
mod letters;
mod openapi;
mod pages;
mod providers;
mod routes;
mod sessions;
mod settings;
mod state;
mod who;
mod wire;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;

pub use key::{KeyFileError, LoginKey};
pub use openapi::document;
pub use providers::{NamedProvider, ProviderData, ProviderDataError, ProviderKind};
pub use settings::{OrganizationFounded, Settings, SignUp};
pub use state::{Login, Parts};

/// All routes, to be [mounted](server_http::AppStateBuilder::mount) with their [`document`], and
/// the pages that letters lead to, unless those are elsewhere.
pub fn routes(login: Login) -> Router {
    let has_pages = login.0.letters.lead_here();
    let pages = if has_pages { pages::all() } else { Router::new() };
    routes::all().merge(pages).route_layer(from_fn(keep_nothing)).with_state(login)
}

/// Answers are for whoever asks alone, and some have a secret.
async fn keep_nothing(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
