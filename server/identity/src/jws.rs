//! The form that signed tokens of others and of ours have: `header.payload.signature`, each in
//! base64url (RFC 7515, compact).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;

/// The parts of a signed token, of which nothing has been checked.
pub(crate) struct Jws<'a> {
    /// JSON.
    pub(crate) header: Vec<u8>,
    /// JSON, to be read after the signature was checked.
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// What the signature is over.
    pub(crate) signed: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes `token` apart, if it has the form and `max_bytes` at most.
    pub(crate) fn parse(token: &'a str, max_bytes: usize) -> Option<Self> {
        if token.len() > max_bytes {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| BASE64URL.decode(part).ok();
        Some(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed,
        })
    }
}

/// `header.payload`, to be signed.
pub(crate) fn to_sign(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload))
}

/// The whole token.
pub(crate) fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", BASE64URL.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::{Jws, to_sign, with_signature};

    #[test]
    fn what_was_put_together_comes_apart() {
        let signed = to_sign(b"{}", &[0xff, 0xfe]);
        let token = with_signature(&signed, b"x");
        assert_eq!(token, "e30.__4.eA");
        let parts = Jws::parse(&token, 10).unwrap();
        assert_eq!((&parts.header[..], &parts.payload[..]), (&b"{}"[..], &[0xff, 0xfe][..]));
        assert_eq!((&parts.signature[..], parts.signed), (&b"x"[..], "e30.__4"));
    }

    #[test]
    fn other_forms_are_refused() {
        for token in
            ["", "e30", "e30.e30", "e30.e30.e30.e30", "e30=.e30.eA", "e3+.e30.eA", "é.e30.eA"]
        {
            assert!(Jws::parse(token, 100).is_none(), "{token}");
        }
        assert!(Jws::parse("e30.__4.eA", 9).is_none());
    }
}
