//! A Hugging Face folder: `config.json` beside one or many safetensors files.
//!
//! Invariant: every tensor comes from exactly one file, and exactly from the one that the index
//! names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    Files,
    error::{Fault, LoadError, Quoted},
    mmap,
    quantization::Scheme,
    safetensors,
    tensor::Tensor,
};

/// What describes the model.
pub const CONFIG: &str = "config.json";
const INDEX: &str = "model.safetensors.index.json";
const EXTENSION: &str = ".safetensors";
/// Bytes of the largest JSON file read whole.
const MAX_JSON_BYTES: usize = 16 << 20;

/// The configuration.
pub fn config(files: &Files) -> Result<Map<String, Value>, LoadError> {
    read_object(require(files, CONFIG)?)
}

/// All tensors under their own names; quantised ones are restored.
pub fn tensors(files: &Files, config: &Map<String, Value>) -> Result<Vec<Tensor>, LoadError> {
    let config_json = require(files, CONFIG)?;
    let scheme = Scheme::from_config(config).map_err(|fault| fault.at(config_json))?;
    let tensors = match files.get(INDEX) {
        Some(index) => sharded(files, index, scheme.is_some())?,
        None => single(files, scheme.is_some())?,
    };
    match scheme {
        // Tensors that belong together may lie in several files.
        Some(scheme) => scheme.restore(tensors).map_err(|f| LoadError::Files(f.to_string())),
        None => Ok(tensors),
    }
}

/// Whether a folder's weights are quantised so that opening them makes tensors in memory of all
/// that they hold, of about the size of their files.
///
/// # Errors
/// If the configuration cannot be read, or asks for what is not.
pub fn is_restored(files: &Files) -> Result<bool, LoadError> {
    let Some(config_json) = files.get(CONFIG) else { return Ok(false) };
    let scheme = Scheme::from_config(&config(files)?).map_err(|fault| fault.at(config_json))?;
    Ok(scheme.is_some_and(|scheme| scheme != Scheme::Ggml))
}

/// All tensors of one safetensors file, under their own names.
///
/// # Errors
/// [`LoadError`] naming the file and the tensor.
pub fn file(path: &Path) -> Result<Vec<Tensor>, LoadError> {
    parse(path, false)
}

/// Where the file of this name is.
///
/// # Errors
/// If there is none.
pub fn require<'a>(files: &'a Files, name: &str) -> Result<&'a PathBuf, LoadError> {
    files.get(name).ok_or_else(|| LoadError::Files(format!("{name} is missing")))
}

fn single(files: &Files, quantised: bool) -> Result<Vec<Tensor>, LoadError> {
    let mut found = files.iter().filter(|(name, _)| name.ends_with(EXTENSION));
    match (found.next(), found.next()) {
        (Some((_, path)), None) => parse(path, quantised),
        (None, _) => Err(LoadError::Files(
            "there are no weights: neither a .gguf nor a .safetensors file".into(),
        )),
        (Some(_), Some(_)) => {
            Err(LoadError::Files(format!("several {EXTENSION} files, but no {INDEX}")))
        }
    }
}

fn parse(path: &Path, quantised: bool) -> Result<Vec<Tensor>, LoadError> {
    safetensors::parse(&mmap::map(path)?, quantised).map_err(|fault| fault.at(path))
}

/// Reads the shards that the index names.
fn sharded(files: &Files, index: &Path, quantised: bool) -> Result<Vec<Tensor>, LoadError> {
    let shards = shards(&read_object(index)?).map_err(|fault| fault.at(index))?;
    if let Some(shard) = shards.keys().find(|shard| !files.contains_key(*shard)) {
        let what = format!("{} is missing; {INDEX} names it", Quoted(shard));
        return Err(LoadError::Files(what));
    }
    let mut tensors = Vec::new();
    let mut seen = BTreeSet::new();
    for (shard, mut expected) in shards {
        let path = require(files, &shard)?;
        for tensor in parse(path, quantised)? {
            let fault = |what: &str| Err(Fault::tensor(tensor.name(), what).at(path));
            if !seen.insert(tensor.name().to_owned()) {
                return fault("is in another shard too");
            }
            if !expected.remove(tensor.name()) {
                return fault("is in this shard, but the index does not say so");
            }
            tensors.push(tensor);
        }
        if let Some(name) = expected.first() {
            let what = "is not in this shard, but the index says so";
            return Err(Fault::tensor(name, what).at(path));
        }
    }
    Ok(tensors)
}

/// Names of tensors by shard.
fn shards(index: &Map<String, Value>) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
    const FIELD: &str = "weight_map";
    let Some(Value::Object(map)) = index.get(FIELD) else {
        return Err(Fault::field(FIELD, "is missing or not an object"));
    };
    let mut shards = BTreeMap::<_, BTreeSet<_>>::new();
    for (tensor, shard) in map {
        let shard = match shard.as_str() {
            // Names are looked up among the model's files and never opened as paths; one with
            // a directory in it is a mistake or an attack all the same.
            Some(shard) if shard.ends_with(EXTENSION) && !shard.contains(['/', '\\']) => shard,
            _ => {
                let (tensor, shard) = (Quoted(tensor), shard.to_string());
                let shard = Quoted(&shard);
                let what = format!("{tensor}: {shard} is not a {EXTENSION} file's name");
                return Err(Fault::field(FIELD, what));
            }
        };
        shards.entry(shard.to_owned()).or_default().insert(tensor.clone());
    }
    Ok(shards)
}

/// The tensors of one safetensors file, under their own names.
///
/// # Errors
/// If it cannot be read or contradicts its format.
pub fn tensors_of(path: &Path) -> Result<Vec<Tensor>, LoadError> {
    parse(path, false)
}

/// How many bytes a file has.
pub(crate) fn file_len(path: &Path) -> Result<u64, LoadError> {
    let meta = fs::metadata(path);
    meta.map(|meta| meta.len()).map_err(|cause| LoadError::Io { path: path.into(), cause })
}

/// Reads a JSON file whose value is an object.
pub fn read_object(path: &Path) -> Result<Map<String, Value>, LoadError> {
    match read_json(path)? {
        Value::Object(object) => Ok(object),
        _ => Err(Fault::file("the JSON is not an object").at(path)),
    }
}

/// Reads a JSON file.
///
/// # Errors
/// If it cannot be read, is too long, or is none.
pub fn read_json(path: &Path) -> Result<Value, LoadError> {
    let bytes = mmap::map(path)?;
    if bytes.len() > MAX_JSON_BYTES {
        let what = format!("{} bytes; {MAX_JSON_BYTES} are accepted", bytes.len());
        return Err(Fault::file(what).at(path));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Fault::file(format!("not JSON: {error}")).at(path))
}
