//! Who does something, and what they may.
//!
//! Invariant: an actor of an organization is allowed nothing in another one.

use std::collections::{BTreeMap, BTreeSet};

use crate::allowed::Asker;
use crate::{Allowed, Demand, Permission, Role};

/// What somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A person, by the user's id.
    User(String),
    /// A key, by its id.
    Key(String),
    /// Whoever has the data directory or the database: may all, everywhere.
    Operator,
}

/// What somebody may in one project beyond what they may in all.
pub type ProjectGrant = BTreeMap<String, BTreeSet<Permission>>;

/// Somebody.
#[derive(Clone, Debug)]
pub struct Actor {
    kind: ActorKind,
    /// Where the permissions hold; of an operator, everywhere.
    organization: String,
    /// The role's name.
    role: String,
    permissions: BTreeSet<Permission>,
    in_projects: ProjectGrant,
    address: Option<String>,
}

/// It is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The organization is another one, of which nothing is told.
    #[error("there is no organization '{0}'")]
    OtherOrganization(String),
    /// The role has not got it.
    #[error("this needs the permission '{0}', which your role has not")]
    Missing(Permission),
}

impl Actor {
    /// Whoever has the data directory or the database.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            kind: ActorKind::Operator,
            organization: String::new(),
            role: "operator".to_owned(),
            permissions: Permission::ALL.into(),
            in_projects: ProjectGrant::new(),
            address: None,
        }
    }

    /// A user with a role in an organization, and roles in some of its projects.
    #[must_use]
    pub fn user(user: &str, organization: &str, role: Role, in_projects: ProjectGrant) -> Self {
        Self {
            kind: ActorKind::User(user.to_owned()),
            organization: organization.to_owned(),
            role: role.name,
            permissions: role.permissions,
            in_projects,
            address: None,
        }
    }

    /// A key that may what a role may.
    #[must_use]
    pub fn key(key: &str, organization: &str, role: Role) -> Self {
        Self {
            kind: ActorKind::Key(key.to_owned()),
            organization: organization.to_owned(),
            role: role.name,
            permissions: role.permissions,
            in_projects: ProjectGrant::new(),
            address: None,
        }
    }

    /// The same, who asks from an address.
    #[must_use]
    pub fn from_address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &ActorKind {
        &self.kind
    }

    /// Whose permissions it has; empty of an operator.
    #[must_use]
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The name of the role in the organization.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Permissions that hold in the whole organization.
    #[must_use]
    pub fn permissions(&self) -> &BTreeSet<Permission> {
        &self.permissions
    }

    /// Leave to do `P` in an organization, or in those of its projects where this actor may.
    ///
    /// # Errors
    /// If the actor may it in none of them.
    pub fn allow<P: Demand>(&self, organization: &str) -> Result<Allowed<P>, Denied> {
        if self.kind != ActorKind::Operator && self.organization != organization {
            return Err(Denied::OtherOrganization(organization.chars().take(64).collect()));
        }
        let projects = if self.permissions.contains(&P::PERMISSION) {
            None
        } else {
            let may = |(_, may): &(&String, &BTreeSet<Permission>)| may.contains(&P::PERMISSION);
            let projects = self.in_projects.iter().filter(may);
            let projects: BTreeSet<String> = projects.map(|(id, _)| id.clone()).collect();
            if projects.is_empty() {
                return Err(Denied::Missing(P::PERMISSION));
            }
            Some(projects)
        };
        Ok(Allowed::new(organization.to_owned(), projects, self.asker()))
    }

    /// Leave to do `P` in the whole of an organization.
    ///
    /// # Errors
    /// If the actor may not.
    pub fn allow_all<P: Demand>(&self, organization: &str) -> Result<Allowed<P>, Denied> {
        let allowed = self.allow(organization)?;
        if allowed.covers_all() { Ok(allowed) } else { Err(Denied::Missing(P::PERMISSION)) }
    }

    /// Leave to do `P` in one project.
    ///
    /// # Errors
    /// If the actor may not.
    pub fn allow_in<P: Demand>(
        &self,
        organization: &str,
        project: &str,
    ) -> Result<Allowed<P>, Denied> {
        let allowed = self.allow(organization)?;
        if allowed.covers(project) { Ok(allowed) } else { Err(Denied::Missing(P::PERMISSION)) }
    }

    fn asker(&self) -> Asker {
        let actor = match &self.kind {
            ActorKind::User(id) => format!("user:{id}"),
            ActorKind::Key(id) => format!("key:{id}"),
            ActorKind::Operator => "operator".to_owned(),
        };
        Asker {
            actor,
            address: self.address.clone(),
            permissions: self.permissions.clone(),
            in_projects: self.in_projects.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::may;

    fn role(name: &str) -> Role {
        Role::find_usual(name).unwrap()
    }

    #[test]
    fn a_role_allows_what_it_has_in_its_organization_only() {
        let admin = Actor::key("key_1", "org-a", role("admin")).from_address("::1");
        let allowed = admin.allow::<may::WriteKeys>("org-a").unwrap();
        assert!(allowed.covers_all() && allowed.covers("any"));
        assert_eq!((allowed.actor(), allowed.address()), ("key:key_1", Some("::1")));
        assert_eq!(
            admin.allow::<may::WriteBilling>("org-a").unwrap_err(),
            Denied::Missing(Permission::WriteBilling)
        );
        let other = admin.allow::<may::ReadKeys>("org-b").unwrap_err();
        assert_eq!(other, Denied::OtherOrganization("org-b".to_owned()));
        assert!(Actor::operator().allow_all::<may::RunPlatform>("org-b").is_ok());
    }

    #[test]
    fn a_role_in_a_project_allows_it_there() {
        let developer = role("developer").permissions;
        let grants = ProjectGrant::from([("p".to_owned(), developer)]);
        let user = Actor::user("user-1", "org-a", role("viewer"), grants);
        assert!(user.allow_in::<may::WriteKeys>("org-a", "p").is_ok());
        assert!(user.allow_in::<may::WriteKeys>("org-a", "q").is_err());
        assert!(user.allow_all::<may::WriteKeys>("org-a").is_err());
        let allowed = user.allow::<may::WriteKeys>("org-a").unwrap();
        assert!(allowed.covers("p") && !allowed.covers("q"));
        assert!(user.allow_in::<may::ReadUsage>("org-a", "q").is_ok());
        assert!(user.allow::<may::WriteMembers>("org-a").is_err());
    }

    #[test]
    fn nobody_gives_what_they_have_not_got() {
        let grants = ProjectGrant::from([("p".to_owned(), role("admin").permissions)]);
        let user = Actor::user("user-1", "org-a", role("developer"), grants);
        let allowed = user.allow::<may::WriteMembers>("org-a").unwrap();
        assert!(allowed.may_give(&role("developer")).is_ok());
        assert!(matches!(allowed.may_give(&role("admin")), Err(Denied::Missing(_))));
        assert!(allowed.may_give_in("p", &role("admin")).is_ok());
        assert_eq!(
            allowed.may_give_in("p", &role("owner")),
            Err(Denied::Missing(Permission::WriteAdminKeys))
        );
        assert!(allowed.may_give_in("q", &role("admin")).is_err());
        let operator = Actor::operator().allow::<may::WriteMembers>("org-a").unwrap();
        assert!(operator.may_give(&role("owner")).is_ok());
    }
}
