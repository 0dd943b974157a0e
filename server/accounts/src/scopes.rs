//! What a key may be used for.
//!
//! Invariant: an empty list of a kind allows all of that kind, and one that is not empty nothing
//! else than what is on it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The most entries of a list.
const MAX_ENTRIES: usize = 100;
const MAX_ENTRY_BYTES: usize = 256;

/// Endpoints, models and networks that a key is for; all, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scopes {
    /// Paths like `/v1/embeddings`; `*` at the end stands for anything: `/v1/chat/*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// Models as requests name them; `*` at the end stands for anything: `llama:*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Where requests may come from: `10.0.0.0/8`, `2001:db8::/32`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    pub networks: Vec<IpNet>,
}

/// Why scopes cannot be those.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// A list is too long.
    #[error("a key has at most {MAX_ENTRIES} {0}")]
    TooMany(&'static str),
    /// An entry is empty or too long.
    #[error("one of the {0} has not 1 to {MAX_ENTRY_BYTES} bytes")]
    Entry(&'static str),
    /// An endpoint is no path.
    #[error("the endpoint '{0}' is no path: write it like /v1/embeddings or /v1/chat/*")]
    NoPath(String),
    /// This is no network.
    #[error("'{0}' is no network: write it like 10.0.0.0/8, or as one address")]
    Network(String),
}

impl Scopes {
    /// The same, if the lists are within bounds.
    ///
    /// # Errors
    /// If they are not.
    pub fn checked(self) -> Result<Self, ScopesError> {
        for (what, list) in [("endpoints", &self.endpoints), ("models", &self.models)] {
            if list.len() > MAX_ENTRIES {
                return Err(ScopesError::TooMany(what));
            }
            if list.iter().any(|entry| !(1..=MAX_ENTRY_BYTES).contains(&entry.len())) {
                return Err(ScopesError::Entry(what));
            }
        }
        if self.networks.len() > MAX_ENTRIES {
            return Err(ScopesError::TooMany("networks"));
        }
        match self.endpoints.iter().find(|path| !path.starts_with('/')) {
            Some(path) => Err(ScopesError::NoPath(path.clone())),
            None => Ok(self),
        }
    }

    /// A network, or an address as the network of it alone.
    ///
    /// # Errors
    /// If it is neither.
    pub fn network(text: &str) -> Result<IpNet, ScopesError> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| ScopesError::Network(text.chars().take(64).collect()))
    }

    /// Whether a path may be asked for.
    #[must_use]
    pub fn allow_endpoint(&self, path: &str) -> bool {
        allow(&self.endpoints, path)
    }

    /// Whether a model may be used.
    #[must_use]
    pub fn allow_model(&self, model: &str) -> bool {
        allow(&self.models, model)
    }

    /// Whether a request may come from an address; one that is not known is in no network.
    #[must_use]
    pub fn allow_address(&self, address: Option<IpAddr>) -> bool {
        // An IPv4 client of a socket for both is an IPv4 client.
        let address = address.map(|address| address.to_canonical());
        let is_in = |network: &IpNet| address.is_some_and(|address| network.contains(&address));
        self.networks.is_empty() || self.networks.iter().any(is_in)
    }
}

/// Each a network, or an address as the network of it alone.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Scopes::network(text).map_err(D::Error::custom)).collect()
}

fn allow(list: &[String], name: &str) -> bool {
    let is_meant = |entry: &String| match entry.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => entry == name,
    };
    list.is_empty() || list.iter().any(is_meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_allows_all_and_another_only_what_is_on_it() {
        let all = Scopes::default();
        assert!(all.allow_endpoint("/v1/x") && all.allow_model("m") && all.allow_address(None));
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let some = Scopes {
            endpoints: texts(&["/v1/embeddings", "/v1/chat/*"]),
            models: texts(&["a", "b:*"]),
            networks: vec![Scopes::network("10.0.0.0/8").unwrap(), "::1/128".parse().unwrap()],
        };
        let some = some.checked().unwrap();
        assert!(
            some.allow_endpoint("/v1/chat/completions") && some.allow_endpoint("/v1/embeddings")
        );
        assert!(!some.allow_endpoint("/v1/embeddings/x") && !some.allow_endpoint("/v1/responses"));
        assert!(some.allow_model("a") && some.allow_model("b:c") && !some.allow_model("ab"));
        for (address, is_allowed) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.1.2.3", false), ("::1", true)]
        {
            assert_eq!(some.allow_address(address.parse().ok()), is_allowed, "{address}");
        }
        assert!(!some.allow_address(None));
        let json = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), some);
        assert_eq!(serde_json::to_string(&all).unwrap(), "{}");
        let one: Scopes = serde_json::from_str(r#"{"networks":["10.0.0.1"]}"#).unwrap();
        assert_eq!(one.networks, ["10.0.0.1/32".parse::<IpNet>().unwrap()]);
        assert!(serde_json::from_str::<Scopes>(r#"{"networks":["10"]}"#).is_err());
    }

    #[test]
    fn lists_are_bounded_and_made_of_what_they_should() {
        let endpoints = |entry: &str, num| Scopes {
            endpoints: vec![entry.to_owned(); num],
            ..Scopes::default()
        };
        assert!(endpoints("/v1/x", MAX_ENTRIES).checked().is_ok());
        assert!(endpoints("/v1/x", MAX_ENTRIES + 1).checked().is_err());
        assert!(endpoints("v1/x", 1).checked().is_err());
        assert!(endpoints("", 1).checked().is_err());
        assert!(Scopes::network("10.0.0.1").is_ok() && Scopes::network("10.0.0").is_err());
    }
}
