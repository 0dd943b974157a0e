//! Which files of a folder, or of a hub repository, make up a model: decided from names and sizes
//! before anything is copied. Import and pull share it, so that both take and refuse the same.
//!
//! Invariant: only names of the short lists below are ever chosen; a pickle file never is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::limits::{MAX_JSON_BYTES, MAX_MODEL_FILES, MAX_WEIGHT_BYTES};
use crate::name::is_plain_name;

/// The name that a GGUF file has within a model, whatever it was called outside.
pub(crate) const GGUF_NAME: &str = "model.gguf";

const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
const OPTIONAL: [&str; 7] = [
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    // What models that see or hear do with images and sound.
    "preprocessor_config.json",
    "processor_config.json",
];
/// What sentence-transformers says beside a model of what becomes of its rows; the first names
/// folders of further files.
const MODULES: &str = "modules.json";
const OF_ENCODERS: [&str; 3] = [
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
];
/// What lies in the folder of a module.
const OF_MODULE: [&str; 2] = ["config.json", "model.safetensors"];
/// What an adapter is made up of.
pub(crate) const ADAPTER_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLES: [&str; 5] = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];

/// File names with their sizes, where those are known.
pub(crate) type Listing = BTreeMap<String, Option<u64>>;

/// The files to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One GGUF file, by its name in the listing.
    Gguf(String),
    /// These files; where there is an `index`, it is among them and names the shards to add.
    SafeTensors { files: Vec<String>, index: Option<&'static str> },
}

/// Whether an adapter is there. The error says what is wrong and what to do.
pub(crate) fn check_adapter(listing: &Listing) -> Result<(), String> {
    for name in ADAPTER_FILES {
        match listing.get(name) {
            Some(size) => check_size(name, *size)?,
            None if listing.contains_key("adapter_model.bin") => {
                return Err(PICKLE_REFUSED.to_owned());
            }
            None => return Err(format!("{name} is missing: it holds no adapter of PEFT's")),
        }
    }
    Ok(())
}

/// Chooses the files of a model. The error says what is wrong and what to do.
pub(crate) fn choose(listing: &Listing) -> Result<Layout, String> {
    let has = |name: &str| listing.contains_key(name);
    if has(ADAPTER_FILES[0]) && !has("config.json") {
        return Err("it holds an adapter: say with --base which model it is for".to_owned());
    }
    if !listing.keys().any(|name| name.ends_with(".safetensors")) {
        return choose_gguf(listing);
    }
    let weights = match (has(SINGLE), has(INDEX)) {
        (true, _) => SINGLE,
        (false, true) => INDEX,
        (false, false) => {
            return Err(format!(
                "it has .safetensors files, but neither {SINGLE} nor {INDEX}, which would say \
                 which of them belong to the model"
            ));
        }
    };
    for name in REQUIRED {
        if !has(name) {
            return Err(missing(name));
        }
    }
    let optional = OPTIONAL.iter().chain(&OF_ENCODERS).chain([&MODULES]);
    let names = REQUIRED.iter().chain(optional.filter(|name| has(name)));
    let mut files: Vec<String> = names.copied().chain([weights]).map(str::to_owned).collect();
    if has(MODULES) {
        files.extend(listing.keys().filter(|name| is_of_module(name)).cloned());
    }
    for name in &files {
        check_size(name, listing.get(name).copied().flatten())?;
    }
    Ok(Layout::SafeTensors { files, index: (weights == INDEX).then_some(INDEX) })
}

