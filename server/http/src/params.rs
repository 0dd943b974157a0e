//! From the options on the wire to parameters in range; every error names its field.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use engine_core::{Class, SamplingParams, StopRules, TokenId};
use engine_text::limits::MAX_STOP_BYTES;
use server_api::GenerationOptions;

use crate::storage::check_metadata;
use crate::{ApiError, HttpLimits, accepted};

/// OpenAI's limit, for bodies in OpenAI's form.
const MAX_OPENAI_STOPS: usize = 4;
/// Converse's limit, for all others. Every byte of an answer is held against every one of them.
const MAX_STOPS: usize = 2500;
/// Of all of them: each choice has tables of nine times as many.
const MAX_STOPS_BYTES: usize = 64 << 10;
/// OpenAI's limits.
const MAX_LOGIT_BIASES: usize = 300;
const MAX_LOGPROBS: i64 = 20;
const MAX_STOP_TOKENS: usize = 128;
const MAX_TOKENS: i64 = i32::MAX as i64;
/// Seconds that a client may give a request: a week at most.
const TIMEOUT_S: RangeInclusive<f64> = 0.001..=604_800.0;
/// Longer numbers are not repeated in errors.
const MAX_SHOWN_DIGITS: usize = 24;

/// Everything about a request to generate but its prompts.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    pub(crate) sampling: SamplingParams,
    /// `max_tokens` is filled in when the prompt's length is known.
    pub(crate) stop: StopRules,
    /// What the client asked for.
    pub(crate) max_tokens: Option<u32>,
    /// By which of its two names.
    pub(crate) max_tokens_name: &'static str,
    pub(crate) n: u32,
    pub(crate) stop_texts: Vec<String>,
    /// Whether what ends an answer is part of it.
    pub(crate) include_stop: bool,
    pub(crate) skip_special: bool,
    pub(crate) echo: bool,
    /// Whether scored tokens are called by their ids.
    pub(crate) tokens_as_ids: bool,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) speculation: bool,
    pub(crate) class: Class,
    /// The class by the name that the answer tells.
    pub(crate) tier: Option<&'static str>,
    /// What every choice may well say.
    pub(crate) prediction: Option<String>,
    /// For the whole answer, from the receipt of the request.
    pub(crate) timeout: Option<Duration>,
}

impl Params {
    /// Whether `token` ends an answer; the same rule as the scheduler's.
    pub(crate) fn ends_with(&self, token: TokenId) -> bool {
        (!self.stop.ignore_eos && self.stop.eos_token_ids.contains(&token))
            || self.stop.stop_token_ids.contains(&token)
    }
}

/// What ranges depend on.
pub(crate) struct Context<'a> {
    pub(crate) limits: &'a HttpLimits,
    pub(crate) vocab_size: u32,
    pub(crate) eos_token_ids: &'a [TokenId],
    /// `Some(k)` asks for log-probabilities and `k` alternatives; checked by [`logprobs`].
    pub(crate) logprobs: Option<u32>,
}

/// Checks the options that all requests to generate share.
pub(crate) fn check(options: GenerationOptions, context: &Context<'_>) -> Result<Params, ApiError> {
    let stream = options.stream.unwrap_or(false);
    if options.stream_options.is_some() && !stream {
        let message = "'stream_options' is only allowed when 'stream' is true.";
        return Err(ApiError::invalid(Some("stream_options"), message));
    }
    let (max_tokens_name, max_tokens) = match options.max_completion_tokens {
        Some(tokens) => ("max_completion_tokens", Some(tokens)),
        None => ("max_tokens", options.max_tokens),
    };
    options.metadata.as_ref().map_or(Ok(()), check_metadata)?;
    let class = accepted::class(&options)?;
    let tier = accepted::tier(&options, class);
    let include_usage = options.stream_options.as_ref().and_then(|o| o.include_usage);
    Ok(Params {
        n: number("n", options.n, 1..=context.limits.max_n.into())?.map_or(1, |n| n as u32),
        max_tokens: tokens(max_tokens_name, max_tokens)?,
        max_tokens_name,
        sampling: sampling(&options, context)?,
        stop: stop_rules(&options, context)?,
        include_stop: options.include_stop_str_in_output.unwrap_or(false),
        skip_special: options.skip_special_tokens.unwrap_or(true),
        echo: options.echo.unwrap_or(false),
        tokens_as_ids: options.return_tokens_as_token_ids.unwrap_or(false),
        stop_texts: stop_texts(options.stop.map(|stop| stop.0).unwrap_or_default())?,
        stream,
        include_usage: include_usage.unwrap_or(false),
        speculation: options.speculation.unwrap_or(true),
        timeout: timeout("timeout", options.timeout)?,
        class,
        tier,
        prediction: accepted::prediction(options.prediction)?,
    })
}

/// Checks how many of the likeliest tokens are asked for.
pub(crate) fn logprobs(param: &str, value: Option<i64>) -> Result<Option<u32>, ApiError> {
    Ok(number(param, value, 0..=MAX_LOGPROBS)?.map(|k| k as u32))
}

/// Checks how many seconds a request may take.
pub(crate) fn timeout(param: &str, seconds: Option<f64>) -> Result<Option<Duration>, ApiError> {
    let seconds = number(param, seconds.map(|s| if s.is_nan() { 0.0 } else { s }), TIMEOUT_S)?;
    Ok(seconds.map(Duration::from_secs_f64))
}

