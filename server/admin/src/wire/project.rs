//! Projects.

use serde::{Deserialize, Serialize};
use server_accounts::StorePrompts;
use utoipa::ToSchema;

use super::given;
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
    /// Whether prompts and answers are stored: `never`, or `when_asked` by a request; null is as
    /// the server has it.
    #[schema(value_type = Option<String>)]
    store_prompts: Option<StorePrompts>,
    /// For how many days; null is as the server has it.
    retention_days: Option<u32>,
}

/// A project to make.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProjectRequest {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: String,
    /// `never` or `when_asked`.
    #[schema(value_type = Option<String>)]
    pub(crate) store_prompts: Option<StorePrompts>,
    /// 1 to 3650.
    pub(crate) retention_days: Option<u32>,
}

/// What is to be another of a project; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProjectPatch {
    /// 1 to 256 bytes without control characters.
    pub(crate) name: Option<String>,
    /// `never` or `when_asked`; null: as the server has it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(crate) store_prompts: Option<Option<StorePrompts>>,
    /// 1 to 3650; null: as the server has it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub(crate) retention_days: Option<Option<u32>>,
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
            store_prompts: it.privacy.store_prompts,
            retention_days: it.privacy.retention_days,
        }
    }
}

impl Listed for Project {
    fn id(&self) -> &str {
        &self.id
    }
}
