//! What is served under a name: a model that generates text, an encoder, which makes numbers of
//! texts, or a transcriber, which makes text of recordings.
//!
//! Invariant: a route that needs one kind gets it or an error that says what the model is.

use std::sync::Arc;

use engine_core::{EncoderInfo, EncoderOutput, SpeechInfo};
use engine_text::{Prompts, TextModel};
use scheduler_batching::{EncoderHandle, Handle, Shutdown, SpeechHandle, Stats};

use crate::images::Vision;
use crate::{ApiError, adapters::AdapterInfo, meter};

/// A model that can generate text.
#[derive(Clone)]
pub struct ServedModel {
    /// The public name.
    pub id: String,
    /// Digest of the weights; keys the prefix cache and names the version to clients.
    pub version: Arc<str>,
    /// When it was imported, as Unix time in seconds.
    pub created_unix: u64,
    /// Tokenizer and chat template.
    pub text: Arc<TextModel>,
    /// Grammars for answers.
    pub grammars: Arc<engine_grammar::Compiler>,
    /// The way to its driver.
    pub handle: Handle,
    /// The adapter that requests for it are computed with.
    pub adapter: Option<Arc<AdapterInfo>>,
    /// What it sees with, if it does.
    pub vision: Option<Arc<Vision>>,
}

impl ServedModel {
    /// Changes when the version does; short enough for every chunk of a stream.
    pub(crate) fn fingerprint(&self) -> String {
        format!("fp_{}", meter::short(meter::version(self)))
    }
}

/// An encoder that can answer.
#[derive(Clone)]
pub struct ServedEncoder {
    /// The public name.
    pub id: String,
    /// Digest of the weights.
    pub version: Arc<str>,
    /// When it was imported, as Unix time in seconds.
    pub created_unix: u64,
    /// Tokenizer.
    pub text: Arc<TextModel>,
    /// What may go before a text.
    pub prompts: Arc<Prompts>,
    /// The way to its driver.
    pub handle: EncoderHandle,
}

impl ServedEncoder {
    pub(crate) fn info(&self) -> &EncoderInfo {
        self.handle.info()
    }

    /// What it makes.
    pub(crate) fn kind(&self) -> Kind {
        match self.info().output {
            // Rows for a language model are its own business: no encoder of them has a name.
            EncoderOutput::Embedding { .. } | EncoderOutput::Rows { .. } => Kind::Embedder,
            EncoderOutput::Logits { .. } => Kind::Classifier,
        }
    }
}

/// A transcriber that can answer.
#[derive(Clone)]
pub struct ServedSpeech {
    /// The public name.
    pub id: String,
    /// Digest of the weights.
    pub version: Arc<str>,
    /// When it was imported, as Unix time in seconds.
    pub created_unix: u64,
    /// Tokenizer.
    pub text: Arc<TextModel>,
    /// The way to its driver.
    pub handle: SpeechHandle,
}

impl ServedSpeech {
    pub(crate) fn info(&self) -> &SpeechInfo {
        self.handle.info()
    }
}

/// What a model makes, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Generator,
    Embedder,
    Classifier,
    Transcriber,
}

impl Kind {
    fn does(self) -> &'static str {
        match self {
            Self::Generator => "generates text",
            Self::Embedder => "makes embeddings",
            Self::Classifier => "classifies texts",
            Self::Transcriber => "writes down recordings",
        }
    }

    fn cannot(self) -> &'static str {
        match self {
            Self::Generator => "it cannot generate text or chat",
            Self::Embedder => "it cannot make embeddings",
            Self::Classifier => "it cannot classify or rank texts",
            Self::Transcriber => "it cannot transcribe or translate recordings",
        }
    }
}

/// What a route wants of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Embeddings.
    Embed,
    /// Scores for each label.
    Classify,
    /// One number for two texts.
    Score,
    /// To be told of.
    Tell,
}

impl Purpose {
    /// The kinds of models that serve it, the likelier first.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Embed => &[Kind::Embedder],
            Self::Classify => &[Kind::Classifier],
            Self::Score => &[Kind::Classifier, Kind::Embedder],
            Self::Tell => &[Kind::Embedder, Kind::Classifier],
        }
    }

    /// Whether `model` may be meant where none is named: of several labels no score can be made.
    pub(crate) fn suits(self, model: &Served) -> bool {
        let Served::Encoder(encoder) = model else { return false };
        let has_several = matches!(
            &encoder.info().output,
            EncoderOutput::Logits { labels, .. } if labels.len() != 1
        );
        self.kinds().contains(&encoder.kind()) && !(self == Self::Score && has_several)
    }
}

