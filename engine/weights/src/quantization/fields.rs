//! Reading the `quantization_config` of a `config.json`.
//!
//! Invariant: errors name the field by its whole path.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use crate::error::Fault;

const OBJECT: &str = "quantization_config";
/// Inputs and outputs that may share a scale: far above any model's.
const MAX_SIZE: usize = 1 << 20;
/// As DeepSeek has it.
const DEFAULT_BLOCK: [usize; 2] = [128, 128];

/// The object, or one within it.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The object of this configuration, if it has one.
    pub(super) fn of(config: &'a Map<String, Value>) -> Result<Option<Self>, Fault> {
        match config.get(OBJECT) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self(object))),
            Some(_) => Err(Fault::field(OBJECT, "is not an object")),
        }
    }

    pub(super) fn fault(&self, key: &str, what: impl Into<String>) -> Fault {
        Fault::field(&format!("{OBJECT}.{key}"), what)
    }

    /// The field, if it is there.
    pub(super) fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                T::deserialize(value).map(Some).map_err(|e| self.fault(key, e.to_string()))
            }
        }
    }

    /// The field, which must be there.
    pub(super) fn require<T: Deserialize<'a>>(&self, key: &str) -> Result<T, Fault> {
        self.get(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// Refuses a text that is none of `known`.
    pub(super) fn one_of(&self, key: &str, known: &[&str]) -> Result<(), Fault> {
        match self.get::<String>(key)? {
            Some(found) if !known.contains(&found.as_str()) => {
                Err(self.fault(key, format!("{found:?} is not read; {} are", known.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// Bits of a weight.
    pub(super) fn bits(&self, key: &str, known: &[u32]) -> Result<u32, Fault> {
        let bits = self.require(key)?;
        if known.contains(&bits) {
            return Ok(bits);
        }
        Err(self.fault(key, format!("{bits} bits are not read; {known:?} are")))
    }

    /// Inputs that share a scale; `None` if all do.
    pub(super) fn group_size(&self, key: &str) -> Result<Option<usize>, Fault> {
        match self.require::<i64>(key)? {
            -1 => Ok(None),
            size @ 1..=0x10_0000 => Ok(Some(size as usize)),
            size => {
                let what = format!("{size} is neither -1 nor between 1 and {MAX_SIZE}");
                Err(self.fault(key, what))
            }
        }
    }

    /// Outputs and inputs that share a scale.
    pub(super) fn block_size(&self, key: &str) -> Result<[usize; 2], Fault> {
        let block: [usize; 2] = self.get(key)?.unwrap_or(DEFAULT_BLOCK);
        if block.iter().all(|size| (1..=MAX_SIZE).contains(size)) {
            return Ok(block);
        }
        Err(self.fault(key, format!("{block:?} is not between 1 and {MAX_SIZE}")))
    }
}
