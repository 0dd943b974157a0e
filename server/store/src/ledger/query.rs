//! Which usage is asked for, and what is told of it.

use server_metering::{Picos, Usage};

use super::filter::{MILLIS_PER_HOUR, UsageFilter};

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The project.
    Project,
    /// The key.
    Key,
    /// The version of a model.
    Model,
    /// What was asked for.
    Endpoint,
    /// What the client grouped it by.
    Tag,
    /// How it was served.
    Tier,
    /// The user whose key it was.
    User,
}

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketWidth {
    /// From minute to minute.
    Minute,
    /// From hour to hour.
    Hour,
    /// From midnight to midnight, UTC.
    Day,
}

/// Usage of a time, Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// The first moment.
    pub since: i64,
    /// The first moment after it.
    pub until: i64,
    /// Which usage.
    pub filter: UsageFilter,
}

/// A page of usage over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketQuery {
    /// All of it.
    pub usage: UsageQuery,
    /// How long a bucket is. Days and hours begin with those of UTC; the first bucket begins and
    /// the last one ends where the time does.
    pub width: BucketWidth,
    /// What the usage of a bucket is grouped by; all is one group by nothing.
    pub group_by: Vec<GroupBy>,
    /// At most so many buckets.
    pub limit: usize,
    /// Where the last bucket of the page before ended.
    pub after: Option<i64>,
}

/// What was used, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotal {
    /// How many requests it were.
    pub num_requests: u64,
    /// The units.
    pub usage: Usage,
    /// Their cost, exactly.
    pub cost: Picos,
}

/// The usage of a part of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The first moment, Unix milliseconds.
    pub start: i64,
    /// The first moment after it.
    pub end: i64,
    /// Those that used something.
    pub groups: Vec<UsageGroup>,
}

/// The usage of a group; `None` is what it is not grouped by, and a tag or user that is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageGroup {
    /// Its project.
    pub project: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// What was asked for.
    pub endpoint: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// How it was served.
    pub tier: Option<String>,
    /// Whose key it was.
    pub user: Option<String>,
    /// What it comes to.
    pub total: UsageTotal,
}

impl GroupBy {
    /// All, as rows have them.
    pub(super) const ALL: [Self; 7] =
        [Self::Project, Self::Key, Self::Model, Self::Endpoint, Self::Tag, Self::Tier, Self::User];

    /// What both tables have it by.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Project => "project_id",
            Self::Key => "key_id",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Tag => "tag",
            Self::Tier => "tier",
            Self::User => "key_id AS users_key",
        }
    }
}

impl BucketWidth {
    pub(super) fn millis(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => MILLIS_PER_HOUR,
            Self::Day => 24 * MILLIS_PER_HOUR,
        }
    }
}
