//! Organizations and what belongs to them.
//!
//! Invariant: a change of an organization and its line of the audit log are one transaction, and
//! what a request depends on has the next revision in it.

pub(crate) mod audit;
pub(crate) mod billing;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod organizations;
pub(crate) mod people;
pub(crate) mod projects;
mod whole;
mod whose;
