//! All accounts, and how requests get in.
//!
//! Invariant: nobody gets a permit while the journal does not take how requests end.

mod lending;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::journal::{Journal, Opened};
use crate::organization::{Moment, Organization};
use crate::{
    AccountId, Clock, Durability, Endpoint, Entry, JournalError, Lender, Level, Limits, ModelId,
    OrganizationId, Path, Period, Permit, PriceBook, PriceError, Priced, Quote, RateStatuses,
    Refusal, RequestId, Standing, Sum, Tag, Tier, Usage,
};

/// What a request asks for, at most.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request: no other one, before or after, may have this id.
    pub request: RequestId,
    /// The version of a model that is to work.
    pub model: ModelId,
    /// How it is to be served.
    pub tier: Tier,
    /// What is asked for.
    pub endpoint: Endpoint,
    /// What the client groups it with.
    pub tag: Option<Tag>,
    /// Tokens of the prompt, whether a cache has them or not.
    pub input_tokens: u64,
    /// The most tokens it may generate; 0 where nothing is generated.
    pub max_output_tokens: u64,
    /// The most that it uses besides. Tokens of embeddings count for rates of input.
    pub other: Usage,
}

/// All accounts of this process. A clone is the same.
#[derive(Clone, Debug)]
pub struct Meters(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    /// Written when an organization comes, and otherwise read.
    organizations: RwLock<HashMap<OrganizationId, Arc<Organization>>>,
    /// Who lends of limits that other processes have too, if any do.
    lender: Option<Arc<dyn Lender>>,
    /// Organizations that something was lent to, and which have not given all back.
    borrowers: Mutex<HashSet<OrganizationId>>,
    prices: RwLock<Arc<PriceBook>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Meters {
    /// No accounts yet. Those that nobody set limits for have none, and are made when a request of
    /// theirs comes: let nobody ask whose key was not checked.
    #[must_use]
    pub fn new(journal: Arc<Journal>, prices: PriceBook, clock: Arc<dyn Clock>) -> Self {
        Self::made(journal, prices, clock, None)
    }

    /// The same of a process that has its limits in common with others.
    #[must_use]
    pub fn shared(
        journal: Arc<Journal>,
        prices: PriceBook,
        clock: Arc<dyn Clock>,
        lender: Arc<dyn Lender>,
    ) -> Self {
        Self::made(journal, prices, clock, Some(lender))
    }

    fn made(
        journal: Arc<Journal>,
        prices: PriceBook,
        clock: Arc<dyn Clock>,
        lender: Option<Arc<dyn Lender>>,
    ) -> Self {
        Self(Arc::new(Shared {
            organizations: RwLock::default(),
            lender,
            borrowers: Mutex::default(),
            prices: RwLock::new(Arc::new(prices)),
            journal,
            clock,
        }))
    }

    /// A permit for what is asked, which holds the most that it can use at each level; output is
    /// capped where a budget or a quota pays for less, and for a token at least.
    ///
    /// Writes nothing yet: what ends within [`MARK_EVERY`](crate::MARK_EVERY) is written once.
    ///
    /// # Errors
    /// If a limit of a level does not let it in, or the journal does not take how it would end;
    /// nothing is taken then.
    /// [`Refusal::NotLent`], if more is to be asked for of other processes first.
    pub fn admit(&self, path: &Path, ask: &Ask) -> Result<Permit, Refusal> {
        let (shared, moment) = (&self.0, self.moment());
        let organization = self.organization(&path.organization);
        let prices = shared.prices.read().unwrap_or_else(PoisonError::into_inner);
        let admitted = organization.admit(path, ask, &prices, moment)?;
        drop(prices);
        let opened = Opened {
            request: ask.request.clone(),
            path: path.clone(),
            model: ask.model.clone(),
            tier: ask.tier.clone(),
            endpoint: ask.endpoint.clone(),
            tag: ask.tag.clone(),
            opened_at: moment.utc,
            held: admitted.hold.cost(),
        };
        match shared.journal.claim(&opened) {
            Ok(claim) => {
                let opened = (opened, claim);
                Ok(Permit::new(Arc::clone(shared), organization, opened, admitted, moment.now))
            }
            Err(error) => {
                organization.undo(path, &admitted.hold);
                Err(error.into())
            }
        }
    }

    /// Whether the journal takes how requests end: while it does not, nobody gets a permit.
    ///
    /// # Errors
    /// Why it does not, as [`Meters::admit`] would say it.
    pub fn check(&self) -> Result<(), JournalError> {
        self.0.journal.check()
    }

    /// Other limits of an account, from now on; what it used and holds stays.
    pub fn set_limits(&self, id: &AccountId, limits: Limits) {
        self.organization(id.organization()).set_limits(id, limits, self.moment());
    }

    /// Other prices, for requests from now on.
    pub fn set_prices(&self, prices: PriceBook) {
        *self.0.prices.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(prices);
    }

    /// Prices that were agreed on with an organization, in place of those for all.
    pub fn set_own_prices(&self, id: &OrganizationId, prices: Option<Arc<PriceBook>>) {
        self.organization(id).set_prices(prices);
    }

    /// Adds what an account used in the present day or month, or ever, before this process began.
    pub fn restore(&self, id: &AccountId, period: Period, used: &Sum) {
        self.organization(id.organization()).restore(id, period, self.0.clock.utc(), used);
    }

    /// Adds what an organization used of a model's tier in the price list's present period before
    /// this process began: free units and steps are counted from there. It counts towards the list
    /// that prices the model now.
    pub fn restore_used(
        &self,
        id: &OrganizationId,
        model: (&ModelId, &Tier),
        period: Period,
        used: &Sum,
    ) {
        let (organization, utc) = (self.organization(id), self.0.clock.utc());
        let book = organization.prices().unwrap_or_else(|| self.prices());
        let priced = book.find(model.0, model.1, utc);
        let list = priced.as_ref().map_or(model, |priced| (&priced.model, &priced.tier));
        organization.restore_used(list, period, utc, used);
    }

    /// Counts a line that went into the ledger by another way than a permit, in the periods of it
    /// that are not over: what is billed by the clock.
    pub fn count(&self, line: &Entry) {
        // What other processes have in common is read out of the ledger.
        if self.is_shared() {
            return;
        }
        let Entry { opened, settled_at, usage, cost, .. } = line;
        let (utc, sum) = (self.0.clock.utc(), Sum { usage: *usage, cost: *cost });
        let is_present = |period: Period| period.number(*settled_at) == period.number(utc);
        for period in Period::ALL.into_iter().filter(|period| is_present(*period)) {
            for level in [Level::Organization, Level::Project] {
                self.restore(&opened.path.account(level), period, &sum);
            }
        }
        let id = &opened.path.organization;
        let book = self.organization(id).prices().unwrap_or_else(|| self.prices());
        let priced = book.find(&opened.model, &opened.tier, utc);
        if let Some(Priced { model, tier, prices }) =
            priced.as_deref().filter(|it| is_present(it.prices.period()))
        {
            self.organization(id).restore_used((model, tier), prices.period(), utc, &sum);
        }
    }

    /// Forgets a project or a key that is no more, with its limits; its organization keeps what it
    /// used, and requests that run go on.
    pub fn forget(&self, id: &AccountId) {
        self.organization(id.organization()).forget(id);
    }

    /// What an account used and holds.
    #[must_use]
    pub fn standing(&self, id: &AccountId) -> Standing {
        self.organization(id.organization()).standing(id, self.0.clock.utc())
    }

    /// When the disk has what was admitted or settled: whether that waits for it.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.0.journal.durability()
    }

    /// How the rates of a path stand, of each kind that which leaves the least.
    #[must_use]
    pub fn rates(&self, path: &Path) -> RateStatuses {
        self.organization(&path.organization).statuses(path, self.0.clock.now())
    }

    /// What a usage would cost an organization now, after what it used.
    ///
    /// # Errors
    /// If the model has no price in this tier.
    pub fn quote(
        &self,
        id: &OrganizationId,
        (model, tier): (&ModelId, &Tier),
        usage: Usage,
    ) -> Result<Quote, PriceError> {
        let organization = self.organization(id);
        let utc = self.0.clock.utc();
        let book = organization.prices().unwrap_or_else(|| self.prices());
        let priced = book.find(model, tier, utc);
        let list = priced.as_ref().map_or((model, tier), |priced| (&priced.model, &priced.tier));
        book.quote((model, tier), usage, utc, organization.used(list.0, list.1, utc))
    }

    fn moment(&self) -> Moment {
        Moment { now: self.0.clock.now(), utc: self.0.clock.utc() }
    }

    fn prices(&self) -> Arc<PriceBook> {
        Arc::clone(&self.0.prices.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn organization(&self, id: &OrganizationId) -> Arc<Organization> {
        let known = self.0.organizations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(organization) = known.get(id) {
            return Arc::clone(organization);
        }
        drop(known);
        let mut all = self.0.organizations.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Organization::new(self.is_shared()));
        Arc::clone(all.entry(id.clone()).or_insert_with(new))
    }
}
