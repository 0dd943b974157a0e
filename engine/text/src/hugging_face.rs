//! Builds a tokenizer from a Hugging Face folder. Invariant: `tokenizer.json` decides the ids; the
//! other files only name special tokens, ends and the chat template, as in transformers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::processors::template::TemplateProcessing;

use crate::TextError;
use crate::chat::ChatTemplate;
use crate::limits::MAX_TOKENIZER_JSON_BYTES;
use crate::model::{Parts, TextModel, Tokens};
use crate::pieces::Pieces;

/// Contents of the files that describe a tokenizer.
#[derive(Debug, Clone, Copy, Default)]
pub struct HuggingFaceFiles<'a> {
    /// `tokenizer.json`.
    pub tokenizer_json: &'a [u8],
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `generation_config.json`.
    pub generation_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<&'a [u8]>,
    /// `chat_template.jinja`; it goes before the one in `tokenizer_config.json`.
    pub chat_template: Option<&'a str>,
    /// `chat_template.json`, an object that holds one.
    pub chat_template_json: Option<&'a [u8]>,
    /// `additional_chat_templates/NAME.jinja`, by name; they go before those of the same name in
    /// `tokenizer_config.json`.
    pub named_templates: &'a [(&'a str, &'a str)],
    /// `config.json`, for the ids of the special tokens.
    pub config_json: Option<&'a [u8]>,
}

const SPECIAL: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

impl TextModel {
    /// Builds the tokenizer and chat template of a Hugging Face folder.
    ///
    /// # Errors
    /// A file is malformed or over its limit; the error names it.
    pub fn from_hugging_face(files: &HuggingFaceFiles<'_>) -> Result<Self, TextError> {
        let config = parse("tokenizer_config.json", files.tokenizer_config)?;
        let map = parse("special_tokens_map.json", files.special_tokens_map)?;
        let generation = parse("generation_config.json", files.generation_config)?;
        let model = parse("config.json", files.config_json)?;
        let mut tokenizer = parse_tokenizer(files.tokenizer_json)?;
        let name = |key: &str| token_name(&config[key]).or_else(|| token_name(&map[key]));
        let id = |key: &str| name(key).and_then(|token| tokenizer.token_to_id(&token));

        let bos = id("bos_token").or_else(|| first_id(&model["bos_token_id"]));
        let mut eos = Vec::new();
        for source in [&generation, &model, &model["text_config"]] {
            eos.extend(ids(&source["eos_token_id"]));
        }
        let eos_token = id("eos_token");
        eos.extend(eos_token);
        let mut seen = std::collections::HashSet::new();
        eos.retain(|&id| seen.insert(id));

        let beside = parse("chat_template.json", files.chat_template_json)?;
        let template = templates(files, [&beside["chat_template"], &config["chat_template"]]);
        let template = template.map(|(default, named)| ChatTemplate {
            default,
            named,
            variables: SPECIAL
                .iter()
                .filter_map(|&key| Some((key.to_owned(), name(key)?)))
                .collect(),
        });
        let ends = [("add_bos_token", bos), ("add_eos_token", eos_token.or(eos.first().copied()))];
        follow_config(&mut tokenizer, &config, ends)?;
        let pieces = Pieces::of(&tokenizer)?;
        TextModel::new(Parts {
            tokens: Tokens::Library(Box::new(tokenizer)),
            pieces,
            eos,
            template,
        })
    }
}

pub(crate) fn parse(name: &str, bytes: Option<&[u8]>) -> Result<Value, TextError> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    if bytes.len() > MAX_TOKENIZER_JSON_BYTES {
        return Err(TextError::field(name, format!("has {} bytes", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|err| TextError::field(name, err.to_string()))
}

fn parse_tokenizer(bytes: &[u8]) -> Result<Tokenizer, TextError> {
    let name = "tokenizer.json";
    if bytes.len() > MAX_TOKENIZER_JSON_BYTES {
        let problem = format!("has {} bytes; {MAX_TOKENIZER_JSON_BYTES} is most", bytes.len());
        return Err(TextError::field(name, problem));
    }
    // The library indexes out of bounds on some contradictory files (a merge longer than any
    // token, for one); such a file must not take the server down.
    let loaded = catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(bytes)));
    let mut tokenizer = loaded
        .map_err(|_| TextError::field(name, "contradicts itself: it cannot be loaded"))?
        .map_err(|err| TextError::field(name, err.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|err| TextError::field(name, err.to_string()))?;
    Ok(tokenizer)
}

/// A special token is its text, or an object that holds it.
fn token_name(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
}

/// One id or a list of them.
fn ids(value: &Value) -> impl Iterator<Item = u32> + '_ {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
}

