//! What a database tells of accounts that a directory takes in.

use std::fmt;

use crate::{KeyHash, KeyKind, LimitsData, PrivacySettings, Role, Scopes};

/// What changed since a revision.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Up to which.
    pub revision: i64,
    /// Organizations that are new or other.
    pub organizations: Vec<OrganizationChange>,
    /// Projects that are new or other.
    pub projects: Vec<ProjectChange>,
    /// Keys that are new or other.
    pub keys: Vec<KeyChange>,
}

/// An organization as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationChange {
    /// Its id.
    pub id: String,
    /// Whether it is no more.
    pub is_archived: bool,
    /// Why it may not go on, if it may not.
    pub suspended: Option<String>,
    /// Its limits.
    pub limits: LimitsData,
}

/// A project as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectChange {
    /// Its organization.
    pub organization: String,
    /// Its id.
    pub id: String,
    /// Whether it is no more.
    pub is_archived: bool,
    /// Its limits.
    pub limits: LimitsData,
    /// What it has said of what is kept.
    pub privacy: PrivacySettings,
}

/// A key as it is now.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// Its organization.
    pub organization: String,
    /// Its project; empty of an admin key.
    pub project: String,
    /// Its id.
    pub id: String,
    /// What it is for.
    pub kind: KeyKind,
    /// What it may.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Its limits.
    pub limits: LimitsData,
    /// Whether it is no more.
    pub is_revoked: bool,
    /// When it ends, in Unix seconds.
    pub expires_at: Option<i64>,
    /// All of its secrets.
    pub secrets: Vec<SecretChange>,
}

/// One of a key's secrets.
#[derive(Clone)]
pub struct SecretChange {
    /// What it is found by.
    pub hash: KeyHash,
    /// What AWS's signatures are made with, if it has that.
    pub aws_secret: Option<String>,
    /// When it ends, in Unix seconds: those that were rotated do.
    pub expires_at: Option<i64>,
}

impl fmt::Debug for SecretChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretChange(…)")
    }
}
