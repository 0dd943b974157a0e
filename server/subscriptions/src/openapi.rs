//! The description of the routes, gathered from the handlers.

use server_api::ErrorBody;
use utoipa::OpenApi as Describe;
use utoipa::openapi::OpenApi;

use crate::routes::{billing, webhook};

#[derive(Describe)]
#[openapi(
    paths(billing::retrieve, billing::update, billing::checkout, billing::portal, webhook::receive),
    components(schemas(ErrorBody, server_api::ErrorObject)),
    security(("key" = []))
)]
struct Document;

/// The description of all routes.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}
