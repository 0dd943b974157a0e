//! Requests that run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request that was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelledRequest {
    /// The id it was named by.
    pub id: String,
    /// Always `request`.
    pub object: String,
    /// Always true.
    pub cancelled: bool,
}
