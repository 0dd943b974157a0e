//! Names of accounts, requests and models.
//!
//! Invariant: a name is 1 to [`MAX_ID_BYTES`] bytes, so a record of the journal is bounded.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name.
pub const MAX_ID_BYTES: usize = 256;

/// A text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {num_bytes} bytes: give it 1 to {MAX_ID_BYTES}")]
pub struct IdError {
    what: &'static str,
    num_bytes: usize,
}

macro_rules! id {
    ($name:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A name, if it has 1 to [`MAX_ID_BYTES`] bytes.
            ///
            /// # Errors
            /// If it has not.
            pub fn new(name: &str) -> Result<Self, IdError> {
                Self::shared(name.into())
            }

            /// The same of one that others have too.
            pub(crate) fn shared(name: Arc<str>) -> Result<Self, IdError> {
                match name.len() {
                    1..=MAX_ID_BYTES => Ok(Self(name)),
                    num_bytes => Err(IdError { what: $what, num_bytes }),
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Maps by these names are asked by texts: both hash as the text does.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id!(OrganizationId, "an organization's id", "Who pays.");
id!(ProjectId, "a project's id", "A part of an organization.");
id!(KeyId, "a key's id", "A key of a project: never the key itself.");
id!(RequestId, "a request's id", "A request: no two have the same, ever.");
id!(ModelId, "a model's id", "A version of a model, as prices name it.");
id!(Endpoint, "an endpoint", "What was asked for, as reports name it: `/v1/chat/completions`, …");
id!(Tag, "a tag", "What a client groups its requests by.");
id!(Tier, "a tier", "How a request is served, as prices name it: one of [`Tier::ALL`].");

impl Tier {
    /// As all are that ask for nothing else.
    pub const STANDARD: &'static str = "standard";
    /// Before them.
    pub const PRIORITY: &'static str = "priority";
    /// After them.
    pub const FLEX: &'static str = "flex";
    /// Of throughput that is held ready by the hour, which is no request.
    pub const PROVISIONED: &'static str = "provisioned";
    /// All of them.
    pub const ALL: [&'static str; 4] =
        [Self::STANDARD, Self::PRIORITY, Self::FLEX, Self::PROVISIONED];
}

/// Whose request it is: each level has limits and counts of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Who pays.
    pub organization: OrganizationId,
    /// Its project.
    pub project: ProjectId,
    /// The project's key.
    pub key: KeyId,
}

/// A project, named with its organization: two organizations may call theirs the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectPath {
    /// Whose project.
    pub organization: OrganizationId,
    /// The project.
    pub project: ProjectId,
}

impl Path {
    /// The project, whichever of its keys is used.
    #[must_use]
    pub fn project_path(&self) -> ProjectPath {
        let Self { organization, project, .. } = self.clone();
        ProjectPath { organization, project }
    }

    /// The account at a level.
    #[must_use]
    pub fn account(&self, level: Level) -> AccountId {
        let organization = self.organization.clone();
        match level {
            Level::Organization => AccountId::Organization(organization),
            Level::Project => AccountId::Project(organization, self.project.clone()),
            Level::Key => AccountId::Key(self.clone()),
        }
    }
}

/// One account of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountId {
    /// An organization.
    Organization(OrganizationId),
    /// A project of an organization.
    Project(OrganizationId, ProjectId),
    /// A key, with what it belongs to.
    Key(Path),
}

impl AccountId {
    pub(crate) fn organization(&self) -> &OrganizationId {
        match self {
            Self::Organization(organization) | Self::Project(organization, _) => organization,
            Self::Key(path) => &path.organization,
        }
    }
}

/// A level of a path; limits are looked at in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The organization.
    Organization,
    /// The project.
    Project,
    /// The key.
    Key,
}

impl Level {
    /// All, the highest first.
    pub const ALL: [Self; 3] = [Self::Organization, Self::Project, Self::Key];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Key => "key",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        assert_eq!(KeyId::new("k1").unwrap().as_str(), "k1");
        assert!(KeyId::new("").unwrap_err().to_string().starts_with("a key's id has 0 bytes"));
        assert!(RequestId::new(&"x".repeat(MAX_ID_BYTES)).is_ok());
        assert!(RequestId::new(&"x".repeat(MAX_ID_BYTES + 1)).is_err());
    }
}