/// Whether a folder is called as sentence-transformers calls a module's: `1_Pooling`.
pub(crate) fn is_module(folder: &str) -> bool {
    let parts = folder.split_once('_').filter(|_| is_plain_name(folder, 64));
    parts.is_some_and(|(number, _)| {
        (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_of_module(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(folder, file)| is_module(folder) && OF_MODULE.contains(&file))
}

/// The shards that an index file names; every one of them is in the listing.
pub(crate) fn shards(index: &[u8], listing: &Listing) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let index: Index =
        serde_json::from_slice(index).map_err(|e| format!("{INDEX} is not readable: {e}"))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    if names.is_empty() || names.len() > MAX_MODEL_FILES - REQUIRED.len() - OPTIONAL.len() - 1 {
        return Err(format!("{INDEX} names {} files of weights", names.len()));
    }
    for name in &names {
        if !name.ends_with(".safetensors") || !is_plain_name(name, 200) {
            return Err(format!("{INDEX} names {name:?}, which is no plain .safetensors file"));
        }
        let size = listing.get(name).ok_or_else(|| {
            format!("{name} is missing, though {INDEX} names it: the model is incomplete")
        })?;
        check_size(name, *size)?;
    }
    Ok(names.into_iter().collect())
}

/// Whether a model's file of that name may have that size.
pub(crate) fn check_size(name: &str, size: Option<u64>) -> Result<(), String> {
    let is_weights = name.ends_with(".safetensors") || name.ends_with(".gguf");
    let max = if is_weights { MAX_WEIGHT_BYTES } else { MAX_JSON_BYTES };
    match size {
        Some(0) => Err(format!("{name} is empty")),
        Some(size) if size > max => {
            Err(format!("{name} has {size} bytes; at most {max} are allowed"))
        }
        _ => Ok(()),
    }
}

/// Whether the name is that of a file that Python unpickles.
pub(crate) fn is_pickle(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PICKLES.iter().any(|end| name.ends_with(end))
}

/// Why a pickle file is refused, and what to do.
pub(crate) const PICKLE_REFUSED: &str = "its weights are a Python pickle, which can run any \
    program when it is loaded, so Agentbase never reads one; convert it where you trust it: \
    `AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW, safe_serialization=True)`";

/// What is wrong with a GGUF file's name, if anything.
pub(crate) fn check_gguf_name(name: &str) -> Result<(), String> {
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    let split = stem.rsplit_once("-of-").is_some_and(|(left, count)| {
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        digits(count) && left.rsplit_once('-').is_some_and(|(_, idx)| digits(idx))
    });
    match split {
        true => Err(format!(
            "{name} is one piece of a split GGUF; join the pieces with \
             `llama-gguf-split --merge` first"
        )),
        false => Ok(()),
    }
}

fn choose_gguf(listing: &Listing) -> Result<Layout, String> {
    let ggufs: Vec<&String> = listing.keys().filter(|name| name.ends_with(".gguf")).collect();
    match ggufs.as_slice() {
        [only] => {
            check_gguf_name(only)?;
            check_size(only, listing.get(*only).copied().flatten())?;
            Ok(Layout::Gguf((*only).clone()))
        }
        [] if listing.keys().any(|name| is_pickle(name)) => Err(PICKLE_REFUSED.to_owned()),
        [] => Err(format!("it has no weights: neither {SINGLE}, nor {INDEX}, nor a .gguf file")),
        several => {
            let names: Vec<&str> = several.iter().take(50).map(|name| name.as_str()).collect();
            Err(format!("it has several GGUF files, name one of them: {}", names.join(", ")))
        }
    }
}

fn missing(name: &str) -> String {
    if name == "tokenizer.json" {
        return "tokenizer.json is missing; `AutoTokenizer.from_pretrained(DIR).save_pretrained(\
                DIR)` writes it"
            .to_owned();
    }
    format!("{name} is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        names.iter().map(|name| ((*name).to_owned(), Some(10))).collect()
    }

    #[test]
    fn only_the_files_of_the_model_are_chosen() {
        let all = listing(&[
            "README.md",
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer_config.json",
            "x.gguf",
        ]);
        let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
        let files = files.map(str::to_owned).to_vec();
        assert_eq!(choose(&all), Ok(Layout::SafeTensors { files, index: None }));
        let embedder = listing(&[
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "2_Dense/pytorch_model.bin",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "onnx/config.json",
            "tokenizer.json",
        ]);
        let files = [
            "config.json",
            "tokenizer.json",
            "config_sentence_transformers.json",
            "modules.json",
            "model.safetensors",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
        ];
        let files = files.map(str::to_owned).to_vec();
        assert_eq!(choose(&embedder), Ok(Layout::SafeTensors { files, index: None }));
        let gguf = listing(&["README.md", "q/x.gguf", "pytorch_model.bin"]);
        assert_eq!(choose(&gguf), Ok(Layout::Gguf("q/x.gguf".to_owned())));
    }

    #[test]
    fn what_cannot_be_chosen_says_why() {
        let cases: [(&[&str], &str); 8] = [
            (&[], "no weights"),
            (&["config.json", "pytorch_model.bin"], "pickle"),
            (&["a.gguf", "b.gguf"], "a.gguf, b.gguf"),
            (&["m-00001-of-00002.gguf"], "--merge"),
            (&["model.safetensors", "tokenizer.json"], "config.json is missing"),
            (&["model.safetensors", "config.json"], "tokenizer.json is missing"),
            (&["adapter_model.safetensors"], INDEX),
            (&["model-00001-of-00002.safetensors", "config.json"], INDEX),
        ];
        for (names, reason) in cases {
            let error = choose(&listing(names)).unwrap_err();
            assert!(error.contains(reason), "{names:?}: {error}");
        }
        let mut large = listing(&["model.safetensors", "config.json", "tokenizer.json"]);
        large.insert("tokenizer.json".to_owned(), Some(MAX_JSON_BYTES + 1));
        assert!(choose(&large).unwrap_err().contains("tokenizer.json"));
        large.insert("tokenizer.json".to_owned(), Some(0));
        assert!(choose(&large).unwrap_err().contains("empty"));
    }

    #[test]
    fn an_index_names_its_shards_and_a_missing_one_is_named() {
        let index = br#"{"metadata":{},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors",
            "c":"s1.safetensors"}}"#;
        let both = listing(&["s1.safetensors", "s2.safetensors"]);
        assert_eq!(shards(index, &both).unwrap(), ["s1.safetensors", "s2.safetensors"]);
        let error = shards(index, &listing(&["s1.safetensors"])).unwrap_err();
        assert!(error.contains("s2.safetensors is missing"), "{error}");
        for bad in [
            &br#"{"weight_map":{"a":"../x.safetensors"}}"#[..],
            br#"{"weight_map":{"a":"evil.bin"}}"#,
            br#"{"weight_map":{}}"#,
            br#"{}"#,
            b"\xff",
        ] {
            assert!(shards(bad, &both).is_err());
        }
    }
}
