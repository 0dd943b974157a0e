//! Projects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list::Listed;

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Project {
    /// Always `organization.project`.
    object: &'static str,
    /// `proj_…`, or what it was named by.
    id: String,
    /// What people call it.
    name: String,
    /// Unix time in seconds.
    created_at: i64,
    /// Since when it is archived; null while it is not.
    archived_at: Option<i64>,
    /// `active` or `archived`.
    status: &'static str,
}

/// A project to make, or its new name.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProjectRequest {
    /// 1 to 256 bytes.
    pub(crate) name: String,
}

impl From<server_store::Project> for Project {
    fn from(it: server_store::Project) -> Self {
        Self {
            object: "organization.project",
            id: it.id,
            name: it.name,
            created_at: it.created_at,
            archived_at: it.archived_at,
            status: if it.archived_at.is_some() { "archived" } else { "active" },
        }
    }
}

impl Listed for Project {
    fn id(&self) -> &str {
        &self.id
    }
}
