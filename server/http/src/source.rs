//! From a request's options to the source of a generation: the model, the caller, the parameters.

use std::sync::Arc;

use engine_core::{Grammar, Inset, TokenId};
use server_api::GenerationOptions;

use crate::blocking::run_sized;
use crate::grammar::Asked;
use crate::guard::OutputGuards;
use crate::params::{self, Context, Params};
use crate::tools::Tools;
use crate::{ApiError, AppState, Caller, HttpLimits, ServedModel, grammar};

/// What to generate from.
pub(crate) struct Source {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) caller: Caller,
    pub(crate) params: Arc<Params>,
    /// The field that holds the prompt, for errors.
    pub(crate) field: &'static str,
    /// Whether the echoed prompt is scored.
    pub(crate) prompt_logprobs: Option<u32>,
    /// What every choice shall match, until it is compiled.
    pub(crate) asked: Option<Asked>,
    /// What every choice must match.
    pub(crate) grammar: Option<Arc<dyn Grammar>>,
    /// What that makes of the answer.
    pub(crate) form: Form,
    /// What every choice may well say.
    pub(crate) prediction: Vec<TokenId>,
    /// What every choice is checked by.
    pub(crate) guards: OutputGuards,
}

/// What a grammar makes of a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing: it is free, if not the calls within it.
    Free,
    /// Nothing but calls.
    Calls,
    /// Calls or what was asked for.
    CallsOrOther,
    /// What was asked for.
    Other,
}

/// One prompt.
pub(crate) struct PromptTokens {
    pub(crate) tokens: Vec<TokenId>,
    /// What of them are images.
    pub(crate) insets: Vec<Inset>,
    /// What each choice's text begins with.
    pub(crate) echo: Option<String>,
    /// At most this many new tokens.
    pub(crate) max_tokens: u32,
}

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
    let asked = grammar::asked(&options)?;
    let params = Arc::new(params::check(options, &context)?);
    Ok(Source {
        model,
        caller,
        params,
        field,
        prompt_logprobs: None,
        asked,
        grammar: None,
        form: Form::Free,
        prediction: Vec::new(),
        guards: OutputGuards::of(state),
    })
}

/// Compiles the grammar that was asked for, and that of the calls that the model must or may make.
pub(crate) async fn follow(
    state: &AppState,
    source: &mut Source,
    tools: Option<&Tools>,
) -> Result<(), ApiError> {
    let (asked, text) = (source.asked.take(), &source.model.text);
    let calls = tools.and_then(|tools| tools.grammar(text, asked.is_some()));
    let must_call = tools.is_some_and(Tools::must_be_called);
    let (asked, form) = match (asked, calls) {
        (None, None) => (None, Form::Free),
        (Some(asked), None) => (Some(asked), Form::Other),
        (Some(asked), Some(_)) if must_call => return Err(grammar::excludes_calls(&asked)),
        (Some(asked), Some(calls)) => (Some(asked.or(calls)), Form::CallsOrOther),
        (None, Some(calls)) => {
            (Some(Asked::calls(calls)), if must_call { Form::Calls } else { Form::Free })
        }
    };
    source.form = form;
    let who = (&source.model, &source.caller.tenant);
    source.grammar = grammar::compile(state, who, asked, &source.params.stop).await?;
    Ok(())
}

/// The tokens of what the client expects of the answer. What is too long for an answer is of no
/// use, and no fault.
pub(crate) async fn predict(state: &AppState, source: &mut Source) -> Result<(), ApiError> {
    let Some(predicted) = source.params.prediction.clone() else { return Ok(()) };
    let (text, num_bytes) = (Arc::clone(&source.model.text), predicted.len());
    let tokens = run_sized(state, num_bytes, move || text.encode(&predicted, false)).await?;
    source.prediction = tokens.unwrap_or_default();
    source.prediction.truncate(source.model.handle.limits().max_sequence_len() as usize);
    Ok(())
}

/// How many tokens may follow a prompt of `num_prompt`: what was asked for, else at most
/// `default`, else what the context leaves.
pub(crate) fn max_tokens(
    source: &Source,
    num_prompt: usize,
    default: Option<u32>,
) -> Result<u32, ApiError> {
    if source.params.max_tokens == Some(0) && source.prompt_logprobs.is_none() {
        let name = source.params.max_tokens_name;
        return Err(ApiError::invalid(Some(name), format!("'{name}' must be at least 1.")));
    }
    let limit = source.model.handle.limits().max_sequence_len();
    let num_prompt = u32::try_from(num_prompt).unwrap_or(u32::MAX);
    let rest = limit.saturating_sub(num_prompt);
    let only_scores = source.params.max_tokens == Some(0) && num_prompt <= limit;
    if rest == 0 && !only_scores {
        return Err(ApiError::context_length(source.field, num_prompt.into(), 0, limit));
    }
    let max_tokens = match source.params.max_tokens {
        Some(asked) if asked > rest => {
            let (prompt, asked) = (num_prompt.into(), asked.into());
            return Err(ApiError::context_length(source.field, prompt, asked, limit));
        }
        Some(asked) => asked,
        None => default.unwrap_or(rest).min(rest),
    };
    let min_tokens = source.params.stop.min_tokens;
    if min_tokens > max_tokens {
        let name = source.params.max_tokens_name;
        let message =
            format!("'min_tokens' is {min_tokens}, more than '{name}', which is {max_tokens}.");
        return Err(ApiError::invalid(Some("min_tokens"), message));
    }
    Ok(max_tokens)
}

/// Refuses what would come to an answer over the limit of memory.
pub(crate) fn check_size(
    source: &Source,
    prompts: &[PromptTokens],
    limits: &HttpLimits,
) -> Result<(), ApiError> {
    let params = &source.params;
    let tokens = |prompt: &PromptTokens| {
        let echoed = if source.prompt_logprobs.is_some() { prompt.tokens.len() } else { 0 };
        u64::from(prompt.max_tokens).saturating_add(echoed as u64)
    };
    let per_token = 1 + u64::from(params.sampling.logprobs.unwrap_or(0));
    let num_tokens = prompts.iter().map(tokens).fold(0, u64::saturating_add);
    let entries = num_tokens.saturating_mul(params.n.into()).saturating_mul(per_token);
    if entries <= limits.max_answer_entries {
        return Ok(());
    }
    let name = if params.n > 1 { "n" } else { params.max_tokens_name };
    let message = format!(
        "The answer may come to {entries} entries (tokens of all choices, each with its \
         log-probabilities), the limit is {}. Lower 'n', '{}' or the number of logprobs.",
        limits.max_answer_entries, params.max_tokens_name
    );
    Err(ApiError::invalid(Some(name), message))
}
