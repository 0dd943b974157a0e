//! All keys in memory, and who they belong to: what a request needs, without asking SQL.
//!
//! Invariant: a key is let in only while it, its project and its organization are in force, and
//! while what is known is known to be recent: who cannot ask the database for a while lets nobody
//! in.

mod changes;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use server_metering::{KeyId, OrganizationId, Path, ProjectId};

pub use self::changes::{Changes, KeyChange, OrganizationChange, ProjectChange, SecretChange};
use crate::{AwsPair, KeyHash, PrivacySettings, Role, Scopes};

/// How long what is known counts as recent: as one query may take, or slow ones would refuse all.
const MAX_AGE: Duration = Duration::from_secs(10);

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Requests to models, as a project's.
    Project,
    /// The administration of an organization.
    Admin,
}

/// A key that was let in.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// The account that is charged; of an admin key, its project is a name only.
    pub path: Path,
    /// What it is for.
    pub kind: KeyKind,
    /// What it may; of a project's key, use models.
    pub role: Role,
    /// What it may be used for.
    pub scopes: Arc<Scopes>,
}

/// Why a key is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nobody has it, or it was revoked.
    #[error("Incorrect API key provided.")]
    Unknown,
    /// Its time is over.
    #[error("This API key has expired: make another one, or set a later end.")]
    Expired,
    /// Its project was archived.
    #[error("The project of this API key was archived.")]
    Archived,
    /// Its organization may not go on.
    #[error("The organization of this API key is suspended: {0}")]
    Suspended(String),
    /// The key has no secret to sign with.
    #[error("This API key was made before requests could be signed with it.")]
    NoSecret,
    /// What is known is too old to let somebody in by.
    #[error("API keys cannot be checked at the moment, since the database does not answer.")]
    Stale,
}

/// All keys. A clone is the same.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    organizations: HashMap<String, OrganizationChange>,
    /// By organization and id.
    projects: HashMap<String, HashMap<String, Project>>,
    keys: HashMap<String, Arc<Entry>>,
    by_hash: HashMap<KeyHash, Arc<Entry>>,
    by_access_key_id: HashMap<String, Arc<Entry>>,
    confirmed_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Project {
    is_archived: bool,
    privacy: PrivacySettings,
}

/// Of which organizations keys are let in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lets {
    InForce,
    /// These, too.
    Suspended,
}

struct Entry {
    known: Arc<KnownKey>,
    expires_at: Option<i64>,
    secrets: Vec<SecretChange>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} keys)", self.num_keys())
    }
}

impl Directory {
    /// Takes in what changed. Names of accounts that cannot be are left out, and so is a key of
    /// which that is true.
    pub fn apply(&self, changes: Changes) {
        let keys = changes.keys.into_iter().map(Entry::of).collect::<Vec<_>>();
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for organization in changes.organizations {
            state.organizations.insert(organization.id.clone(), organization);
        }
        for project in changes.projects {
            let of_organization = state.projects.entry(project.organization).or_default();
            let ProjectChange { is_archived, privacy, .. } = project;
            of_organization.insert(project.id, Project { is_archived, privacy });
        }
        for (id, entry) in keys {
            state.replace(id, entry);
        }
    }

