//! What may be allowed, as data and as types.
//!
//! Invariant: a permission's name never changes its meaning: roles in databases name it.

use std::fmt;
use std::str::FromStr;

/// There is no such permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no permission '{0}'; there are {all}",
    all = Permission::ALL.map(Permission::name).join(", "))]
pub struct UnknownPermission(String);

/// A permission as a type, so that a call says which it needs and the compiler checks it.
pub trait Demand {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($name:ident = $text:literal: $doc:literal,)*) => {
        /// What a role may contain.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $(#[doc = $doc] $name,)*
        }

        impl Permission {
            /// All of them.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// What roles and messages call it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        /// Each [`Permission`] as a type: a [`Demand`].
        pub mod may {
            $(
                #[doc = $doc]
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl super::Demand for $name {
                    const PERMISSION: super::Permission = super::Permission::$name;
                }
            )*
        }
    };
}

permissions! {
    UseModels = "models.use": "Send requests to models.",
    ReadOrganization = "organization.read": "See the organization, its settings and limits.",
    WriteOrganization = "organization.write": "Change its name and settings.",
    ReadProjects = "projects.read": "See projects, with their limits.",
    WriteProjects = "projects.write": "Make, change and archive projects.",
    ReadMembers = "members.read": "See who belongs to it, and who is invited.",
    WriteMembers = "members.write": "Invite and remove people, and change roles.",
    ReadKeys = "keys.read": "See keys of projects and service accounts, never their secrets.",
    WriteKeys = "keys.write": "Make, change, rotate and revoke keys of projects.",
    WriteAdminKeys = "admin_keys.write": "See, make and revoke keys of the organization itself.",
    WriteLimits = "limits.write": "Set rate limits, quotas and budgets.",
    ReadUsage = "usage.read": "See what was used and what it cost.",
    ReadPrices = "prices.read": "See prices.",
    ReadAudit = "audit.read": "See, verify and export the audit log.",
    WriteWebhooks = "webhooks.write": "See and change where alerts are sent.",
    ReadBilling = "billing.read": "See the plan and invoices.",
    WriteBilling = "billing.write": "Change the plan and how it is paid.",
    WritePrivacy = "privacy.write": "Export and delete what is stored of a user.",
    RunPlatform = "platform.run": "Make organizations, set prices for all: the operator's.",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(name: &str) -> Result<Self, UnknownPermission> {
        let found = Self::ALL.into_iter().find(|permission| permission.name() == name);
        found.ok_or_else(|| UnknownPermission(name.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_by_its_name_and_no_two_have_one() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(permission));
        }
        let message = "keys.eat".parse::<Permission>().unwrap_err().to_string();
        assert!(message.contains("'keys.eat'") && message.contains("keys.write"), "{message}");
        assert_eq!(<may::WriteKeys as Demand>::PERMISSION, Permission::WriteKeys);
    }
}
