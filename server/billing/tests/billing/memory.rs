//! The store in memory, as strict as one in SQL: states are texts, and saved over the one that they
//! were made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use server_billing::{
    BillingStore, BillingStoreError, CustomerId, Hour, LedgerSums, Loaded, Metered, Notice, Report,
    UnixSeconds, Update,
};
use server_metering::{Micros, OrganizationId, Picos};

#[derive(Default)]
struct Inner {
    /// The state's text, its revision, and its next tick.
    states: HashMap<OrganizationId, (String, u64, Option<UnixSeconds>)>,
    customers: HashMap<CustomerId, OrganizationId>,
    outbox: Vec<(OrganizationId, Notice)>,
    metered: BTreeMap<OrganizationId, Metered>,
    ledger: Vec<(OrganizationId, UnixSeconds, i128)>,
    /// How many reports end in a crash from now on, before they are marked.
    crashes: usize,
    /// How many saves find that another was faster.
    races: usize,
}

/// What billing keeps; each clone is another process.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Inner>>);

type Kept<T> = Result<T, BillingStoreError>;

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The ledger settles so many pico-units at a moment.
    pub(crate) fn settle(&self, organization: &OrganizationId, at: UnixSeconds, picos: i128) {
        self.lock().ledger.push((organization.clone(), at, picos));
    }

    /// What was to be told since it was last asked.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.lock().outbox).into_iter().map(|(_, notice)| notice).collect()
    }

    pub(crate) fn crash_before_marks(&self, num: usize) {
        self.lock().crashes = num;
    }

    pub(crate) fn lose_races(&self, num: usize) {
        self.lock().races = num;
    }

    pub(crate) fn all_metered(&self) -> Vec<Metered> {
        self.lock().metered.values().cloned().collect()
    }

    /// All of an organization that counts in the ledger.
    pub(crate) fn exact(&self, metered: &Metered) -> i128 {
        self.lock().lines(&metered.organization).map(|(_, picos)| picos).sum()
    }
}

impl Inner {
    fn lines(&self, organization: &OrganizationId) -> impl Iterator<Item = (Hour, i128)> {
        let counts = move |at: UnixSeconds| {
            let mut spans = self.metered.get(organization).into_iter().flat_map(|m| &m.spans);
            spans.any(|span| at >= span.from && span.until.is_none_or(|until| at < until))
        };
        let all = self.ledger.iter().filter(move |(of, at, _)| of == organization && counts(*at));
        all.map(|(_, at, picos)| (Hour::of(*at), *picos))
    }

    fn open(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        before: Hour,
    ) -> BTreeMap<Hour, i128> {
        let mut hours = BTreeMap::new();
        for (hour, picos) in self.lines(organization) {
            if hour < before && watermark.is_none_or(|watermark| hour > watermark) {
                *hours.entry(hour).or_default() += picos;
            }
        }
        hours
    }
}

impl BillingStore for Memory {
    async fn load(&self, organization: &OrganizationId) -> Kept<Loaded> {
        Ok(match self.lock().states.get(organization) {
            Some((text, revision, _)) => {
                Loaded { state: serde_json::from_str(text).unwrap(), revision: *revision }
            }
            None => Loaded::default(),
        })
    }

    async fn save(&self, id: &OrganizationId, revision: u64, update: Update) -> Kept<bool> {
        let mut inner = self.lock();
        if inner.races > 0 {
            inner.races -= 1;
            return Ok(false);
        }
        if inner.states.get(id).map_or(0, |state| state.1) != revision {
            return Ok(false);
        }
        let text = serde_json::to_string(&update.state).unwrap();
        inner.states.insert(id.clone(), (text, revision + 1, update.next_tick));
        if let Some(customer) = update.state.customer() {
            inner.customers.insert(customer.clone(), id.clone());
        }
        inner.outbox.extend(update.notices.into_iter().map(|notice| (id.clone(), notice)));
        let new = || Metered {
            organization: id.clone(),
            spans: Vec::new(),
            watermark: None,
            reported: Micros::ZERO,
            pending: None,
        };
        let metered = inner.metered.entry(id.clone()).or_insert_with(new);
        for span in update.spans {
            match metered.spans.iter_mut().find(|known| known.subscription == span.subscription) {
                Some(known) => known.until = span.until,
                None => metered.spans.push(span),
            }
        }
        Ok(true)
    }

    async fn organization_of(&self, customer: &CustomerId) -> Kept<Option<OrganizationId>> {
        Ok(self.lock().customers.get(customer).cloned())
    }

    async fn due(&self, now: UnixSeconds, limit: usize) -> Kept<Vec<OrganizationId>> {
        let inner = self.lock();
        let due = inner.states.iter().filter(|(_, state)| state.2.is_some_and(|at| at <= now));
        Ok(due.map(|(id, _)| id.clone()).take(limit).collect())
    }

    async fn metered(
        &self,
        before: Hour,
        after: Option<&OrganizationId>,
        limit: usize,
    ) -> Kept<Vec<Metered>> {
        let inner = self.lock();
        let rest = inner.metered.values().filter(|m| after.is_none_or(|id| m.organization > *id));
        let has_any = rest.filter(|metered| {
            let open = inner.open(&metered.organization, metered.watermark, before);
            metered.pending.is_some() || !open.is_empty()
        });
        Ok(has_any.take(limit).cloned().collect())
    }

    async fn sums(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        before: Hour,
        limit: usize,
    ) -> Kept<LedgerSums> {
        let inner = self.lock();
        let known = inner.lines(organization).filter(|(hour, _)| Some(*hour) <= watermark);
        let known = Picos::new(known.map(|(_, picos)| picos).sum());
        let hours = inner.open(organization, watermark, before).into_iter().take(limit);
        let hours = hours.map(|(hour, picos)| (hour, Picos::new(picos))).collect();
        Ok(LedgerSums { before: known, hours })
    }

    async fn begin_report(
        &self,
        organization: &OrganizationId,
        watermark: Option<Hour>,
        report: &Report,
    ) -> Kept<bool> {
        let mut inner = self.lock();
        let metered = inner.metered.get_mut(organization).unwrap();
        let is_free = metered.watermark == watermark && metered.pending.is_none();
        if is_free {
            assert!(Some(report.hour) > watermark, "a watermark only grows");
            metered.pending = Some(report.clone());
        }
        Ok(is_free)
    }

    async fn end_report(&self, organization: &OrganizationId, hour: Hour) -> Kept<()> {
        let mut inner = self.lock();
        if inner.crashes > 0 {
            inner.crashes -= 1;
            return Err(BillingStoreError("the process was killed".into()));
        }
        let metered = inner.metered.get_mut(organization).unwrap();
        if let Some(report) = metered.pending.take_if(|report| report.hour == hour) {
            metered.reported = Micros::new(metered.reported.get() + report.amount.get());
            metered.watermark = Some(hour);
        }
        Ok(())
    }
}
