//! Who a request is from, and what is stored of what they say.
//!
//! Invariant: what is stored of what somebody says is written to the store that [`Caller::store`]
//! gives, which gives none where their project stores nothing.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use engine_core::TenantId;
use server_accounts::{Keeping, Scopes, StorePrompts};
use server_metering::{IdError, KeyId, OrganizationId, Path, ProjectId, ProjectPath};
use server_store::Store;

use crate::{ApiError, AppState};

/// The only project of an organization without accounts.
const DEFAULT_PROJECT: &str = "default";
/// Of what a project that stores nothing asks to be stored.
pub(crate) const STORAGE_OFF: &str = "storage_disabled";
pub(crate) const NOTHING_STORED: &str =
    "This project stores no prompts and answers: its 'store_prompts' is 'never'.";

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The unit of fairness and of cache isolation.
    pub tenant: TenantId,
    /// Which key was used; fit for a log.
    pub key_id: Arc<str>,
    /// Whose limits hold for it, and who pays.
    pub path: Path,
    /// What the key may be used for.
    pub scopes: Arc<Scopes>,
    /// What is stored of what is said.
    pub keeping: Keeping,
}

impl Caller {
    /// Who has a key of an organization's project: the organization is the tenant. What it asks to
    /// be stored is, until [`keeping`](Self::keeping) says something else.
    #[must_use]
    pub fn new(path: Path, scopes: Arc<Scopes>) -> Self {
        let (tenant, key_id) = (path.organization.as_str(), path.key.as_str());
        let keeping = Keeping { prompts: StorePrompts::WhenAsked, retention_days: None };
        Self { tenant: TenantId(tenant.into()), key_id: key_id.into(), path, scopes, keeping }
    }

    /// Who has a key where there are no accounts: its tenant is an organization with one project,
    /// `default`.
    ///
    /// # Errors
    /// If a name is empty or longer than names of accounts may be.
    pub fn of_tenant(tenant: &str, key_id: &str) -> Result<Self, IdError> {
        let path = Path {
            organization: OrganizationId::new(tenant)?,
            project: ProjectId::new(DEFAULT_PROJECT)?,
            key: KeyId::new(key_id)?,
        };
        Ok(Self::new(path, Arc::default()))
    }

    /// Whose its requests are, and what it asks to be stored: each key of the project finds them,
    /// and no other one.
    pub(crate) fn whose(&self) -> ProjectPath {
        self.path.project_path()
    }

    /// Whether what is said is stored where a request asks for it.
    pub(crate) fn stores(&self) -> bool {
        self.keeping.prompts == StorePrompts::WhenAsked
    }

    /// Where what is said is stored, for as long as its project says.
    ///
    /// # Errors
    /// 403, if its project stores nothing.
    pub(crate) fn store<'a>(&self, state: &'a AppState) -> Result<Cow<'a, Store>, ApiError> {
        let store = state.kept()?;
        if !self.stores() {
            let message =
                format!("{NOTHING_STORED} Whoever administers the project can change it.");
            return Err(ApiError::refused(StatusCode::FORBIDDEN, STORAGE_OFF, message));
        }
        Ok(match self.keeping.retention_days {
            None => Cow::Borrowed(store),
            days => Cow::Owned(store.keeping_for(days)),
        })
    }
}
