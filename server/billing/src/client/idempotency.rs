//! Keys by which Stripe knows a request that it has done already.
//!
//! Invariant: a key says nothing of what it was made of.

use sha2::{Digest, Sha256};

use crate::hex;

/// An `Idempotency-Key`. Stripe keeps the answer to each for 24 hours, and refuses a key that
/// comes back with other fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A new one, for a request that is meant to happen again when it is asked for again.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("ab-{}", hex::encode(&rand::random::<[u8; 16]>())))
    }

    /// The one of these parts, for a request that is to happen once, by whichever process.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        Self(digest(parts))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name of at most 40 characters for these parts: others have another.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Its length first, so that no two lists of parts read the same.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("ab-{}", hex::encode(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_their_parts_and_random_ones_differ() {
        assert_eq!(IdempotencyKey::of(&["a", "b"]), IdempotencyKey::of(&["a", "b"]));
        assert_ne!(IdempotencyKey::of(&["a", "b"]), IdempotencyKey::of(&["ab", ""]));
        assert_ne!(IdempotencyKey::random(), IdempotencyKey::random());
        assert_eq!(digest(&["x"]).len(), 35);
    }
}
