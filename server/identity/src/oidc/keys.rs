//! The keys that a provider signs with (RFC 7517), and signatures by them: RS256 and ES256.
//!
//! Invariant: a key is used for the one algorithm of its kind, whatever a token says.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

const MAX_KEYS: usize = 100;

/// What a token says that it is signed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    /// RSA with SHA-256, PKCS #1 1.5.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// `{"keys": […]}`, of which keys of other kinds are left out.
#[derive(Deserialize)]
pub(super) struct KeySet {
    keys: Vec<Value>,
}

/// Keys that can be used.
pub(super) struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    public: Public,
}

enum Public {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// `04 x y`.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    pub(super) fn read(set: KeySet) -> Self {
        let keys = set.keys.into_iter().take(MAX_KEYS);
        Self(keys.filter_map(|key| read(serde_json::from_value(key).ok()?)).collect())
    }

    /// Whether `signature` of `message` is by the key `id`; `None` if there is no such key for the
    /// algorithm. A provider with one key need not name it.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithm() == algorithm && (id.is_none() || key.id.as_deref() == id)
        });
        let (key, more) = (fitting.next()?, fitting.next());
        (id.is_some() || more.is_none()).then(|| key.verify(message, signature))
    }
}

impl Key {
    fn algorithm(&self) -> Algorithm {
        match self.public {
            Public::Rsa(_) => Algorithm::Rs256,
            Public::P256(_) => Algorithm::Es256,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.public {
            // 2048 to 8192 bits.
            Public::Rsa(key) => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Public::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

fn read(jwk: Jwk) -> Option<Key> {
    let decode = |part: Option<String>| BASE64URL.decode(part?).ok();
    let public = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => {
            // Some write a zero before a number whose first bit is set.
            let number = |part| -> Option<Vec<u8>> {
                Some(decode(part)?.into_iter().skip_while(|byte| *byte == 0).collect())
            };
            Public::Rsa(RsaPublicKeyComponents { n: number(jwk.n)?, e: number(jwk.e)? })
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (decode(jwk.x)?, decode(jwk.y)?);
            let is_point = x.len() == 32 && y.len() == 32;
            Public::P256(is_point.then(|| [&[4], &x[..], &y[..]].concat())?)
        }
        _ => return None,
    };
    let key = Key { id: jwk.kid, public };
    let is_for_signing = jwk.used_for.is_none_or(|used_for| used_for == "sig");
    let fits = jwk.alg.is_none_or(|alg| match key.algorithm() {
        Algorithm::Rs256 => alg == "RS256",
        Algorithm::Es256 => alg == "ES256",
    });
    (is_for_signing && fits).then_some(key)
}
