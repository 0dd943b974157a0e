//! Roles: names of sets of permissions.
//!
//! Invariant: nobody's role runs the platform: that is the operator's.

use std::collections::BTreeSet;

use crate::{Permission, UnknownPermission};

/// The longest name.
const MAX_NAME_BYTES: usize = 64;

/// A role of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What memberships call it.
    pub name: String,
    /// What it may.
    pub permissions: BTreeSet<Permission>,
}

/// Why there is no such role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// It has no name that can be written.
    #[error("a role's name is 1 to {MAX_NAME_BYTES} letters, digits, '-' and '_'")]
    Name,
    /// The usual roles stay as they are.
    #[error("the role '{0}' is one of the usual ones, which stay as they are: name it otherwise")]
    Usual(String),
    /// There is no such permission.
    #[error(transparent)]
    Permission(#[from] UnknownPermission),
    /// Only the operator has it.
    #[error("the permission '{0}' is the operator's, and no role may have it")]
    Operators(Permission),
}

impl Role {
    /// The usual roles, the mightiest first: `owner`, `admin`, `developer`, `viewer`.
    #[must_use]
    pub fn usual() -> [Self; 4] {
        use Permission as P;
        let all = || P::ALL.into_iter().filter(|it| *it != P::RunPlatform);
        let role = |name: &str, permissions| Self { name: name.to_owned(), permissions };
        let viewer = [P::ReadOrganization, P::ReadProjects, P::ReadUsage, P::ReadPrices];
        let developer = [P::UseModels, P::ReadMembers, P::ReadKeys, P::WriteKeys];
        let owners = [P::WriteAdminKeys, P::WriteBilling, P::WritePrivacy];
        [
            role("owner", all().collect()),
            role("admin", all().filter(|it| !owners.contains(it)).collect()),
            role("developer", developer.into_iter().chain(viewer).collect()),
            role("viewer", viewer.into_iter().collect()),
        ]
    }

    /// One of the usual roles.
    #[must_use]
    pub fn find_usual(name: &str) -> Option<Self> {
        Self::usual().into_iter().find(|role| role.name == name)
    }

    /// A role of an organization's own.
    ///
    /// # Errors
    /// If its name cannot be, is that of a usual role, or a permission may not be given.
    pub fn custom<'a>(
        name: &str,
        permissions: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RoleError> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_fine) {
            return Err(RoleError::Name);
        }
        if Self::find_usual(name).is_some() {
            return Err(RoleError::Usual(name.to_owned()));
        }
        let permissions = permissions.into_iter().map(str::parse);
        let permissions: BTreeSet<Permission> = permissions.collect::<Result<_, _>>()?;
        if permissions.contains(&Permission::RunPlatform) {
            return Err(RoleError::Operators(Permission::RunPlatform));
        }
        Ok(Self { name: name.to_owned(), permissions })
    }

    /// A role as a database has it: [`Role::permission_names`]. Permissions that this version does
    /// not know, or that no role may have, are left out: a role never may more than it says.
    #[must_use]
    pub fn from_names(name: &str, permissions: &str) -> Self {
        let permissions = permissions.split(' ').filter_map(|name| name.parse().ok());
        let permissions = permissions.filter(|it| *it != Permission::RunPlatform).collect();
        Self { name: name.to_owned(), permissions }
    }

    /// The names of its permissions, with a space between each two.
    #[must_use]
    pub fn permission_names(&self) -> String {
        let names: Vec<&str> = self.permissions.iter().map(|it| it.name()).collect();
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_usual_role_may_all_that_the_next_may() {
        for pair in Role::usual().windows(2) {
            assert!(pair[0].permissions.is_superset(&pair[1].permissions), "{pair:?}");
        }
        let is_given = |role: Role| role.permissions.contains(&Permission::RunPlatform);
        assert!(!Role::usual().into_iter().any(is_given));
    }

    #[test]
    fn a_custom_role_has_its_own_name_and_what_it_may_be_given() {
        let role = Role::custom("billing-clerk", ["billing.read", "usage.read"]).unwrap();
        assert_eq!(role.permissions.len(), 2);
        let names = role.permission_names();
        assert_eq!(Role::from_names("billing-clerk", &names), role);
        let names = format!("{names} of.tomorrow platform.run");
        assert_eq!(Role::from_names("billing-clerk", &names), role);
        for (name, permission) in [
            ("", "usage.read"),
            ("a b", "usage.read"),
            ("owner", "usage.read"),
            ("x", "usage"),
            ("x", "platform.run"),
        ] {
            assert!(Role::custom(name, [permission]).is_err(), "{name} {permission}");
        }
    }
}
