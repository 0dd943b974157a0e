//! What is in SQL: people, organizations, their projects, keys and audit logs, and what clients ask
//! to be kept.
//!
//! Invariant: every function takes the tenant, by name or as leave to do something in it, and every
//! statement names it, so no row of another tenant can be read or changed; but for what is said to
//! be of all tenants. What clients ask to be kept is a project's: a `ProjectPath` says whose, and
//! statements name both. People are of none: what is theirs alone is asked for by the user's id or
//! address, or by the hash of what only the user has. What expired is not read, whether it was
//! swept or not. A function that returned has its change on disk. Bodies are texts that nothing
//! here looks into. SQLite and PostgreSQL are asked with the same statements.

mod accounts;
mod alerts;
mod backup;
mod completions;
mod conversation_items;
mod conversations;
mod database;
mod error;
mod installation;
mod leases;
mod ledger;
mod limits;
mod migrations;
mod page;
mod responses;
mod revisions;
mod sql;
mod sweep;
mod usage;

pub use accounts::audit::{AuditError, AuditFilter};
pub use accounts::billing::{
    BillingLetter, BillingNotice, BillingSpan, BillingUpdate, Reported, UsageReport,
};
pub use accounts::keys::{ImportedKey, Key, KeyUpdate, NewAdminKey, NewKey};
pub use accounts::organizations::{Organization, OrganizationUpdate};
pub use accounts::people::{
    Identity, Invitation, Login, LoginFailures, Member, NewInvitation, NewServiceAccount,
    NewSession, NewUser, OrganizationOf, ProjectMember, ProjectRole, ServiceAccount, Session, User,
};
pub use accounts::projects::{Project, ProjectUpdate};
pub use alerts::{
    Alert, AlertOn, ArmedAlert, ArmedAlerts, Delivery, Firing, NewAlert, NewWebhook, Outgoing,
    Target, Webhook,
};
pub use backup::{Backup, BackupError, Restored, backup, restore};
pub use completions::{Completion, CompletionFilter};
pub use conversation_items::Item;
pub use conversations::Conversation;
pub use database::{BooksClaim, Database, Store, claim_books};
pub use error::StoreError;
pub use ledger::{
    BillingError, Bucket, BucketQuery, BucketWidth, Commitment, GroupBy, LedgerLine, NewCommitment,
    NewPrice, NewProvision, PriceBooks, PriceFilter, PriceList, Provision, STORAGE, SqlLedger,
    UsageFilter, UsageGroup, UsageQuery, UsageTotal,
};
pub use limits::Limits;
pub use migrations::{Migrated, migrate};
pub use page::{Page, PageQuery};
pub use responses::{Kept, Response, UNFINISHED};
