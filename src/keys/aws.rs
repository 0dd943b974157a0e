//! Keys as AWS's clients know them: an id, and a secret to sign with.
//!
//! Invariant: the secret is derived from the key, and nothing leads back. The server must know it
//! to check signatures: whoever steals it can sign for Bedrock's routes, but has no key.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{ID_PREFIX, hex};

/// Takes the place of [`ID_PREFIX`].
const AWS_ID_PREFIX: &str = "AKAB";
/// What a key signs to give its secret; another label would give another secret.
const LABEL: &str = "agentbase: AWS secret access key";

/// What a key's signatures are made with. It is never shown by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn of(key: &str) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
        let mut mac = mac.expect("a key may have any length");
        mac.update(LABEL.as_bytes());
        Self(hex(&mac.finalize().into_bytes()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key's pair.
pub(crate) struct AwsPair {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl AwsPair {
    /// The pair of `key`, whose public id is `id`.
    pub(super) fn of(id: &str, key: &str) -> Self {
        Self { access_key_id: access_key_id(id), secret_access_key: Secret::of(key).0 }
    }
}

/// As AWS's files of credentials have it.
impl fmt::Display for AwsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, secret_access_key } = self;
        write!(f, "aws_access_key_id={access_key_id}\naws_secret_access_key={secret_access_key}")
    }
}

/// The access key id of the key with this public id.
pub(super) fn access_key_id(id: &str) -> String {
    format!("{AWS_ID_PREFIX}{}", id.strip_prefix(ID_PREFIX).unwrap_or(id))
}
