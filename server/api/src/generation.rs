//! What chat and plain completions have in common: the options of generation, and usage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Content, Metadata, OneOrMany};

/// How to generate; these fields stand beside the others in the body of a request.
///
/// Numbers are as wide as JSON's, so that a range check, not the parser, refuses an absurd one.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct GenerationOptions {
    /// The model's id.
    #[schema(example = "smollm2-135m-instruct", required = true, value_type = String)]
    pub model: Option<String>,
    /// Whether to answer in pieces, as server-sent events.
    pub stream: Option<bool>,
    /// How to stream; only with `stream`.
    pub stream_options: Option<StreamOptions>,
    /// How many answers to each prompt; 1 by default.
    #[schema(minimum = 1, maximum = 128)]
    pub n: Option<i64>,
    /// At most this many new tokens.
    #[schema(minimum = 0)]
    pub max_tokens: Option<i64>,
    /// The same; it wins over `max_tokens`.
    #[schema(minimum = 0)]
    pub max_completion_tokens: Option<i64>,
    /// No end of the answer before this many new tokens.
    #[schema(minimum = 0)]
    pub min_tokens: Option<i64>,
    /// 0 always takes the likeliest token; 1 by default.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Keep the likeliest tokens that together reach this probability.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// Keep this many of the likeliest tokens; 0 and -1 keep all.
    #[schema(minimum = -1)]
    pub top_k: Option<i64>,
    /// Keep tokens at least this many times as likely as the likeliest.
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f64>,
    /// Above 1, tokens seen before become less likely.
    #[schema(minimum = 0.01, maximum = 100)]
    pub repetition_penalty: Option<f64>,
    /// Above 0, tokens that were generated become less likely.
    #[schema(minimum = -2, maximum = 2)]
    pub presence_penalty: Option<f64>,
    /// Above 0, tokens become less likely each time they are generated.
    #[schema(minimum = -2, maximum = 2)]
    pub frequency_penalty: Option<f64>,
    /// Added to the logits of these token ids.
    pub logit_bias: Option<BTreeMap<String, f64>>,
    /// The same seed gives the same answer.
    pub seed: Option<i64>,
    /// Up to four texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Tokens that end the answer.
    pub stop_token_ids: Option<Vec<u32>>,
    /// Whether the stop text or token is part of the answer.
    pub include_stop_str_in_output: Option<bool>,
    /// Whether to generate on past the model's end of sequence.
    pub ignore_eos: Option<bool>,
    /// Whether special tokens are left out of the answer; by default they are.
    pub skip_special_tokens: Option<bool>,
    /// Whether the answer begins with the prompt.
    pub echo: Option<bool>,
    /// Whether tokens with log-probabilities are called by their ids, as `token_id:17`, and not by
    /// their texts.
    pub return_tokens_as_token_ids: Option<bool>,
    /// The form of the answer. Without, or with `text`, any text.
    pub response_format: Option<ResponseFormat>,
    /// The same by vLLM's name, and with more forms.
    pub structured_outputs: Option<StructuredOutputs>,
    /// A JSON schema, by vLLM's older name.
    pub guided_json: Option<Value>,
    /// A regular expression, by vLLM's older name.
    pub guided_regex: Option<String>,
    /// Texts to choose from, by vLLM's older name.
    pub guided_choice: Option<Vec<String>>,
    /// A grammar, by vLLM's older name.
    pub guided_grammar: Option<String>,
    /// Whether tokens may be guessed ahead; by default they are. The answer is the same.
    pub speculation: Option<bool>,
    /// How urgent the request is beside others of the same tenant, as vLLM has it: below 0 before
    /// most, above 0 after them.
    pub priority: Option<i64>,
    /// The same by OpenAI's names: `priority` before most, `flex` after them; `auto`, `default` and
    /// `scale` as most.
    pub service_tier: Option<String>,
    /// What the answer may well say, such as a file that is edited: it comes faster then.
    pub prediction: Option<Prediction>,
    /// How hard a model thinks that reasons: `none`, `minimal`, `low`, `medium` or `high`. Its
    /// template is told.
    pub reasoning_effort: Option<String>,
    /// How much is said: `low`, `medium` or `high`. The model's template is told.
    pub verbosity: Option<String>,
    /// Who asks on the client's side. Accepted, not used.
    pub safety_identifier: Option<String>,
    /// Accepted, not used: what was computed is found by its content.
    pub prompt_cache_key: Option<String>,
    /// Seconds for the whole answer, from the receipt of the request; then it ends with an error.
    #[schema(minimum = 0.001, maximum = 604_800)]
    pub timeout: Option<f64>,
    /// Who asks on the client's side. Accepted, not used.
    pub user: Option<String>,
    /// Whether a chat completion is kept; by default it is not.
    pub store: Option<bool>,
    /// Notes on a chat completion that is kept: up to 16 pairs, of 64 and 512 characters.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Metadata>,
}

