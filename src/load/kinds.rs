//! What kind of model some files hold, and which architectures of each kind there are.
//!
//! Invariant: both are read off the tables that the engines go by; there is no list here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use engine_llm::{
    Fault, LoadError,
    spec::DecoderSpec,
    weights::{self, Model, Weights},
};
use engine_text::TextModel;
use model_registry::Manifest;

use super::{
    encoder::{OpenedEncoder, open_encoder},
    speech::open_speech,
    text::text_model,
    vision::open_vision,
};

/// A model that was opened, of whatever kind.
pub(crate) enum Opened {
    Speech(Box<engine_speech::Model>),
    Encoder(OpenedEncoder),
    Decoder(Box<OpenedDecoder>),
}

/// A decoder that was opened.
pub(crate) struct OpenedDecoder {
    pub(crate) spec: DecoderSpec,
    pub(crate) weights: Weights,
    pub(crate) text: TextModel,
    /// What it sees with, if it does.
    pub(crate) vision: Option<engine_vision::Model>,
}

/// Opens the model in these files, and checks that weights and text belong together.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<Opened> {
    if let Some(opened) = open_other(files)? {
        return Ok(opened);
    }
    let Model { spec, weights, text, .. } = named(files, weights::open(files))?;
    let text = named(files, text_model(&text, spec.vocab_size))?;
    let vision = open_vision(files, &text)?;
    Ok(Opened::Decoder(Box::new(OpenedDecoder { spec, weights, text, vision })))
}

/// The same, of what is no decoder that writes text.
fn open_other(files: &BTreeMap<String, PathBuf>) -> Result<Option<Opened>> {
    if let Some((speech, _)) = open_speech(files)? {
        return Ok(Some(Opened::Speech(Box::new(speech))));
    }
    Ok(open_encoder(files)?.map(|(encoder, _)| Opened::Encoder(encoder)))
}

/// Refuses what is no decoder; `only` says what only these can.
///
/// # Errors
/// If it is something else, or cannot be opened.
pub(crate) fn expect_decoder(
    manifest: &Manifest,
    files: &BTreeMap<String, PathBuf>,
    only: &str,
) -> Result<()> {
    let name = &manifest.name;
    if let Some(base) = &manifest.adapter_of {
        bail!("{name} is an adapter of {}: {only}", base.name);
    }
    match open_other(files)? {
        None | Some(Opened::Decoder(_)) => Ok(()),
        Some(Opened::Speech(_)) => {
            bail!("{name} is a model of speech ({}): {only}", engine_speech::ARCHITECTURE)
        }
        Some(Opened::Encoder(encoder)) => {
            bail!("{name} is an encoder ({}): {only}", encoder.architecture())
        }
    }
}

/// Where the registry keeps a file means nothing to whoever imported it: errors name the file. One
/// of an architecture that is not known tells those that are.
///
/// # Errors
/// The given one, in those words.
pub(crate) fn named<T, E: Into<anyhow::Error>>(
    files: &BTreeMap<String, PathBuf>,
    result: std::result::Result<T, E>,
) -> Result<T> {
    result.map_err(|error| {
        let error = error.into();
        let mut message = format!("{error:#}");
        for (name, path) in files {
            message = message.replace(&path.display().to_string(), name);
        }
        if let Some(LoadError::Invalid { path, fault: Fault::Architecture { .. } }) =
            error.downcast_ref()
        {
            message += &known(is_gguf(files, path));
        }
        anyhow::Error::msg(message)
    })
}

/// Whether that one of the files is a GGUF file.
fn is_gguf(files: &BTreeMap<String, PathBuf>, path: &Path) -> bool {
    files.iter().any(|(name, file)| file == path && name.ends_with(".gguf"))
}

/// All architectures that are known, a line for each kind of models, as GGUF files or
/// configurations call them.
fn known(in_gguf: bool) -> String {
    let decoders = engine_llm::known_architectures();
    let decoders = decoders.flat_map(|(classes, gguf)| if in_gguf { gguf } else { classes });
    let (seeing, decoders): (Vec<&str>, Vec<&str>) =
        decoders.partition(|name| engine_vision::ARCHITECTURES.contains(name));
    let encoders = match in_gguf {
        true => engine_encoder::GGUF_ARCHITECTURES.to_vec(),
        false => engine_encoder::known_architectures().collect(),
    };
    let speech = if in_gguf { Vec::new() } else { vec![engine_speech::ARCHITECTURE] };
    let kinds = [
        ("decoders", decoders),
        ("decoders that see", seeing),
        ("encoders (what predicts words: with a modules.json)", encoders),
        ("speech", speech),
    ];
    let mut text = "; supported are".to_owned();
    for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
        text += &format!("\n  {kind}: {}", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_architecture_is_told_with_its_kind() {
        let line = |text: &str, kind: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(&format!("  {kind}")));
            found.unwrap_or_else(|| panic!("no {kind}: {text}")).to_owned()
        };
        let (folders, files) = (known(false), known(true));
        for (classes, gguf) in engine_llm::known_architectures() {
            for class in classes {
                let sees = engine_vision::ARCHITECTURES.contains(class);
                let kind = if sees { "decoders that see: " } else { "decoders: " };
                assert!(line(&folders, kind).contains(class), "{class}: {folders}");
            }
            for name in gguf {
                assert!(line(&files, "decoders: ").contains(name), "{name}: {files}");
            }
        }
        for class in engine_encoder::known_architectures() {
            assert!(line(&folders, "encoders").contains(class), "{class}: {folders}");
        }
        assert!(line(&files, "encoders").contains("nomic-bert"), "{files}");
        assert!(line(&folders, "speech: ").contains("Whisper"), "{folders}");
        assert!(!files.contains("Whisper"), "{files}");
    }
}