fn first_id(value: &Value) -> Option<u32> {
    ids(value).next()
}

/// A default template, and others by name.
type Templates = (String, Vec<(String, String)>);

/// What the files say, the first of them that has a default template.
fn templates(files: &HuggingFaceFiles<'_>, fields: [&Value; 2]) -> Option<Templates> {
    let named = || files.named_templates.iter().map(|(name, source)| (*name, *source));
    let owned = |(name, source): (&str, &str)| (name.to_owned(), source.to_owned());
    let file = files.chat_template.map(|source| (source.to_owned(), Vec::new()));
    let (default, rest) = file.or_else(|| fields.into_iter().find_map(templates_of))?;
    let own = named().map(owned);
    let others = rest.into_iter().filter(|(name, _)| named().all(|(own, _)| own != name));
    Some((default, own.chain(others).collect()))
}

/// A template, or a list of named ones.
fn templates_of(value: &Value) -> Option<Templates> {
    if let Some(source) = value.as_str() {
        return Some((source.to_owned(), Vec::new()));
    }
    let entry = |entry: &Value| {
        Some((entry["name"].as_str()?.to_owned(), entry["template"].as_str()?.to_owned()))
    };
    let mut list: Vec<(String, String)> = value.as_array()?.iter().filter_map(entry).collect();
    let place = list.iter().position(|(name, _)| name == "default")?;
    let (_, default) = list.remove(place);
    Some((default, list))
}

/// Older folders say only in the configuration whether BOS and EOS are added; where that differs
/// from what `tokenizer.json` does, the configuration wins, as in transformers.
fn follow_config(
    tokenizer: &mut Tokenizer,
    config: &Value,
    ends: [(&str, Option<u32>); 2],
) -> Result<(), TextError> {
    let probe = tokenizer
        .encode_fast("a", true)
        .map_err(|err| TextError::field("tokenizer.json", err.to_string()))?;
    let at = [probe.get_ids().first().copied(), probe.get_ids().last().copied()];
    let mut around = [None; 2];
    let mut differs = false;
    for (idx, (key, id)) in ends.into_iter().enumerate() {
        let does = id.is_some() && at[idx] == id;
        let should = config[key].as_bool().unwrap_or(does) && id.is_some();
        differs |= does != should;
        around[idx] = id.filter(|_| should);
    }
    if differs { add_template(tokenizer, around) } else { Ok(()) }
}

/// Puts the given tokens `[before, after]` each text when special tokens are asked for.
fn add_template(tokenizer: &mut Tokenizer, around: [Option<u32>; 2]) -> Result<(), TextError> {
    let bad = |err: String| TextError::field("add_bos_token", err);
    // Names of our own: token texts may hold characters that the template language reserves.
    let names = ["BEFORE", "AFTER"];
    let mut special = Vec::new();
    for (name, id) in names.into_iter().zip(around) {
        let Some(id) = id else { continue };
        let text = tokenizer.id_to_token(id).unwrap_or_default();
        let token = tokenizers::processors::template::SpecialToken::new(
            name.to_owned(),
            vec![id],
            vec![text],
        );
        special.push(token.map_err(|err| bad(err.to_string()))?);
    }
    let [before, after] = around.map(|id| id.is_some());
    let single = [before.then_some(names[0]), Some("$A"), after.then_some(names[1])];
    let single: Vec<&str> = single.into_iter().flatten().collect();
    let template = TemplateProcessing::builder()
        .try_single(single.join(" "))
        .map_err(bad)?
        .special_tokens(special)
        .build()
        .map_err(|err| bad(err.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}