    /// What is known is what the database had at `now`.
    pub fn confirm(&self, now: Instant) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).confirmed_at = Some(now);
    }

    /// Whether what is known counts as recent at `now`: keys can be checked.
    #[must_use]
    pub fn is_recent(&self, now: Instant) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).check_age(now).is_ok()
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// If it is not let in at `now`, which is `unix` in seconds.
    pub fn check(&self, secret: &str, moment: (Instant, i64)) -> Result<Arc<KnownKey>, KeyError> {
        self.find(secret, moment, Lets::InForce)
    }

    /// The same for what an organization that may not go on still has to be able to do: to see what
    /// it owes, and to pay.
    ///
    /// # Errors
    /// If it is not let in at `now`, which is `unix` in seconds.
    pub fn check_payer(
        &self,
        secret: &str,
        moment: (Instant, i64),
    ) -> Result<Arc<KnownKey>, KeyError> {
        self.find(secret, moment, Lets::Suspended)
    }

    fn find(
        &self,
        secret: &str,
        (now, unix): (Instant, i64),
        lets: Lets,
    ) -> Result<Arc<KnownKey>, KeyError> {
        let hash = KeyHash::of(secret);
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.check_age(now)?;
        let entry = state.by_hash.get(&hash).ok_or(KeyError::Unknown)?;
        let found = entry.secrets.iter().find(|secret| secret.hash == hash);
        if found.is_none_or(|secret| is_over(secret.expires_at, unix)) {
            return Err(KeyError::Unknown);
        }
        state.check(entry, unix, lets)
    }

    /// Why an organization may not go on, if it may not.
    #[must_use]
    pub fn suspended(&self, organization: &str) -> Option<String> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.organizations.get(organization)?.suspended.clone()
    }

    /// What the project of a path has said of what is kept.
    #[must_use]
    pub fn privacy(&self, path: &Path) -> PrivacySettings {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.project(path).map(|project| project.privacy).unwrap_or_default()
    }

    /// Whose AWS access key id this is, and what its signatures may be made with.
    ///
    /// # Errors
    /// If it is not let in at `now`, which is `unix` in seconds.
    pub fn signer(
        &self,
        access_key_id: &str,
        (now, unix): (Instant, i64),
    ) -> Result<(Arc<KnownKey>, Vec<Arc<str>>), KeyError> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.check_age(now)?;
        let entry = state.by_access_key_id.get(access_key_id).ok_or(KeyError::Unknown)?;
        let known = state.check(entry, unix, Lets::InForce)?;
        let in_force = entry.secrets.iter().filter(|secret| !is_over(secret.expires_at, unix));
        let secrets: Vec<_> =
            in_force.filter_map(|secret| secret.aws_secret.as_deref().map(Arc::from)).collect();
        if secrets.is_empty() { Err(KeyError::NoSecret) } else { Ok((known, secrets)) }
    }

    /// How many keys are known that were not revoked.
    #[must_use]
    pub fn num_keys(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys.len()
    }

    /// How many organizations are known.
    #[must_use]
    pub fn num_organizations(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).organizations.len()
    }
}

impl State {
    fn replace(&mut self, id: String, entry: Option<Entry>) {
        let access_key_id = AwsPair::access_key_id(&id);
        if let Some(old) = self.keys.remove(&id) {
            for secret in &old.secrets {
                self.by_hash.remove(&secret.hash);
            }
            self.by_access_key_id.remove(&access_key_id);
        }
        if let Some(entry) = entry {
            let entry = Arc::new(entry);
            for secret in &entry.secrets {
                self.by_hash.insert(secret.hash, Arc::clone(&entry));
            }
            self.by_access_key_id.insert(access_key_id, Arc::clone(&entry));
            self.keys.insert(id, entry);
        }
    }

    fn project(&self, path: &Path) -> Option<&Project> {
        self.projects.get(path.organization.as_str())?.get(path.project.as_str())
    }

    fn check_age(&self, now: Instant) -> Result<(), KeyError> {
        let age = self.confirmed_at.map(|at| now.saturating_duration_since(at));
        if age.is_some_and(|age| age < MAX_AGE) { Ok(()) } else { Err(KeyError::Stale) }
    }

    fn check(&self, entry: &Entry, unix: i64, lets: Lets) -> Result<Arc<KnownKey>, KeyError> {
        if is_over(entry.expires_at, unix) {
            return Err(KeyError::Expired);
        }
        let path = &entry.known.path;
        match self.organizations.get(path.organization.as_str()) {
            None => return Err(KeyError::Unknown),
            Some(it) if it.is_archived => return Err(KeyError::Unknown),
            Some(OrganizationChange { suspended: Some(why), .. }) if lets == Lets::InForce => {
                return Err(KeyError::Suspended(why.clone()));
            }
            Some(_) => {}
        }
        let is_archived = |project: &Project| project.is_archived;
        if entry.known.kind == KeyKind::Project && self.project(path).is_none_or(is_archived) {
            return Err(KeyError::Archived);
        }
        Ok(Arc::clone(&entry.known))
    }
}

impl Entry {
    /// With its id; nothing of a key that is no more.
    fn of(change: KeyChange) -> (String, Option<Self>) {
        let project = if change.project.is_empty() { "-" } else { &change.project };
        let names = (
            OrganizationId::new(&change.organization),
            ProjectId::new(project),
            KeyId::new(&change.id),
        );
        let (Ok(organization), Ok(project), Ok(key), false) =
            (names.0, names.1, names.2, change.is_revoked)
        else {
            return (change.id, None);
        };
        let known = KnownKey {
            path: Path { organization, project, key },
            kind: change.kind,
            role: change.role,
            scopes: Arc::new(change.scopes),
        };
        let (expires_at, secrets) = (change.expires_at, change.secrets);
        (change.id, Some(Self { known: Arc::new(known), expires_at, secrets }))
    }
}

fn is_over(end: Option<i64>, unix: i64) -> bool {
    end.is_some_and(|end| end <= unix)
}
