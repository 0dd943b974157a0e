//! Limits that other processes have too: what is asked for and given back.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use super::Meters;
use crate::lease::{LeaseAsks, LeaseGrants, LendError};
use crate::{Ask, Entry, OrganizationId, Path, Refusal};

impl Meters {
    /// Whether other processes may have the same limits.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.lender.is_some()
    }

    /// Asks other processes for what a request lacks that [`Meters::admit`] did not let in for
    /// that. Whoever asks at once may take it first, so it may have to be asked for again.
    ///
    /// # Errors
    /// If it cannot be asked for. Where there is too little, that is no error here.
    pub async fn lease(&self, path: &Path, ask: &Ask) -> Result<(), Refusal> {
        match &self.0.lender {
            Some(lender) => lender.lend(self, path, ask).await.map_err(Refusal::Lender),
            None => Ok(()),
        }
    }

    /// Reads what the ledger has of an organization's models, of other processes too, so that
    /// [`Meters::quote`] goes on from there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn refresh(&self, id: &OrganizationId) -> Result<(), LendError> {
        if let Some(lender) = &self.0.lender {
            let models = lender.read(id).await?;
            self.organization(id).set_used(&models, &self.prices(), self.moment().utc);
        }
        Ok(())
    }

    /// Whether other processes had something of a path's limits reserved when more was asked for,
    /// or the ledger has yet to say what was used here: there may be more soon.
    #[must_use]
    pub fn may_get_more(&self, path: &Path) -> bool {
        self.organization(&path.organization).may_get_more(path)
    }

    /// What a request lacks of what was granted to this process.
    #[must_use]
    pub fn wants(&self, path: &Path, ask: &Ask) -> LeaseAsks {
        self.organization(&path.organization).wants(path, ask, &self.prices(), self.moment())
    }

    /// What was lent of that. Nobody else asks between the two, or gives back.
    pub fn lent(&self, id: &OrganizationId, asks: &LeaseAsks, grants: &LeaseGrants) {
        self.borrowers().insert(id.clone());
        self.organization(id).lent(asks, grants, self.moment());
    }

    /// Gives up what was lent to some organizations and is not needed, of all or only of what
    /// others may lack; what is to be told to others, by organization, and then to
    /// [`Meters::given_up`].
    #[must_use]
    pub fn give_up(
        &self,
        of_all: bool,
        is_one: impl Fn(&OrganizationId) -> bool,
    ) -> Vec<(OrganizationId, LeaseAsks)> {
        let borrowers =
            self.borrowers().iter().filter(|id| is_one(id)).cloned().collect::<Vec<_>>();
        let mut all = Vec::new();
        for id in borrowers {
            let (asks, has_more) = self.organization(&id).give_up(&id, (self.moment(), of_all));
            if !has_more {
                self.borrowers().remove(&id);
            }
            if !asks.is_empty() {
                all.push((id, asks));
            }
        }
        all
    }

    /// Whether others were told.
    pub fn given_up(&self, id: &OrganizationId, asks: &LeaseAsks, is_written: bool) {
        if !is_written {
            self.borrowers().insert(id.clone());
        }
        self.organization(id).given_up(asks, is_written);
    }

    /// The ledger has these: what they were charged is reserved no longer, whatever they cost.
    /// Says whether others may lack that, and are to be told soon.
    pub fn appended(&self, entries: &[Entry]) -> bool {
        let mut is_scarce = false;
        for entry in entries.iter().filter(|_| self.is_shared()) {
            let organization = self.organization(&entry.opened.path.organization);
            is_scarce |= organization.appended(entry);
        }
        is_scarce
    }

    fn borrowers(&self) -> MutexGuard<'_, HashSet<OrganizationId>> {
        self.0.borrowers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
