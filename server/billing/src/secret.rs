//! Secrets: the key of Stripe's API, and what webhooks are signed with.
//!
//! Invariant: a secret is never printed, and never compared but through a hash.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The longest secret.
const MAX_SECRET_BYTES: usize = 512;

/// A secret of Stripe's: `sk_…`, `rk_…` or `whsec_…`.
#[derive(Clone)]
pub struct Secret(String);

/// A text is no secret of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of Stripe's is 1 to {MAX_SECRET_BYTES} visible characters without spaces")]
pub struct SecretError;

impl Secret {
    /// A secret, without the white space around it.
    ///
    /// # Errors
    /// If it is empty, too long, or has characters that no secret of Stripe's has.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let fits = (1..=MAX_SECRET_BYTES).contains(&text.len());
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(SecretError),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// HMAC-SHA256 with this secret as its key; `None` never happens, a key has any length.
    pub(crate) fn mac(&self) -> Option<Hmac<Sha256>> {
        Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_trimmed_bounded_and_never_printed() {
        let secret = Secret::new(" sk_test_123\n").unwrap();
        assert_eq!(secret.expose(), "sk_test_123");
        assert!(!format!("{secret:?}").contains("123"));
        for text in ["", "  ", "a b", "a\u{7f}", "ä", &"x".repeat(513)] {
            assert_eq!(Secret::new(text).unwrap_err(), SecretError);
        }
    }
}
