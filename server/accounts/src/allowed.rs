//! Proof that somebody may do something.

use std::collections::BTreeSet;
use std::marker::PhantomData;

/// Somebody may do `P` in an organization. Only [`Actor::allow`](crate::Actor::allow) and
/// [`Actor::allow_in`](crate::Actor::allow_in) make one.
#[derive(Clone, Debug)]
pub struct Allowed<P> {
    organization: String,
    /// Those that it is allowed in; all, where that is `None`.
    projects: Option<BTreeSet<String>>,
    actor: String,
    address: Option<String>,
    demand: PhantomData<fn(P)>,
}

impl<P> Allowed<P> {
    pub(crate) fn new(
        organization: String,
        projects: Option<BTreeSet<String>>,
        (actor, address): (String, Option<String>),
    ) -> Self {
        Self { organization, projects, actor, address, demand: PhantomData }
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
        &self.actor
    }

    /// From where, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}
