//! What a form asks for: its fields, checked.
//!
//! Invariant: an error names the field; what is not there yet and would change the answer is
//! refused.

use engine_core::SpeechTask;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use server_api::{AudioFormat, Granularity};

use super::form::{Form, Upload};
use crate::ApiError;

/// Bytes of the longest text that is told beforehand: far above what a model reads of it.
const MAX_PROMPT_BYTES: usize = 64 << 10;

/// The fields.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) language: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) format: AudioFormat,
    pub(super) temperature: f32,
    pub(super) stream: bool,
    /// Whether segments are told, ...
    pub(super) segments: bool,
    /// ... and words.
    pub(super) words: bool,
}

/// Refuses what this server does not have.
fn unsupported(name: &str, value: &str) -> Result<(), ApiError> {
    match name {
        "chunking_strategy" if value == "auto" => Ok(()),
        "chunking_strategy" => Err(ApiError::unsupported(name, "Only 'auto' is supported here.")),
        "include" | "include[]" => {
            let message = "'include' is not supported: no log-probabilities are told.";
            Err(ApiError::unsupported(name, message))
        }
        "known_speaker_names"
        | "known_speaker_names[]"
        | "known_speaker_references"
        | "known_speaker_references[]" => {
            Err(ApiError::unsupported(name, "Speakers are not told apart here."))
        }
        // Nobody knows it, or it changes nothing.
        _ => Ok(()),
    }
}

impl Asked {
    /// The fields of a form, and its file.
    pub(super) fn of(form: Form, task: SpeechTask) -> Result<(Self, Upload), ApiError> {
        let Form { file, fields } = form;
        let mut asked = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &fields {
            let is_list = name.ends_with("[]") || name == "timestamp_granularities";
            if !is_list && seen.contains(&name.as_str()) && KNOWN.contains(&name.as_str()) {
                return Err(ApiError::invalid(Some(name), format!("'{name}' is there twice.")));
            }
            seen.push(name);
            let value = value.trim();
            match name.as_str() {
                "model" => value.clone_into(&mut asked.model),
                "language" if value.is_empty() => {}
                "language" => asked.language = Some(value.to_owned()),
                "prompt" if value.len() > MAX_PROMPT_BYTES => {
                    let message = format!("'prompt' is longer than {MAX_PROMPT_BYTES} bytes.");
                    let error = ApiError::invalid(Some("prompt"), message);
                    return Err(error.code("string_above_max_length"));
                }
                "prompt" => asked.prompt = Some(value.to_owned()).filter(|text| !text.is_empty()),
                "response_format" => asked.format = named(name, value, FORMATS)?,
                "temperature" => asked.temperature = temperature(value)?,
                "stream" => asked.stream = truth(name, value)?,
                "timestamp_granularities" | "timestamp_granularities[]" => {
                    match named(name, value, "'segment' or 'word'")? {
                        Granularity::Segment => asked.segments = true,
                        Granularity::Word => asked.words = true,
                    }
                }
                _ => unsupported(name, value)?,
            }
        }
        if asked.model.is_empty() {
            return Err(ApiError::missing("model"));
        }
        let file = file.ok_or_else(|| ApiError::missing("file"))?;
        asked.check_granularities(task)?;
        if asked.stream && task == SpeechTask::Translate {
            return Err(ApiError::unsupported("stream", "Translations are not streamed."));
        }
        if asked.stream && asked.format != AudioFormat::Json {
            let message = "'stream' needs a 'response_format' of 'json'.";
            return Err(ApiError::invalid(Some("stream"), message));
        }
        Ok((asked, file))
    }

    /// Without any, segments are told.
    fn check_granularities(&mut self, task: SpeechTask) -> Result<(), ApiError> {
        if (self.segments || self.words) && self.format != AudioFormat::VerboseJson {
            let message =
                "'timestamp_granularities[]' needs a 'response_format' of 'verbose_json'.";
            return Err(ApiError::invalid(Some(GRANULARITIES), message));
        }
        if self.words && task == SpeechTask::Translate {
            // Nobody says the words that are written.
            let message = "Words of translations have no times: only 'segment' is supported.";
            return Err(ApiError::unsupported(GRANULARITIES, message));
        }
        self.segments |= !self.words;
        Ok(())
    }
}

/// What has times.
pub(super) const GRANULARITIES: &str = "timestamp_granularities[]";
/// Fields that are given once.
const KNOWN: [&str; 6] =
    ["model", "language", "prompt", "response_format", "temperature", "stream"];
const FORMATS: &str = "'json', 'text', 'srt', 'verbose_json' or 'vtt'";

/// A value of a fixed set.
fn named<'de, T: Deserialize<'de>>(
    name: &str,
    value: &'de str,
    known: &str,
) -> Result<T, ApiError> {
    let from: StrDeserializer<'de, Error> = value.into_deserializer();
    T::deserialize(from)
        .map_err(|_| ApiError::invalid(Some(name), format!("'{name}' must be {known}.")))
}

fn temperature(value: &str) -> Result<f32, ApiError> {
    match value.parse::<f32>() {
        Ok(temperature) if (0.0..=1.0).contains(&temperature) => Ok(temperature),
        _ => {
            let message = "'temperature' must be a number from 0 to 1.";
            Err(ApiError::invalid(Some("temperature"), message))
        }
    }
}

fn truth(name: &str, value: &str) -> Result<bool, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(ApiError::invalid(Some(name), format!("'{name}' must be 'true' or 'false'."))),
    }
}
