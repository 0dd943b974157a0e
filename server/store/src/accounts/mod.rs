//! Organizations and what belongs to them.
//!
//! Invariant: a change of an organization and its line of the audit log are one transaction.

pub(crate) mod audit;