/// 400 for a model that is asked for what another kind does.
pub(crate) fn wrong_kind(id: &str, is: Kind, asked: Kind) -> ApiError {
    let message = format!("The model `{id}` {}; {}.", is.does(), asked.cannot());
    ApiError::invalid(Some("model"), message).code("unsupported_model")
}

/// A model of whatever kind.
#[derive(Clone)]
pub enum Served {
    /// It generates text.
    Generator(Arc<ServedModel>),
    /// It makes numbers of texts.
    Encoder(Arc<ServedEncoder>),
    /// It makes text of recordings.
    Speech(Arc<ServedSpeech>),
}

impl From<ServedModel> for Served {
    fn from(model: ServedModel) -> Self {
        Self::Generator(Arc::new(model))
    }
}

impl From<ServedEncoder> for Served {
    fn from(encoder: ServedEncoder) -> Self {
        Self::Encoder(Arc::new(encoder))
    }
}

impl From<ServedSpeech> for Served {
    fn from(speech: ServedSpeech) -> Self {
        Self::Speech(Arc::new(speech))
    }
}

impl Served {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Generator(model) => &model.id,
            Self::Encoder(encoder) => &encoder.id,
            Self::Speech(speech) => &speech.id,
        }
    }

    pub(crate) fn is_generator(&self) -> bool {
        matches!(self, Self::Generator(_))
    }

    /// It, if it generates.
    pub(crate) fn generator(self) -> Result<Arc<ServedModel>, ApiError> {
        match self {
            Self::Generator(model) => Ok(model),
            other => Err(wrong_kind(other.id(), other.kind(), Kind::Generator)),
        }
    }

    /// It, if it writes down recordings.
    pub(crate) fn speech(self) -> Result<Arc<ServedSpeech>, ApiError> {
        match self {
            Self::Speech(speech) => Ok(speech),
            other => Err(wrong_kind(other.id(), other.kind(), Kind::Transcriber)),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Generator(_) => Kind::Generator,
            Self::Encoder(encoder) => encoder.kind(),
            Self::Speech(_) => Kind::Transcriber,
        }
    }

    /// Of an adapter, the model that it is computed on top of.
    pub(crate) fn parent(&self) -> Option<&str> {
        match self {
            Self::Generator(model) => model.adapter.as_deref().map(|adapter| &*adapter.base),
            Self::Encoder(_) | Self::Speech(_) => None,
        }
    }

    pub(crate) fn created_unix(&self) -> u64 {
        match self {
            Self::Generator(model) => model.created_unix,
            Self::Encoder(encoder) => encoder.created_unix,
            Self::Speech(speech) => speech.created_unix,
        }
    }

    pub(crate) fn text(&self) -> &Arc<TextModel> {
        match self {
            Self::Generator(model) => &model.text,
            Self::Encoder(encoder) => &encoder.text,
            Self::Speech(speech) => &speech.text,
        }
    }

    /// Tokens it reads at most; of a generator, with those that it writes.
    pub(crate) fn max_len(&self) -> u32 {
        match self {
            Self::Generator(model) => model.handle.limits().max_sequence_len(),
            Self::Encoder(encoder) => {
                u32::try_from(encoder.info().max_input_len).unwrap_or(u32::MAX)
            }
            Self::Speech(speech) => u32::try_from(speech.info().max_len).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Generator(model) => model.handle.stats(),
            Self::Encoder(encoder) => encoder.handle.stats(),
            Self::Speech(speech) => speech.handle.stats(),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        match self {
            Self::Generator(model) => {
                let vision = model.vision.as_ref();
                model.handle.is_alive() && vision.is_none_or(|vision| vision.is_alive())
            }
            Self::Encoder(encoder) => encoder.handle.is_alive(),
            Self::Speech(speech) => speech.handle.is_alive(),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Generator(model) => {
                model.handle.shutdown(how);
                model.vision.iter().for_each(|vision| vision.shutdown(how));
            }
            Self::Encoder(encoder) => encoder.handle.shutdown(how),
            Self::Speech(speech) => speech.handle.shutdown(how),
        }
    }
}
