//! What a request used, as clients are told.

use server_api::{CompletionTokensDetails, PromptTokensDetails, Usage};

/// Of one prompt, whose choices took `completion_tokens` in. `predicted`: whether the client said
/// what to expect.
pub(crate) fn counted(usage: engine_core::Usage, completion_tokens: u64, predicted: bool) -> Usage {
    let prompt_tokens = u64::from(usage.prompt_tokens);
    let cached_tokens = u64::from(usage.cached_tokens);
    // Guesses of the server's own are none of the client's predictions.
    let of_prediction = |tokens: u32| if predicted { u64::from(tokens) } else { 0 };
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        prompt_tokens_details: PromptTokensDetails { cached_tokens },
        completion_tokens_details: CompletionTokensDetails {
            reasoning_tokens: 0,
            accepted_prediction_tokens: of_prediction(usage.accepted_draft_tokens),
            rejected_prediction_tokens: of_prediction(usage.rejected_draft_tokens),
        },
    }
}

/// Takes in what another prompt used.
pub(crate) fn add(total: &mut Usage, usage: Usage) {
    total.prompt_tokens += usage.prompt_tokens;
    total.completion_tokens += usage.completion_tokens;
    total.total_tokens += usage.total_tokens;
    total.prompt_tokens_details.cached_tokens += usage.prompt_tokens_details.cached_tokens;
    let (total, details) = (&mut total.completion_tokens_details, usage.completion_tokens_details);
    total.accepted_prediction_tokens += details.accepted_prediction_tokens;
    total.rejected_prediction_tokens += details.rejected_prediction_tokens;
}
