//! Which usage is asked for, in OpenAI's words, and the page of it.

use axum::Json;
use server_http::{ApiError, unix_time};
use server_store::{BucketQuery, BucketWidth, GroupBy, UsageFilter, UsageGroup, UsageQuery};

use crate::Admin;
use crate::query::{Query, word};
use crate::who::Asker;
use crate::wire::usage::{UsageBucket, UsagePage};

const PAGE: &str = "page_";

/// What kind of usage, by what was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Completions,
    Embeddings,
    Moderations,
    Transcriptions,
}

/// A page of usage.
pub(crate) struct Buckets(BucketQuery);

impl Kind {
    /// The routes that it is of.
    pub(crate) fn endpoints(self) -> &'static [&'static str] {
        match self {
            Self::Completions => &[
                "/v1/chat/completions",
                "/v1/completions",
                "/v1/responses",
                "/v1/messages",
                "/model/{id}/converse",
                "/model/{id}/converse-stream",
                "/model/{id}/invoke",
                "/model/{id}/invoke-with-response-stream",
            ],
            Self::Embeddings => &[
                "/v1/embeddings",
                "/embed",
                "/similarity",
                "/rerank",
                "/v1/rerank",
                "/v2/rerank",
                "/score",
                "/v1/score",
                "/classify",
                "/v1/classify",
                "/predict",
            ],
            Self::Moderations => &["/v1/moderations"],
            Self::Transcriptions => &["/v1/audio/transcriptions", "/v1/audio/translations"],
        }
    }
}

impl Buckets {
    /// Of the width and number that are asked for; groups by those of the words.
    pub(crate) fn asked(
        query: &Query,
        groups: (&[String], &[(&str, GroupBy)]),
        filter: UsageFilter,
    ) -> Result<Self, ApiError> {
        // As OpenAI's: how many by default, and at most.
        let widths = [
            ("1d", (BucketWidth::Day, 7, 31)),
            ("1h", (BucketWidth::Hour, 24, 168)),
            ("1m", (BucketWidth::Minute, 60, 1440)),
        ];
        let (width, default, max) =
            query.one_of("bucket_width", &widths)?.unwrap_or((BucketWidth::Day, 7, 31));
        let limit = query.number("limit", (1, max))?.unwrap_or(default);
        Self::of_width(query, (width, limit), groups, filter)
    }

    pub(crate) fn of_width(
        query: &Query,
        (width, limit): (BucketWidth, i64),
        (groups, words): (&[String], &[(&str, GroupBy)]),
        filter: UsageFilter,
    ) -> Result<Self, ApiError> {
        let mut group_by = Vec::new();
        for group in groups {
            let group = word("group_by", group, words)?;
            if !group_by.contains(&group) {
                group_by.push(group);
            }
        }
        let (since, until) = times(query)?;
        let after = query.text("page").map(page).transpose()?;
        Ok(Self(BucketQuery {
            usage: UsageQuery { since: since * 1000, until: until * 1000, filter },
            width,
            group_by,
            limit: usize::try_from(limit).unwrap_or(1),
            after,
        }))
    }
}

/// The first second of the time that is asked for, and the first one after it, which is now if it
/// is not said.
pub(crate) fn times(query: &Query) -> Result<(i64, i64), ApiError> {
    let since = query.time("start_time")?.ok_or_else(|| ApiError::missing("start_time"))?;
    let until = query.time("end_time")?.unwrap_or_else(|| unix_time() + 1);
    if since >= until {
        let message = "'start_time' is not before 'end_time', which is now where it is not given.";
        return Err(ApiError::invalid(Some("start_time"), message));
    }
    Ok((since, until))
}

/// Where the page before ended, in milliseconds.
fn page(text: &str) -> Result<i64, ApiError> {
    let seconds = text.strip_prefix(PAGE).and_then(|digits| digits.parse::<u32>().ok());
    seconds.map(|seconds| i64::from(seconds) * 1000).ok_or_else(|| {
        let message = "Invalid value for 'page': it is the 'next_page' of the answer before.";
        ApiError::invalid(Some("page"), message)
    })
}

/// The page, with what `read_group` makes of groups.
pub(crate) async fn read<T>(
    admin: &Admin,
    asker: &Asker,
    Buckets(query): Buckets,
    read_group: impl Fn(&UsageGroup) -> Option<T>,
) -> Result<Json<UsagePage<T>>, ApiError> {
    let page = admin.store.usage_buckets(&asker.may()?, &query).await?;
    let end = page.rows.last().map(|bucket| bucket.end / 1000);
    let data = page.rows.into_iter().map(|bucket| UsageBucket {
        object: "bucket",
        start_time: bucket.start / 1000,
        end_time: bucket.end / 1000,
        results: bucket.groups.iter().filter_map(&read_group).collect(),
    });
    let next_page = end.filter(|_| page.has_more).map(|end| format!("{PAGE}{end}"));
    Ok(UsagePage::new(data.collect(), next_page))
}
