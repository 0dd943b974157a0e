//! Usage over time, and what it cost.

use serde::Serialize;
use server_metering::Meter;
use server_store::{UsageGroup, UsageTotal};
use utoipa::ToSchema;

use super::money::Amount;

/// A page of usage over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsagePage<T> {
    /// Always `page`.
    pub(crate) object: &'static str,
    /// The buckets, in the order of time.
    pub(crate) data: Vec<UsageBucket<T>>,
    /// Whether there is another page.
    pub(crate) has_more: bool,
    /// What to ask for it with; null if there is none.
    pub(crate) next_page: Option<String>,
}

/// What was used between two moments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageBucket<T> {
    /// Always `bucket`.
    pub(crate) object: &'static str,
    /// Its first second, Unix time.
    pub(crate) start_time: i64,
    /// The first second after it.
    pub(crate) end_time: i64,
    /// A result for each group that used something.
    pub(crate) results: Vec<T>,
}

/// What a result is of; null what it is not grouped by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageOf {
    /// The project.
    project_id: Option<String>,
    /// The user whose key it was.
    user_id: Option<String>,
    /// The key.
    api_key_id: Option<String>,
    /// The version of a model.
    model: Option<String>,
}

/// Tokens of texts and answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionsUsage {
    /// Always `organization.usage.completions.result`.
    object: &'static str,
    /// Tokens of prompts, those that were cached with them.
    input_tokens: u64,
    /// Tokens that were generated.
    output_tokens: u64,
    /// Tokens of prompts that were cached.
    input_cached_tokens: u64,
    /// Always 0: sound is not counted in tokens.
    input_audio_tokens: u64,
    /// Always 0.
    output_audio_tokens: u64,
    /// How many requests it were.
    num_model_requests: u64,
    #[serde(flatten)]
    of: UsageOf,
    /// Where it is grouped by that: false, since there are no batches.
    batch: Option<bool>,
    /// How it was served.
    service_tier: Option<String>,
}

/// Tokens that embeddings, rankings and labels were made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingsUsage {
    /// `organization.usage.embeddings.result` or `organization.usage.moderations.result`.
    object: &'static str,
    /// Tokens of the inputs.
    input_tokens: u64,
    /// How many requests it were.
    num_model_requests: u64,
    #[serde(flatten)]
    of: UsageOf,
}

/// Images that models looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagesUsage {
    /// Always `organization.usage.images.result`.
    object: &'static str,
    /// How many.
    images: u64,
    /// How many requests it were.
    num_model_requests: u64,
    #[serde(flatten)]
    of: UsageOf,
}

/// Recordings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TranscriptionsUsage {
    /// Always `organization.usage.audio_transcriptions.result`.
    object: &'static str,
    /// Seconds of them, the last one begun.
    seconds: u64,
    /// How many requests it were.
    num_model_requests: u64,
    #[serde(flatten)]
    of: UsageOf,
}

/// A cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostsResult {
    /// Always `organization.costs.result`.
    object: &'static str,
    /// How much.
    amount: Amount,
    /// The version of a model; null where it is not grouped by that.
    line_item: Option<String>,
    /// The project; null where it is not grouped by that.
    project_id: Option<String>,
    /// The key; null where it is not grouped by that.
    api_key_id: Option<String>,
}

impl<T> UsagePage<T> {
    pub(crate) fn new(data: Vec<UsageBucket<T>>, next_page: Option<String>) -> axum::Json<Self> {
        axum::Json(Self { object: "page", data, has_more: next_page.is_some(), next_page })
    }
}

impl UsageOf {
    fn new(group: &UsageGroup) -> Self {
        Self {
            project_id: group.project.clone(),
            user_id: group.user.clone(),
            api_key_id: group.key.clone(),
            model: group.model.clone(),
        }
    }
}

impl CompletionsUsage {
    pub(crate) fn new(group: &UsageGroup, by_batch: bool) -> Self {
        let UsageTotal { num_requests, usage, .. } = group.total;
        let cached = usage.get(Meter::CachedInputTokens);
        Self {
            object: "organization.usage.completions.result",
            input_tokens: usage.get(Meter::InputTokens).saturating_add(cached),
            output_tokens: usage.get(Meter::OutputTokens),
            input_cached_tokens: cached,
            input_audio_tokens: 0,
            output_audio_tokens: 0,
            num_model_requests: num_requests,
            of: UsageOf::new(group),
            batch: by_batch.then_some(false),
            service_tier: group.tier.clone(),
        }
    }
}

impl EmbeddingsUsage {
    pub(crate) fn new(object: &'static str, group: &UsageGroup) -> Self {
        let UsageTotal { num_requests, usage, .. } = group.total;
        let input_tokens = usage.get(Meter::EmbeddingTokens);
        Self { object, input_tokens, num_model_requests: num_requests, of: UsageOf::new(group) }
    }
}

impl ImagesUsage {
    pub(crate) fn new(group: &UsageGroup) -> Self {
        let UsageTotal { num_requests, usage, .. } = group.total;
        let object = "organization.usage.images.result";
        let images = usage.get(Meter::Images);
        Self { object, images, num_model_requests: num_requests, of: UsageOf::new(group) }
    }

    pub(crate) fn is_any(&self) -> bool {
        self.images > 0
    }
}

impl TranscriptionsUsage {
    pub(crate) fn new(group: &UsageGroup) -> Self {
        let UsageTotal { num_requests, usage, .. } = group.total;
        let object = "organization.usage.audio_transcriptions.result";
        let seconds = usage.get(Meter::AudioMillis).div_ceil(1000);
        Self { object, seconds, num_model_requests: num_requests, of: UsageOf::new(group) }
    }
}

impl CostsResult {
    pub(crate) fn new(group: &UsageGroup, currency: &str) -> Self {
        Self {
            object: "organization.costs.result",
            amount: Amount::new(group.total.cost, currency),
            line_item: group.model.clone(),
            project_id: group.project.clone(),
            api_key_id: group.key.clone(),
        }
    }
}
