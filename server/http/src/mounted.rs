//! Routes of other crates, among this one's.
//!
//! Invariant: they are inside all layers but the check of keys, which is theirs.

use axum::Router;
use utoipa::openapi::OpenApi;

use crate::AppState;

/// Routes of another crate, and what describes them.
pub(crate) struct Mounted {
    router: Router,
    document: OpenApi,
}

impl Mounted {
    pub(crate) fn new(router: Router, document: OpenApi) -> Self {
        Self { router, document }
    }

    /// The routes, to be merged with those that have a state.
    pub(crate) fn routes(&self) -> Router<AppState> {
        self.router.clone().with_state(())
    }

    pub(crate) fn document(&self) -> &OpenApi {
        &self.document
    }
}
