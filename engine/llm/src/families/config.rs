//! Reading fields of a Hugging Face `config.json` by name.
//!
//! Invariant: `null` and absence are the same; a field of the wrong kind is an error naming it.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use engine_weights::Fault;

/// An object of the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Config<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Config<'a> {
    /// The field, if it is there.
    pub(crate) fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                T::deserialize(value).map(Some).map_err(|e| Fault::field(key, e.to_string()))
            }
        }
    }

    /// The field, which must be there.
    pub(crate) fn require<T: Deserialize<'a>>(&self, key: &str) -> Result<T, Fault> {
        self.get(key)?.ok_or_else(|| Fault::field(key, "is missing"))
    }

    /// The object in this field, if it is there.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Self>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Config(object))),
            Some(_) => Err(Fault::field(key, "is not an object")),
        }
    }

    /// Refuses any other value than `only`, which absence means too.
    pub(crate) fn only<T>(&self, key: &str, only: T) -> Result<(), Fault>
    where
        T: Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        match self.get::<T>(key)? {
            Some(found) if found != only => {
                Err(Fault::field(key, format!("{found:?} is not supported, only {only:?} is")))
            }
            _ => Ok(()),
        }
    }
}
