//! A line that is due, and what it costs.

use server_metering::{
    Ending, Endpoint, Entry, KeyId, Meter, ModelId, Opened, OrganizationId, Path, Picos, ProjectId,
    RequestId, Tier, UnixMillis, Usage,
};

use super::NOBODY;
use crate::ledger::books::PriceBooks;
use crate::ledger::error::BillingError;

/// An id is bounded, and an organization's may be as long as one: of longer ones the hash stands
/// for them.
const MAX_OWNER_BYTES: usize = 128;

/// What is to be billed of a time.
pub(super) struct Due<'a> {
    /// What it is of: an organization, or a provision.
    pub(super) owner: &'a str,
    pub(super) organization: &'a str,
    pub(super) project: Option<&'a str>,
    pub(super) model: &'a str,
    pub(super) tier: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) usage: Usage,
}

/// The hour or month of it.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) number: i64,
    pub(super) first: UnixMillis,
    pub(super) last: UnixMillis,
}

impl Due<'_> {
    /// The line, at the prices of its last moment: at the dearest, until it has its place.
    pub(super) fn priced(&self, books: &PriceBooks, span: Span) -> Result<Entry, BillingError> {
        let mut entry = self.costing(Picos::ZERO, span)?;
        let Opened { path, model, tier, .. } = &entry.opened;
        let book = books.of(&path.organization);
        let Some(priced) = book.find(model, tier, span.last) else { return Ok(entry) };
        let cost = priced.prices.ceiling(self.usage);
        (entry.cost, entry.opened.held) = (cost, cost);
        Ok(entry)
    }

    /// The line, of what it costs.
    pub(super) fn costing(&self, cost: Picos, span: Span) -> Result<Entry, BillingError> {
        let owner = match self.owner.len() {
            0..=MAX_OWNER_BYTES => self.owner.to_owned(),
            _ => blake3::hash(self.owner.as_bytes()).to_hex().to_string(),
        };
        // The time first: those of one time lie together in the index.
        let request = format!("{}:{}:{owner}", self.endpoint, span.number);
        let opened = Opened {
            request: RequestId::new(&request)?,
            path: Path {
                organization: OrganizationId::new(self.organization)?,
                project: ProjectId::new(self.project.unwrap_or(NOBODY))?,
                key: KeyId::new(NOBODY)?,
            },
            model: ModelId::new(self.model)?,
            tier: Tier::new(self.tier)?,
            endpoint: Endpoint::new(self.endpoint)?,
            tag: None,
            opened_at: span.first,
            held: cost,
        };
        let (usage, ending) = (self.usage, Ending::Finished);
        Ok(Entry { opened, settled_at: span.last, usage, cost, ending })
    }
}

/// So many units of a meter, of which a database has no fewer than none.
pub(super) fn units(meter: Meter, units: i64) -> Usage {
    Usage::NONE.with(meter, u64::try_from(units).unwrap_or(0))
}