/// Options that OpenAI or vLLM document and this server does not have. They are parsed so that a
/// request that relies on one is refused rather than answered wrongly.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct UnsupportedOptions {
    /// Sound in the answer.
    pub audio: Option<Value>,
    /// Functions, as before tools.
    pub functions: Option<Value>,
    /// Which of them, as before tools.
    pub function_call: Option<Value>,
    /// Checks of prompt and answer that may stop it.
    pub moderation: Option<Value>,
    /// Search of the web.
    pub web_search_options: Option<Value>,
    /// Text after the completion.
    pub suffix: Option<Value>,
    /// The only tokens that may be generated.
    pub allowed_token_ids: Option<Value>,
    /// Texts that may not be.
    pub bad_words: Option<Value>,
    /// Functions over the logits.
    pub logits_processors: Option<Value>,
    /// Another search than sampling.
    pub use_beam_search: Option<Value>,
    /// What stands between the tokens of JSON.
    pub guided_whitespace_pattern: Option<Value>,
    /// The prompt's end alone.
    pub truncate_prompt_tokens: Option<Value>,
    /// A prompt of vectors.
    pub prompt_embeds: Option<Value>,
    /// A template in place of the model's.
    pub chat_template: Option<Value>,
    /// Texts for the template.
    pub documents: Option<Value>,
    /// Log-probabilities of the prompt.
    pub prompt_logprobs: Option<Value>,
    /// Tokens in the answer.
    pub return_token_ids: Option<Value>,
}

/// What an answer may well say.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Prediction {
    /// `content`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub content: Content,
}

/// How to stream.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// Whether a last chunk without choices carries the usage.
    pub include_usage: Option<bool>,
}

/// The form of the answer.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ResponseFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With `json_schema`.
    pub json_schema: Option<JsonSchemaFormat>,
}

/// A schema with its name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct JsonSchemaFormat {
    /// For logs of the client's side; not used.
    pub name: Option<String>,
    /// What it is for; not used.
    pub description: Option<String>,
    /// The schema.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// Answers match the schema whether this is set or not.
    pub strict: Option<bool>,
}

/// vLLM's forms of the answer; one of them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct StructuredOutputs {
    /// A JSON schema, as JSON or as a text that holds JSON.
    pub json: Option<Value>,
    /// Any JSON object.
    pub json_object: Option<bool>,
    /// A regular expression that the whole answer matches.
    pub regex: Option<String>,
    /// Texts to choose from.
    pub choice: Option<Vec<String>>,
    /// A grammar in Lark's notation, or in GBNF.
    pub grammar: Option<String>,
}

/// What a request used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Tokens of all prompts, each counted once whatever `n` is.
    pub prompt_tokens: u64,
    /// Tokens generated, over all choices.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// More about the prompts' tokens.
    pub prompt_tokens_details: PromptTokensDetails,
    /// More about the tokens generated.
    #[serde(default)]
    pub completion_tokens_details: CompletionTokensDetails,
}

/// More about the tokens generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompletionTokensDetails {
    /// How many were thoughts, counted by their text.
    pub reasoning_tokens: u64,
    /// With `prediction`: tokens guessed ahead that were right.
    pub accepted_prediction_tokens: u64,
    /// With `prediction`: tokens guessed ahead that were not.
    pub rejected_prediction_tokens: u64,
}

/// More about the prompts' tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromptTokensDetails {
    /// How many did not have to be computed.
    pub cached_tokens: u64,
}
