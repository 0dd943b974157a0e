//! Other providers that people may log in with, as the operator's configuration names them.

use serde::Deserialize;
use server_identity::oidc::{Client, LoginError, Provider};

const MAX_ID_BYTES: usize = 32;

/// Which protocol, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Google's accounts.
    Google,
    /// GitHub, or with an address a GitHub Enterprise server.
    Github,
    /// Any OpenID Connect issuer at an address.
    Openid,
}

/// A provider, as a configuration has it. It has no `Debug`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderData {
    /// What it is called in paths: small letters, digits and `-`.
    pub id: String,
    /// Which one.
    pub kind: ProviderKind,
    /// The issuer, or GitHub Enterprise's address.
    #[serde(default)]
    pub url: Option<String>,
    /// What the provider knows us by.
    pub client_id: String,
    /// Public clients have none.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Whether somebody whose address the provider says is verified is let into the account of that
    /// address.
    #[serde(default = "yes")]
    pub trust_email: bool,
}

fn yes() -> bool {
    true
}

/// Why a provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderDataError {
    /// It cannot be in a path.
    #[error("the provider's id '{0}' must have 1 to {MAX_ID_BYTES} small letters, digits and '-'")]
    Id(String),
    /// Nobody knows which it is.
    #[error("the provider '{0}' needs a url: its issuer")]
    NoUrl(String),
    /// What it is set up with makes no sense.
    #[error("the provider '{0}': {1}")]
    Provider(String, LoginError),
}

/// A provider that can be used.
pub struct NamedProvider {
    pub(crate) id: String,
    pub(crate) provider: Provider,
    pub(crate) trust_email: bool,
}

impl NamedProvider {
    /// Reads what was configured.
    ///
    /// # Errors
    /// [`ProviderDataError`].
    pub fn new(data: &ProviderData) -> Result<Self, ProviderDataError> {
        let id = &data.id;
        let is_fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=MAX_ID_BYTES).contains(&id.len()) || !id.bytes().all(is_fine) {
            return Err(ProviderDataError::Id(id.chars().take(MAX_ID_BYTES).collect()));
        }
        let client = Client::new(&data.client_id, data.client_secret.as_deref());
        let provider = match (data.kind, data.url.as_deref()) {
            (ProviderKind::Google, _) => Provider::google(client),
            (ProviderKind::Github, None) => Provider::github(client),
            (ProviderKind::Github, Some(url)) => Provider::github_enterprise(url, client),
            (ProviderKind::Openid, Some(url)) => Provider::openid(url, client),
            (ProviderKind::Openid, None) => return Err(ProviderDataError::NoUrl(id.clone())),
        };
        let provider = provider.map_err(|error| ProviderDataError::Provider(id.clone(), error))?;
        Ok(Self { id: id.clone(), provider, trust_email: data.trust_email })
    }
}

#[cfg(test)]
mod tests {
    use super::{NamedProvider, ProviderData, ProviderDataError};

    fn read(json: serde_json::Value) -> Result<NamedProvider, ProviderDataError> {
        NamedProvider::new(&serde_json::from_value::<ProviderData>(json).unwrap())
    }

    #[test]
    fn providers_are_data() {
        let google = serde_json::json!({"id": "google", "kind": "google", "client_id": "c"});
        assert!(read(google).unwrap().trust_email);
        let company = serde_json::json!({"id": "company", "kind": "openid", "client_id": "c",
            "url": "https://login.example.org", "client_secret": "s", "trust_email": false});
        let company = read(company).unwrap();
        assert_eq!(company.provider.issuer(), "https://login.example.org");
        assert!(!company.trust_email);
        let no_url = serde_json::json!({"id": "x", "kind": "openid", "client_id": "c"});
        assert_eq!(read(no_url).err(), Some(ProviderDataError::NoUrl("x".into())));
        let bad = serde_json::json!({"id": "a/b", "kind": "github", "client_id": "c"});
        assert_eq!(read(bad).err(), Some(ProviderDataError::Id("a/b".into())));
        let plain = serde_json::json!({"id": "x", "kind": "openid", "client_id": "c",
            "url": "http://login.example.org"});
        assert!(matches!(read(plain), Err(ProviderDataError::Provider(..))));
    }
}
