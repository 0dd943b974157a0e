//! Organizations, projects, roles and keys: who may do what, and what a request needs to know of
//! it (ADR 23). Rules only; the tables are the store's.
//!
//! Invariant: what is asked of the store about an organization is asked with an [`Allowed`], and
//! only a check of what an [`Actor`] may makes one. A key itself is shown once and kept nowhere.

mod actor;
mod allowed;
mod audit;
mod currency;
mod directory;
mod hex;
mod id;
mod key;
mod limits;
mod permission;
mod price_list;
mod privacy;
mod role;
mod scopes;

pub use actor::{Actor, ActorKind, Denied, ProjectGrant};
pub use allowed::Allowed;
pub use audit::{AuditEvent, AuditRecord, ChainBreak, verify};
pub use currency::{Currency, UnknownCurrency};
pub use directory::{
    Changes, Directory, KeyChange, KeyError, KeyKind, KnownKey, OrganizationChange, ProjectChange,
    SecretChange,
};
pub use id::{Kind, new_id};
pub use key::{AwsPair, KeyHash, KeySecret};
pub use limits::{BudgetData, LimitsData, LimitsError, QuotaData};
pub use permission::{Demand, Permission, UnknownPermission, may};
pub use price_list::{PriceListData, PriceListError, StepData, TariffData};
pub use privacy::{
    Keeping, MAX_RETENTION_DAYS, PrivacySettings, StorePrompts, UnknownStorePrompts,
};
pub use role::{Role, RoleError};
pub use scopes::{Scopes, ScopesError};

/// The organization that a server begins with, and its first project.
pub const DEFAULT: &str = "default";