fn sampling(
    options: &GenerationOptions,
    context: &Context<'_>,
) -> Result<SamplingParams, ApiError> {
    let float = |param, value, range, default: f32| {
        Ok::<_, ApiError>(number(param, value, range)?.map_or(default, |x: f64| x as f32))
    };
    let top_k = number("top_k", options.top_k, -1..=MAX_TOKENS)?.unwrap_or(0);
    if let Some(top_p) = options.top_p.filter(|top_p| *top_p <= 0.0) {
        let message = format!("Invalid value for 'top_p': {top_p} is not above 0.");
        return Err(ApiError::invalid(Some("top_p"), message));
    }
    Ok(SamplingParams {
        temperature: float("temperature", options.temperature, 0.0..=2.0, 1.0)?,
        top_k: u32::try_from(top_k).unwrap_or(0),
        // A probability too small for an f32 still keeps the likeliest token.
        top_p: float("top_p", options.top_p, 0.0..=1.0, 1.0)?.max(f32::MIN_POSITIVE),
        min_p: float("min_p", options.min_p, 0.0..=1.0, 0.0)?,
        repetition_penalty: float(
            "repetition_penalty",
            options.repetition_penalty,
            0.01..=100.0,
            1.0,
        )?,
        frequency_penalty: float("frequency_penalty", options.frequency_penalty, -2.0..=2.0, 0.0)?,
        presence_penalty: float("presence_penalty", options.presence_penalty, -2.0..=2.0, 0.0)?,
        logit_bias: logit_bias(options, context)?,
        seed: options.seed.map_or_else(rand::random, |seed| seed as u64),
        logprobs: context.logprobs,
    })
}

fn logit_bias(
    options: &GenerationOptions,
    context: &Context<'_>,
) -> Result<Vec<(TokenId, f32)>, ApiError> {
    let Some(biases) = &options.logit_bias else { return Ok(Vec::new()) };
    limit_len("logit_bias", biases.len(), MAX_LOGIT_BIASES)?;
    let bias = |(key, bias): (&String, &f64)| {
        let token = key.trim().parse().ok().filter(|token| *token < context.vocab_size);
        let Some(token) = token else {
            let message = format!(
                "Invalid key in 'logit_bias': '{key}' is not a token id below {}.",
                context.vocab_size
            );
            return Err(ApiError::invalid(Some("logit_bias"), message));
        };
        let bias = number("logit_bias", Some(*bias), -100.0..=100.0)?;
        Ok((token, bias.unwrap_or(0.0) as f32))
    };
    biases.iter().map(bias).collect()
}

fn stop_rules(options: &GenerationOptions, context: &Context<'_>) -> Result<StopRules, ApiError> {
    let stop_token_ids = options.stop_token_ids.clone().unwrap_or_default();
    limit_len("stop_token_ids", stop_token_ids.len(), MAX_STOP_TOKENS)?;
    if let Some(token) = stop_token_ids.iter().find(|token| **token >= context.vocab_size) {
        let message = format!("'stop_token_ids' has {token}, the model's ids are below {}.", {
            context.vocab_size
        });
        return Err(ApiError::invalid(Some("stop_token_ids"), message));
    }
    Ok(StopRules {
        max_tokens: 0,
        min_tokens: tokens("min_tokens", options.min_tokens)?.unwrap_or(0),
        eos_token_ids: context.eos_token_ids.to_vec(),
        stop_token_ids,
        ignore_eos: options.ignore_eos.unwrap_or(false),
    })
}

/// Checks what OpenAI bounds closer than others do.
pub(crate) fn check_openai(options: &GenerationOptions) -> Result<(), ApiError> {
    let num_stops = options.stop.as_ref().map_or(0, |stop| stop.0.len());
    limit_len("stop", num_stops, MAX_OPENAI_STOPS)
}

fn stop_texts(stops: Vec<String>) -> Result<Vec<String>, ApiError> {
    limit_len("stop", stops.len(), MAX_STOPS)?;
    if stops.iter().map(String::len).sum::<usize>() > MAX_STOPS_BYTES {
        let message = format!("All strings in 'stop' have more than {MAX_STOPS_BYTES} bytes.");
        return Err(ApiError::invalid(Some("stop"), message));
    }
    if stops.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        let message = format!("A string in 'stop' is longer than {MAX_STOP_BYTES} bytes.");
        return Err(ApiError::invalid(Some("stop"), message));
    }
    Ok(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
}

pub(crate) fn limit_len(param: &str, len: usize, max: usize) -> Result<(), ApiError> {
    if len > max {
        let message = format!("'{param}' has {len} entries, the limit is {max}.");
        return Err(ApiError::invalid(Some(param), message));
    }
    Ok(())
}

fn tokens(param: &str, value: Option<i64>) -> Result<Option<u32>, ApiError> {
    Ok(number(param, value, 0..=MAX_TOKENS)?.map(|tokens| tokens as u32))
}

/// `value`, if it lies in `range`.
fn number<T: PartialOrd + Display>(
    param: &str,
    value: Option<T>,
    range: RangeInclusive<T>,
) -> Result<Option<T>, ApiError> {
    match value {
        Some(value) if !range.contains(&value) => {
            let (low, high) = range.into_inner();
            let (side, bound) =
                if value > high { ("above the maximum", high) } else { ("below the minimum", low) };
            // A number of hundreds of digits says no more than that it is too large.
            let shown = Some(value.to_string()).filter(|shown| shown.len() <= MAX_SHOWN_DIGITS);
            let problem = match shown {
                Some(shown) => format!("{shown} is {side} of {bound}"),
                None => format!("it is {side} of {bound}"),
            };
            let message = format!("Invalid value for '{param}': {problem}.");
            Err(ApiError::invalid(Some(param), message))
        }
        value => Ok(value),
    }
}
