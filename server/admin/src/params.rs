//! What reports of usage are asked by, as it is described; [`Query`](crate::query::Query) reads it.

use utoipa::IntoParams;

/// A time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct TimeParams {
    /// Its first second, Unix time
    start_time: i64,
    /// The first second after it; now, without it
    end_time: Option<i64>,
}

/// Whose usage, and of what.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct OfParams {
    /// Of these projects
    #[param(rename = "project_ids[]")]
    project_ids: Option<Vec<String>>,
    /// Of keys of these users
    #[param(rename = "user_ids[]")]
    user_ids: Option<Vec<String>>,
    /// Of these keys
    #[param(rename = "api_key_ids[]")]
    api_key_ids: Option<Vec<String>>,
    /// Of these versions of models
    #[param(rename = "models[]")]
    models: Option<Vec<String>>,
}

/// More of what.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct OfMoreParams {
    /// Of these paths
    #[param(rename = "endpoints[]")]
    endpoints: Option<Vec<String>>,
    /// Of these tags
    #[param(rename = "tags[]")]
    tags: Option<Vec<String>>,
    /// Of these tiers
    #[param(rename = "tiers[]")]
    tiers: Option<Vec<String>>,
}

/// A page of buckets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct BucketParams {
    /// `1m`, `1h` or `1d` (the default)
    bucket_width: Option<String>,
    /// Buckets of a page: of minutes up to 1,440, of hours 168, of days 31
    limit: Option<u32>,
    /// `next_page` of the page before
    page: Option<String>,
}

/// What buckets are parted by.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct GroupParams {
    /// `project_id`, `user_id`, `api_key_id`, `model`
    #[param(rename = "group_by[]")]
    group_by: Option<Vec<String>>,
}
