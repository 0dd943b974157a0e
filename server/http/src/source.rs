//! From a request's options to the source of a generation: the model, the caller, the parameters.

use std::sync::Arc;

use server_api::GenerationOptions;

use crate::generation::Source;
use crate::params::{self, Context};
use crate::{ApiError, AppState, Caller};

/// Finds the model and checks the options against it.
pub(crate) fn new(
    state: &AppState,
    caller: Caller,
    options: GenerationOptions,
    logprobs: Option<u32>,
    field: &'static str,
) -> Result<Source, ApiError> {
    let Some(id) = options.model.as_deref() else { return Err(ApiError::missing("model")) };
    let model = state.model(id)?;
    let context = Context {
        limits: state.limits(),
        vocab_size: model.handle.limits().vocab_size,
        eos_token_ids: model.text.eos_token_ids(),
        logprobs,
    };
    let params = Arc::new(params::check(options, &context)?);
    Ok(Source { model, caller, params, field, prompt_logprobs: None })
}

/// How many tokens may follow a prompt of `num_prompt`: what was asked for, else at most
/// `default`, else what the context leaves.
pub(crate) fn max_tokens(
    source: &Source,
    num_prompt: usize,
    default: Option<u32>,
) -> Result<u32, ApiError> {
    if source.params.max_tokens == Some(0) && source.prompt_logprobs.is_none() {
        let message = "'max_tokens' must be at least 1 (0 only to score an echoed prompt).";
        return Err(ApiError::invalid(Some("max_tokens"), message));
    }
    let limit = source.model.handle.limits().max_sequence_len();
    let num_prompt = u32::try_from(num_prompt).unwrap_or(u32::MAX);
    let rest = limit.saturating_sub(num_prompt);
    let only_scores = source.params.max_tokens == Some(0) && num_prompt <= limit;
    if rest == 0 && !only_scores {
        return Err(ApiError::context_length(source.field, num_prompt.into(), 0, limit));
    }
    match source.params.max_tokens {
        Some(asked) if asked > rest => {
            let (prompt, asked) = (num_prompt.into(), asked.into());
            Err(ApiError::context_length(source.field, prompt, asked, limit))
        }
        Some(asked) => Ok(asked),
        None => Ok(default.unwrap_or(rest).min(rest)),
    }
}
