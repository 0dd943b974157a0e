//! The text side of a model, in the words of the text crate: neither crate knows the other.

use std::path::PathBuf;

use anyhow::{Context, Result};
use engine_llm::weights::{self, HuggingFaceText, TextSource};
use engine_text::{HuggingFaceFiles, TextModel};

use super::read;

pub(super) fn text_model(source: &TextSource, vocab_size: usize) -> Result<TextModel> {
    let text = match source {
        TextSource::Gguf(vocab) => TextModel::from_gguf(gguf_vocab(vocab))?,
        TextSource::HuggingFace(paths) => hugging_face_text(paths)?,
    };
    text.check_vocab(vocab_size)?;
    Ok(text)
}

fn hugging_face_text(paths: &HuggingFaceText) -> Result<TextModel> {
    let optional = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
    let template = optional(&paths.chat_template)?
        .map(String::from_utf8)
        .transpose()
        .context("chat_template.jinja is not UTF-8")?;
    Ok(TextModel::from_hugging_face(&HuggingFaceFiles {
        tokenizer_json: &read(&paths.tokenizer_json)?,
        tokenizer_config: optional(&paths.tokenizer_config)?.as_deref(),
        generation_config: optional(&paths.generation_config)?.as_deref(),
        special_tokens_map: optional(&paths.special_tokens_map)?.as_deref(),
        chat_template: template.as_deref(),
        chat_template_json: optional(&paths.chat_template_json)?.as_deref(),
        named_templates: &[],
        config_json: Some(&read(&paths.config_json)?),
    })?)
}

/// The same vocabulary in the words of the text crate; neither crate knows the other.
fn gguf_vocab(vocab: &weights::GgufVocab) -> engine_text::GgufVocab<'_> {
    engine_text::GgufVocab {
        model: vocab.model.clone(),
        name: vocab.name.clone(),
        pre: vocab.pre.clone(),
        tokens: vocab.tokens.iter().map(Into::into).collect(),
        scores: vocab.scores.clone(),
        token_types: vocab.token_types.clone(),
        merges: vocab.merges.iter().map(Into::into).collect(),
        bos: vocab.bos,
        eos: vocab.eos,
        unk: vocab.unk,
        pad: vocab.pad,
        sep: vocab.sep,
        eot: vocab.eot,
        eom: vocab.eom,
        add_bos: vocab.add_bos,
        add_eos: vocab.add_eos,
        add_space_prefix: vocab.add_space_prefix,
        remove_extra_whitespaces: vocab.remove_extra_whitespaces,
        charsmap: vocab.charsmap.clone(),
        lowercase: vocab.lowercase,
        strip_accents: vocab.strip_accents,
        chat_template: vocab.chat_template.clone(),
        named_templates: vocab.named_templates.clone(),
    }
}
