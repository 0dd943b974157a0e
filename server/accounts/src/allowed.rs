//! Proof that somebody may do something.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use crate::{Denied, Permission, ProjectGrant, Role};

/// Who asked, and all that they may.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) actor: String,
    pub(crate) address: Option<String>,
    pub(crate) permissions: BTreeSet<Permission>,
    pub(crate) in_projects: ProjectGrant,
}

/// Somebody may do `P` in an organization. Only [`Actor::allow`](crate::Actor::allow) and
/// [`Actor::allow_in`](crate::Actor::allow_in) make one.
#[derive(Clone, Debug)]
pub struct Allowed<P> {
    organization: String,
    /// Those that it is allowed in; all, where that is `None`.
    projects: Option<BTreeSet<String>>,
    asker: Asker,
    demand: PhantomData<fn(P)>,
}

impl<P> Allowed<P> {
    pub(crate) fn new(
        organization: String,
        projects: Option<BTreeSet<String>>,
        asker: Asker,
    ) -> Self {
        Self { organization, projects, asker, demand: PhantomData }
    }

    /// In which organization.
    #[must_use]
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// Whether it is allowed in a project.
    #[must_use]
    pub fn covers(&self, project: &str) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }

    /// Whether it is allowed in all of the organization's projects, those to come with them.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        self.projects.is_none()
    }

    /// The projects that it is allowed in, where it is not all.
    #[must_use]
    pub fn projects(&self) -> Option<&BTreeSet<String>> {
        self.projects.as_ref()
    }

    /// Who, as the audit log names it: `user:user-…`, `key:key_…`, `operator`.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.asker.actor
    }

    /// From where, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.asker.address.as_deref()
    }

    /// Whether a role of the organization may be given, or taken away, by whoever this is: nobody
    /// gives what they have not got themselves.
    ///
    /// # Errors
    /// [`Denied::Missing`] with a permission of the role that they have not got in the whole
    /// organization.
    pub fn may_give(&self, role: &Role) -> Result<(), Denied> {
        let missing = role.permissions.difference(&self.asker.permissions).next();
        missing.map_or(Ok(()), |missing| Err(Denied::Missing(*missing)))
    }

    /// The same of a role in a project, where what they may in that project counts, too.
    ///
    /// # Errors
    /// [`Denied::Missing`] with a permission of the role that they have not got there.
    pub fn may_give_in(&self, project: &str, role: &Role) -> Result<(), Denied> {
        let granted = self.asker.in_projects.get(project);
        let has = |permission: &&Permission| {
            self.asker.permissions.contains(permission)
                || granted.is_some_and(|granted| granted.contains(permission))
        };
        let missing = role.permissions.iter().find(|permission| !has(permission));
        missing.map_or(Ok(()), |missing| Err(Denied::Missing(*missing)))
    }
}
