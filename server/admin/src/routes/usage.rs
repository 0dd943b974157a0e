//! `/v1/organization/usage/…` and `/v1/organization/costs`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::ApiError;
use server_store::{BucketWidth, GroupBy, UsageFilter, UsageGroup};

use crate::Admin;
use crate::buckets::{Buckets, Kind, read};
use crate::openapi::Refusals;
use crate::params::{BucketParams, GroupParams, OfParams, TimeParams};
use crate::query::Query;
use crate::who::Asker;
use crate::wire::usage::{
    CompletionsUsage, CostsResult, EmbeddingsUsage, ImagesUsage, TranscriptionsUsage, UsagePage,
};

/// As OpenAI's.
const MAX_COST_DAYS: i64 = 180;
const DEFAULT_COST_DAYS: i64 = 7;

const GROUPS: &[(&str, GroupBy)] = &[
    ("project_id", GroupBy::Project),
    ("user_id", GroupBy::User),
    ("api_key_id", GroupBy::Key),
    ("model", GroupBy::Model),
];

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/usage/completions", get(completions))
        .route("/v1/organization/usage/embeddings", get(embeddings))
        .route("/v1/organization/usage/moderations", get(moderations))
        .route("/v1/organization/usage/images", get(images))
        .route("/v1/organization/usage/audio_transcriptions", get(audio_transcriptions))
        .route("/v1/organization/costs", get(costs))
}

/// Tokens of chats, completions, responses and messages.
#[utoipa::path(get, path = "/v1/organization/usage/completions", tag = "Usage",
    operation_id = "completions_usage",
    params(TimeParams, BucketParams, OfParams, ("batch" = Option<bool>, Query),
        ("group_by[]" = Option<Vec<String>>, Query,
            description = "`project_id`, `user_id`, `api_key_id`, `model`, `batch`, \
                `service_tier`")),
    responses((status = 200, description = "A page", body = UsagePage<CompletionsUsage>),
        Refusals))]
pub(crate) async fn completions(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<CompletionsUsage>>, ApiError> {
    let words = [GROUPS, &[("service_tier", GroupBy::Tier)]].concat();
    let mut groups = query.texts("group_by")?;
    let by_batch = groups.iter().any(|group| group == "batch");
    groups.retain(|group| group != "batch");
    let mut filter = filter(&query, Kind::Completions)?;
    if query.is_set("batch")? {
        filter.tiers.push("batch".to_owned());
    }
    let buckets = Buckets::asked(&query, (&groups, &words), filter)?;
    let read_group = |group: &UsageGroup| Some(CompletionsUsage::new(group, by_batch));
    read(&admin, &asker, buckets, read_group).await
}

/// Tokens of embeddings, rankings, scores and labels.
#[utoipa::path(get, path = "/v1/organization/usage/embeddings", tag = "Usage",
    operation_id = "embeddings_usage",
    params(TimeParams, BucketParams, GroupParams, OfParams),
    responses((status = 200, description = "A page", body = UsagePage<EmbeddingsUsage>),
        Refusals))]
pub(crate) async fn embeddings(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<EmbeddingsUsage>>, ApiError> {
    let object = "organization.usage.embeddings.result";
    let buckets = of_kind(&query, Kind::Embeddings)?;
    read(&admin, &asker, buckets, |group| Some(EmbeddingsUsage::new(object, group))).await
}

/// Tokens that moderations looked at.
#[utoipa::path(get, path = "/v1/organization/usage/moderations", tag = "Usage",
    operation_id = "moderations_usage",
    params(TimeParams, BucketParams, GroupParams, OfParams),
    responses((status = 200, description = "A page", body = UsagePage<EmbeddingsUsage>),
        Refusals))]
pub(crate) async fn moderations(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<EmbeddingsUsage>>, ApiError> {
    let object = "organization.usage.moderations.result";
    let buckets = of_kind(&query, Kind::Moderations)?;
    read(&admin, &asker, buckets, |group| Some(EmbeddingsUsage::new(object, group))).await
}

/// Images that models looked at.
#[utoipa::path(get, path = "/v1/organization/usage/images", tag = "Usage",
    operation_id = "images_usage",
    params(TimeParams, BucketParams, GroupParams, OfParams),
    responses((status = 200, description = "A page", body = UsagePage<ImagesUsage>), Refusals))]
pub(crate) async fn images(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<ImagesUsage>>, ApiError> {
    let buckets = of_kind(&query, Kind::Completions)?;
    let read_group = |group: &UsageGroup| {
        let seen = ImagesUsage::new(group);
        seen.is_any().then_some(seen)
    };
    read(&admin, &asker, buckets, read_group).await
}

/// Recordings that were transcribed or translated.
#[utoipa::path(get, path = "/v1/organization/usage/audio_transcriptions", tag = "Usage",
    operation_id = "audio_transcriptions_usage",
    params(TimeParams, BucketParams, GroupParams, OfParams),
    responses((status = 200, description = "A page", body = UsagePage<TranscriptionsUsage>),
        Refusals))]
pub(crate) async fn audio_transcriptions(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<TranscriptionsUsage>>, ApiError> {
    let buckets = of_kind(&query, Kind::Transcriptions)?;
    read(&admin, &asker, buckets, |group| Some(TranscriptionsUsage::new(group))).await
}

/// What it cost, day by day.
#[utoipa::path(get, path = "/v1/organization/costs", tag = "Usage", operation_id = "costs",
    params(TimeParams,
        ("bucket_width" = Option<String>, Query, description = "`1d` alone"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 180),
        ("page" = Option<String>, Query),
        ("group_by[]" = Option<Vec<String>>, Query,
            description = "`project_id`, `line_item` (the version of a model), `api_key_id`"),
        ("project_ids[]" = Option<Vec<String>>, Query),
        ("api_key_ids[]" = Option<Vec<String>>, Query)),
    responses((status = 200, description = "A page", body = UsagePage<CostsResult>), Refusals))]
pub(crate) async fn costs(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsagePage<CostsResult>>, ApiError> {
    let words = [
        ("project_id", GroupBy::Project),
        ("line_item", GroupBy::Model),
        ("api_key_id", GroupBy::Key),
    ];
    query.one_of("bucket_width", &[("1d", BucketWidth::Day)])?;
    let (groups, filter) = (
        query.texts("group_by")?,
        UsageFilter {
            projects: query.texts("project_ids")?,
            keys: query.texts("api_key_ids")?,
            ..UsageFilter::default()
        },
    );
    let limit = query.number("limit", (1, MAX_COST_DAYS))?.unwrap_or(DEFAULT_COST_DAYS);
    let width = (BucketWidth::Day, limit);
    let buckets = Buckets::of_width(&query, width, (&groups, &words), filter)?;
    let currency = admin.store.currency().await?;
    let read_group = |group: &UsageGroup| Some(CostsResult::new(group, currency.code()));
    read(&admin, &asker, buckets, read_group).await
}

/// What all kinds but completions are asked by.
fn of_kind(query: &Query, kind: Kind) -> Result<Buckets, ApiError> {
    Buckets::asked(query, (&query.texts("group_by")?, GROUPS), filter(query, kind)?)
}

fn filter(query: &Query, kind: Kind) -> Result<UsageFilter, ApiError> {
    Ok(UsageFilter {
        projects: query.texts("project_ids")?,
        keys: query.texts("api_key_ids")?,
        models: query.texts("models")?,
        users: query.texts("user_ids")?,
        endpoints: kind.endpoints().iter().map(|&path| path.to_owned()).collect(),
        ..UsageFilter::default()
    })
}
