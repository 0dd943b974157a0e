//! Transcriptions and translations of recordings, in OpenAI's form.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A form that asks for the text of a recording.
#[derive(Clone, Debug, ToSchema)]
pub struct TranscriptionRequest {
    /// The recording: wav, mp3, flac, ogg (Vorbis), m4a or aac, of at most 25 MB and an hour.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// The model's id.
    pub model: String,
    /// The language that is spoken, by its ISO 639-1 code; without it the model finds it.
    pub language: Option<String>,
    /// A text that came before the recording, or is in the style that is wanted.
    pub prompt: Option<String>,
    /// `json` by default.
    pub response_format: Option<AudioFormat>,
    /// From 0 to 1; at 0, by default, it is raised where what comes out is not to be believed.
    #[schema(minimum = 0, maximum = 1)]
    pub temperature: Option<f32>,
    /// With `verbose_json`: what has times, segments by default.
    #[schema(rename = "timestamp_granularities[]")]
    pub timestamp_granularities: Option<Vec<Granularity>>,
    /// Whether the text comes in events as it is found; with `json`.
    pub stream: Option<bool>,
    /// OpenAI's way to cut recordings; this server has Whisper's own, and takes `auto` alone.
    #[schema(ignore)]
    pub chunking_strategy: Option<String>,
}

/// A form that asks for the text of a recording in English.
#[derive(Clone, Debug, ToSchema)]
pub struct TranslationRequest {
    /// The recording: wav, mp3, flac, ogg (Vorbis), m4a or aac, of at most 25 MB and an hour.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// The model's id.
    pub model: String,
    /// A text in English that came before the recording, or is in the style that is wanted.
    pub prompt: Option<String>,
    /// `json` by default.
    pub response_format: Option<AudioFormat>,
    /// From 0 to 1; at 0, by default, it is raised where what comes out is not to be believed.
    #[schema(minimum = 0, maximum = 1)]
    pub temperature: Option<f32>,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// An object with the text.
    #[default]
    Json,
    /// The text alone.
    Text,
    /// Subtitles.
    Srt,
    /// An object with segments and their times.
    VerboseJson,
    /// Subtitles for the web.
    Vtt,
}

/// What has times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// Segments.
    Segment,
    /// Words.
    Word,
}

/// The text of a recording.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Transcription {
    /// All of it.
    pub text: String,
    /// What was used.
    pub usage: AudioUsage,
}

/// The same with segments.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerboseTranscription {
    /// `transcribe` or `translate`.
    pub task: String,
    /// The language's English name.
    pub language: String,
    /// Seconds of the recording.
    pub duration: f64,
    /// All of it.
    pub text: String,
    /// In order, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<TranscriptionWord>>,
    /// In order, unless words alone were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<TranscriptionSegment>>,
    /// What was used.
    pub usage: AudioUsage,
}

/// A word, with the punctuation about it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TranscriptionWord {
    /// It.
    pub word: String,
    /// Where it begins, in seconds.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
}

/// A stretch of speech.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TranscriptionSegment {
    /// Which.
    pub id: usize,
    /// Where the window begins that it was found in, in hundredths of a second.
    pub seek: usize,
    /// Where it begins, in seconds.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// What is said.
    pub text: String,
    /// The text's tokens, with marks of time; none where a guard follows what is written.
    pub tokens: Vec<u32>,
    /// What it was found with.
    pub temperature: f32,
    /// The mean logarithm of its window's tokens' probabilities.
    pub avg_logprob: f32,
    /// How many times longer its window's text is than the same compressed.
    pub compression_ratio: f32,
    /// How likely nothing is said in its window.
    pub no_speech_prob: f32,
}

/// What a recording is counted as.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AudioUsage {
    /// Always `duration`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its seconds, begun ones too.
    pub seconds: u64,
}

/// An event of a stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum TranscriptionEvent {
    /// More of the text.
    #[serde(rename = "transcript.text.delta")]
    Delta {
        /// What comes after all before it.
        delta: String,
    },
    /// The end.
    #[serde(rename = "transcript.text.done")]
    Done {
        /// All of it.
        text: String,
        /// What was used.
        usage: AudioUsage,
    },
}
