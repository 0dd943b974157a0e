//! Rate limits as OpenAI has them, one for each model of a project. Ours stand on the project: it
//! has one, of all models.

use serde::{Deserialize, Serialize};
use server_accounts::LimitsData;
use utoipa::ToSchema;

use crate::list::Listed;

/// The only rate limit of a project.
pub(crate) const ID: &str = "rl-all";
/// The model of it.
const ALL_MODELS: &str = "*";

/// A project's rate limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateLimit {
    /// Always `project.rate_limit`.
    object: &'static str,
    /// Always `rl-all`.
    id: &'static str,
    /// Always `*`: all models together.
    model: &'static str,
    /// Requests that begin in a minute; null where they are not limited.
    max_requests_per_1_minute: Option<u64>,
    /// Tokens in a minute, of prompts and generated ones each; null where they are not limited.
    max_tokens_per_1_minute: Option<u64>,
}

/// What is to be another of a rate limit; what is not given, or null, stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RateLimitRequest {
    /// Requests that begin in a minute.
    pub(crate) max_requests_per_1_minute: Option<u64>,
    /// Tokens in a minute, of prompts and generated ones each.
    pub(crate) max_tokens_per_1_minute: Option<u64>,
    /// Not limited here by the minute.
    pub(crate) max_images_per_1_minute: Option<u64>,
    /// Not limited here by the minute.
    pub(crate) max_audio_megabytes_per_1_minute: Option<u64>,
    /// Not limited here by the day.
    pub(crate) max_requests_per_1_day: Option<u64>,
    /// Not limited here: there are no batches.
    pub(crate) batch_1_day_max_input_tokens: Option<u64>,
}

impl RateLimitRequest {
    /// A limit that was asked for and is not kept here.
    pub(crate) fn unsupported(&self) -> Option<&'static str> {
        let unsupported = [
            ("max_images_per_1_minute", self.max_images_per_1_minute),
            ("max_audio_megabytes_per_1_minute", self.max_audio_megabytes_per_1_minute),
            ("max_requests_per_1_day", self.max_requests_per_1_day),
            ("batch_1_day_max_input_tokens", self.batch_1_day_max_input_tokens),
        ];
        unsupported.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name)
    }

    /// The limits with what is to be another.
    pub(crate) fn applied(&self, mut limits: LimitsData) -> LimitsData {
        if let Some(max) = self.max_requests_per_1_minute {
            limits.requests_per_minute = Some(max);
        }
        if let Some(max) = self.max_tokens_per_1_minute {
            limits.input_tokens_per_minute = Some(max);
            limits.output_tokens_per_minute = Some(max);
        }
        limits
    }
}

impl From<&LimitsData> for RateLimit {
    fn from(limits: &LimitsData) -> Self {
        let tokens = [limits.input_tokens_per_minute, limits.output_tokens_per_minute];
        Self {
            object: "project.rate_limit",
            id: ID,
            model: ALL_MODELS,
            max_requests_per_1_minute: limits.requests_per_minute,
            max_tokens_per_1_minute: tokens.into_iter().flatten().max(),
        }
    }
}

impl Listed for RateLimit {
    fn id(&self) -> &str {
        self.id
    }
}
