//! What a browser keeps for us, and is believed to be ours when it comes back.
//!
//! Invariant: nothing is opened that was not signed with this key, for this purpose, or whose end
//! has come. It is signed and not encrypted: whoever has it can read it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::hmac;

use crate::{TokenError, TokenKey, UnixSeconds};

/// What a cookie may have.
const MAX_BYTES: usize = 4096;

/// What signs it: of the same bytes as a [`TokenKey`], but another key. It has no `Debug`.
pub struct CookieKey(hmac::Key);

impl CookieKey {
    /// Of random bytes that only servers know.
    ///
    /// # Errors
    /// [`TokenError::ShortKey`].
    pub fn new(bytes: &[u8]) -> Result<Self, TokenError> {
        TokenKey::new(bytes)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let own = hmac::sign(&key, b"agentbase signed cookie key");
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref())))
    }

    /// `payload` as a cookie's value, for one purpose, until `end`.
    #[must_use]
    pub fn sign(&self, purpose: &str, payload: &[u8], end: UnixSeconds) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(payload), end.0);
        let tag = hmac::sign(&self.0, message(purpose, &signed).as_bytes());
        format!("{signed}.{}", BASE64URL.encode(tag.as_ref()))
    }

    /// The payload, if it is to be believed.
    #[must_use]
    pub fn open(&self, purpose: &str, text: &str, now: UnixSeconds) -> Option<Vec<u8>> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, tag) = text.rsplit_once('.')?;
        let tag = BASE64URL.decode(tag).ok()?;
        hmac::verify(&self.0, message(purpose, signed).as_bytes(), &tag).ok()?;
        let (payload, end) = signed.split_once('.')?;
        let end = UnixSeconds(end.parse().ok()?);
        if end <= now { None } else { BASE64URL.decode(payload).ok() }
    }
}

/// Purposes are ours, and have no line break.
fn message(purpose: &str, signed: &str) -> String {
    format!("{purpose}\n{signed}")
}

#[cfg(test)]
mod tests {
    use super::{CookieKey, UnixSeconds};

    const END: UnixSeconds = UnixSeconds(100);

    fn key(byte: u8) -> CookieKey {
        CookieKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn what_was_signed_is_opened_until_its_end() {
        let text = key(1).sign("login", b"a.b \xff", END);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{text}");
        let open = |now| key(1).open("login", &text, UnixSeconds(now));
        assert_eq!(open(99).as_deref(), Some(&b"a.b \xff"[..]));
        assert_eq!(open(100), None);
    }

    #[test]
    fn nothing_else_is() {
        let text = key(1).sign("login", b"abc", END);
        let now = UnixSeconds(0);
        assert!(key(2).open("login", &text, now).is_none());
        assert!(key(1).open("other", &text, now).is_none());
        let later = text.replacen(".100.", ".101.", 1);
        let other = text.replacen("YWJj", "YWJk", 1);
        for text in [later, other, text[..text.len() - 1].to_owned(), "a".repeat(5000), "..".into()]
        {
            assert!(key(1).open("login", &text, now).is_none(), "{text}");
        }
        assert!(CookieKey::new(&[1; 31]).is_err());
    }
}
