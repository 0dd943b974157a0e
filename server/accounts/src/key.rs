//! A key's secret, and what is kept of it.
//!
//! Invariant: a secret has 256 bits of randomness, so a plain SHA-256 of it cannot be searched; it
//! is shown once, never logged, and nothing that is kept leads back to it.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{hex, id};

const PREFIX: &str = "ab-";
const ADMIN_PREFIX: &str = "ab-admin-";
/// 43 letters of 62 are 256 bits.
const NUM_LETTERS: usize = 43;
/// Letters that are shown of the beginning and of the end.
const NUM_SHOWN: usize = 4;
/// What a key signs to give its AWS secret; another label would give another secret.
const LABEL: &[u8] = b"agentbase: AWS secret access key";
const AWS_ID_PREFIX: &str = "AKAB";
const KEY_ID_PREFIX: &str = "key_";

/// What a client sends. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// SHA-256 of a secret: what is kept and looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

/// A key as AWS's clients know it: an id, and a secret to sign with.
#[derive(Clone)]
pub struct AwsPair {
    /// What names it.
    pub access_key_id: String,
    /// What signs.
    pub secret_access_key: String,
}

impl KeySecret {
    /// A new one for a project's key.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{PREFIX}{}", id::letters(NUM_LETTERS)))
    }

    /// A new one for a key of the organization itself.
    #[must_use]
    pub fn generate_admin() -> Self {
        Self(format!("{ADMIN_PREFIX}{}", id::letters(NUM_LETTERS)))
    }

    /// One that somebody has.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }

    /// What lists show of it: `ab-Xy12…9Zz0`.
    #[must_use]
    pub fn redacted(&self) -> String {
        let letters = self.0.strip_prefix(ADMIN_PREFIX).map(|rest| (ADMIN_PREFIX, rest));
        let letters = letters.or_else(|| self.0.strip_prefix(PREFIX).map(|rest| (PREFIX, rest)));
        match letters {
            Some((prefix, rest)) if rest.is_ascii() && rest.len() > 4 * NUM_SHOWN => {
                let (begin, end) = (&rest[..NUM_SHOWN], &rest[rest.len() - NUM_SHOWN..]);
                format!("{prefix}{begin}…{end}")
            }
            _ => "…".to_owned(),
        }
    }

    /// The secret that AWS's signatures are made with. The server must know it to check them:
    /// whoever steals it can sign for Bedrock's routes, but has no key.
    #[must_use]
    pub fn aws_secret(&self) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        let mac = mac.map(|mac| mac.chain_update(LABEL).finalize().into_bytes());
        // A key of HMAC may have any length.
        mac.map(|bytes| hex::encode(&bytes)).unwrap_or_default()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

impl KeyHash {
    /// That of a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// As databases have it: 64 letters.
    #[must_use]
    pub fn to_text(self) -> String {
        hex::encode(&self.0)
    }

    /// Reads what [`KeyHash::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl AwsPair {
    /// The pair of a key with this id.
    #[must_use]
    pub fn of(id: &str, secret: &KeySecret) -> Self {
        Self { access_key_id: Self::access_key_id(id), secret_access_key: secret.aws_secret() }
    }

    /// The access key id of the key with this id.
    #[must_use]
    pub fn access_key_id(id: &str) -> String {
        format!("{AWS_ID_PREFIX}{}", id.strip_prefix(KEY_ID_PREFIX).unwrap_or(id))
    }
}

/// As AWS's files of credentials have it.
impl fmt::Display for AwsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, secret_access_key } = self;
        write!(f, "aws_access_key_id={access_key_id}\naws_secret_access_key={secret_access_key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_hash_and_shown_in_part() {
        let secret = KeySecret::generate();
        assert_eq!(secret.expose().len(), PREFIX.len() + NUM_LETTERS);
        assert_eq!(KeyHash::parse(&secret.hash().to_text()), Some(secret.hash()));
        assert_ne!(secret.hash(), KeySecret::generate().hash());
        let shown = secret.redacted();
        assert!(shown.starts_with(&secret.expose()[..7]) && shown.chars().count() == 12, "{shown}");
        assert!(!format!("{secret:?}{:?}", secret.hash()).contains(&secret.expose()[3..]));
        assert!(KeySecret::generate_admin().redacted().starts_with("ab-admin-"));
        assert_eq!(KeySecret::from_text("ab-short").redacted(), "…");
        for text in ["", "00", "zz", &"é".repeat(32)] {
            assert_eq!(KeyHash::parse(text), None, "{text}");
        }
    }

    /// By Python's `hmac.new(b"ab-x", b"agentbase: AWS secret access key", "sha256")`.
    #[test]
    fn aws_secrets_stay_those_of_earlier_versions() {
        let pair = AwsPair::of("key_12", &KeySecret::from_text("ab-x"));
        assert_eq!(pair.access_key_id, "AKAB12");
        assert_eq!(
            pair.secret_access_key,
            "fbecd831f8464b4bd8518f096b5a0bb078dd17e8c6925587dbdae2c3db744e01"
        );
    }
}
