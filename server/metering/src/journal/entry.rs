//! What the journal tells of a request.

use crate::{Endpoint, ModelId, Path, Picos, RequestId, Tag, Tier, UnixMillis, Usage};

/// How work ended. Its number is what the journal writes: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// By itself.
    Finished,
    /// By what a budget or a quota paid for.
    Capped,
    /// By its client.
    Cancelled,
    /// By an error of ours.
    Failed,
    /// By whoever had the permit going away.
    Dropped,
    /// By the end of the process: what its last mark says is what is known of it.
    Lost,
}

/// A request that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The request.
    pub request: RequestId,
    /// Whose it is.
    pub path: Path,
    /// The version of a model that works.
    pub model: ModelId,
    /// How it is served.
    pub tier: Tier,
    /// What was asked for.
    pub endpoint: Endpoint,
    /// What its client groups it with.
    pub tag: Option<Tag>,
    /// When it was let in: prices are those of then.
    pub opened_at: UnixMillis,
    /// The most that it could cost.
    pub held: Picos,
}

/// A line of the ledger: a request that ended. Its request's id is its key: the same line may come
/// twice, and counts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The request.
    pub opened: Opened,
    /// When it ended.
    pub settled_at: UnixMillis,
    /// What was delivered.
    pub usage: Usage,
    /// What was charged for that: what it costs, exactly. Where other processes use the same free
    /// units and steps of prices, it is the most that it can cost; the ledger says what it does.
    pub cost: Picos,
    /// How it ended.
    pub ending: Ending,
}

/// How a request ended, of whoever has its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) opened: &'a Opened,
    pub(crate) settled_at: UnixMillis,
    pub(crate) usage: Usage,
    pub(crate) cost: Picos,
    pub(crate) ending: Ending,
}

/// What the journal keeps for a request that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The segment that has its first mark, once there is one.
    pub(crate) begun_in: Option<u64>,
    /// Bytes that are left free for how it ends.
    pub(crate) room: u64,
}

/// What a request has delivered so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) request: RequestId,
    pub(crate) at: UnixMillis,
    pub(crate) usage: Usage,
    pub(crate) cost: Picos,
}

impl Opened {
    /// How long the record of its end is in its frame, at most.
    pub(crate) fn max_end_bytes(&self) -> u64 {
        /// The frame's head, and all numbers at their longest, with the lengths of names.
        const NUMBERS: usize = 224;
        let Self { request, path, model, tier, endpoint, tag, .. } = self;
        let names = [request.as_str(), model.as_str(), tier.as_str(), endpoint.as_str()];
        let path = [path.organization.as_str(), path.project.as_str(), path.key.as_str()];
        let tag = tag.as_ref().map_or(0, |tag| tag.as_str().len());
        let names: usize = names.iter().chain(&path).map(|name| name.len()).sum();
        (NUMBERS + names + tag) as u64
    }
}

impl Entry {
    pub(crate) fn ended(&self) -> Ended<'_> {
        let Self { opened, settled_at, usage, cost, ending } = self;
        let (settled_at, usage, cost, ending) = (*settled_at, *usage, *cost, *ending);
        Ended { opened, settled_at, usage, cost, ending }
    }
}

impl Ended<'_> {
    /// Its line.
    pub(crate) fn entry(&self) -> Entry {
        let Self { opened, settled_at, usage, cost, ending } = *self;
        Entry { opened: opened.clone(), settled_at, usage, cost, ending }
    }
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Finished, Self::Capped, Self::Cancelled, Self::Failed, Self::Dropped, Self::Lost];

    /// What the ledger calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Capped => "capped",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Lost => "lost",
        }
    }
}
