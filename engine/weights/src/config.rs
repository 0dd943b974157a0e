//! Reading fields of a Hugging Face `config.json` by name.
//!
//! Invariant: `null` and absence are the same; a field of the wrong kind is an error naming it.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use crate::{
    error::Fault,
    fields::{Called, Fields},
};

/// An object of the configuration.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    fields: &'a Map<String, Value>,
    called: Called,
    /// The fields that it lies in, from the outermost on; what is empty is none.
    within: [&'static str; 3],
}

impl<'a> Config<'a> {
    /// All of a file, with the usual names of fields.
    pub fn new(fields: &'a Map<String, Value>) -> Self {
        Self { fields, called: &[], within: [""; 3] }
    }

    /// The same with a family's names of fields.
    pub fn of_family(self, called: Called) -> Self {
        Self { called, ..self }
    }

    /// Other fields in the place of these.
    pub fn with<'b>(&self, fields: &'b Map<String, Value>) -> Config<'b> {
        Config { fields, called: self.called, within: self.within }
    }

    /// Its fields.
    pub fn fields(&self) -> &'a Map<String, Value> {
        self.fields
    }

    /// What stands in this field, be it `null`.
    pub fn stands(&self, key: &str) -> Option<&'a Value> {
        self.at(self.name(key))
    }

    /// The same by a name of the file's; before a dot is the object that a field is in.
    fn at(&self, name: &str) -> Option<&'a Value> {
        let (object, field) = match name.rsplit_once('.') {
            Some((object, field)) => (self.at(object)?.as_object()?, field),
            None => (self.fields, name),
        };
        object.get(field)
    }

    /// The field, if it is there.
    ///
    /// # Errors
    /// If it is of another kind.
    pub fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, Fault> {
        match self.stands(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                T::deserialize(value).map(Some).map_err(|e| self.fault(key, e.to_string()))
            }
        }
    }

    /// The field, which must be there.
    ///
    /// # Errors
    /// If it is not, or of another kind.
    pub fn require<T: Deserialize<'a>>(&self, key: &str) -> Result<T, Fault> {
        self.get(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// A factor, if it is there.
    ///
    /// # Errors
    /// If it is no positive number.
    pub fn positive(&self, key: &str) -> Result<Option<f32>, Fault> {
        self.get(key)?.map(|value| self.check_positive(key, value)).transpose()
    }

    /// A factor, which must be there.
    ///
    /// # Errors
    /// If it is not, or no positive number.
    pub fn require_positive(&self, key: &str) -> Result<f32, Fault> {
        self.check_positive(key, self.require(key)?)
    }

    /// The object in this field, if it is there.
    ///
    /// # Errors
    /// If it is something else.
    pub fn object(&self, key: &'static str) -> Result<Option<Self>, Fault> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => {
                let mut within = self.within;
                if let Some(place) = within.iter_mut().find(|place| place.is_empty()) {
                    *place = key;
                }
                Ok(Some(Self { fields, within, ..*self }))
            }
            Some(_) => Err(self.fault(key, "is not an object")),
        }
    }

    /// The object in this field, which must be there.
    ///
    /// # Errors
    /// If it is not, or something else.
    pub fn require_object(&self, key: &'static str) -> Result<Self, Fault> {
        self.object(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// Refuses any other value than `only`, which absence means too.
    ///
    /// # Errors
    /// If it is another, or of another kind.
    pub fn only<T>(&self, key: &str, only: T) -> Result<(), Fault>
    where
        T: Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        match self.get::<T>(key)? {
            Some(found) if found != only => {
                Err(self.fault(key, format!("{found:?} is not supported, only {only:?} is")))
            }
            _ => Ok(()),
        }
    }
}

impl Fields for Config<'_> {
    fn called(&self) -> Called {
        self.called
    }

    fn value(&self, name: &str) -> Option<String> {
        match self.at(name)? {
            Value::Null => None,
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => Some(String::new()),
        }
    }

    fn place(&self, name: &str) -> String {
        let within = self.within.iter().copied().filter(|field| !field.is_empty());
        within.chain([name]).collect::<Vec<_>>().join(".")
    }
}
