//! Signatures of webhooks, as Standard Webhooks has them (<https://www.standardwebhooks.com>),
//! which OpenAI's are signed by too: HMAC-SHA-256 over `id.timestamp.body`.
//!
//! Invariant: a webhook is believed only within [`TOLERANCE`] of its time, so an old one cannot be
//! sent again; within it the receiver knows by the id what it has had.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use crate::{UnixSeconds, random};

const PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;
const MIN_SECRET_BYTES: usize = 24;
const MAX_SECRET_BYTES: usize = 64;
const MAX_ID_BYTES: usize = 256;
/// Of one header; more cannot be a rotation.
const MAX_SIGNATURES: usize = 16;
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Why a webhook is not signed or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Of the secret.
    #[error("a webhook's secret is 'whsec_' and base64 of 24 to 64 bytes")]
    Secret,
    /// Of the id.
    #[error("a webhook's id has 1 to 256 visible ASCII characters and no '.'")]
    Id,
    /// No number of seconds.
    #[error("the header webhook-timestamp has to be in seconds since 1970")]
    Timestamp,
    /// Too old, or from the future.
    #[error("the webhook's time is more than 5 minutes off: check both clocks; it may be a replay")]
    Time,
    /// None of the signatures holds.
    #[error(
        "no signature of the webhook is right: check the secret and that the body is unchanged"
    )]
    Signature,
}

/// What sender and receiver share: `whsec_…`. It has no `Debug`.
pub struct WebhookSecret {
    text: String,
    key: hmac::Key,
}

/// The three headers of a signed webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `webhook-id`: the same for every try to deliver.
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970, of this try.
    pub timestamp: String,
    /// `webhook-signature`: one `v1,…` for each secret, with blanks between.
    pub signature: String,
}

impl WebhookSecret {
    /// A new one of 256 bits.
    #[must_use]
    pub fn random() -> Self {
        Self::of(&random::bytes::<SECRET_BYTES>())
    }

    /// Reads what [`Self::reveal`] shows.
    ///
    /// # Errors
    /// [`WebhookError::Secret`].
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(WebhookError::Secret)?;
        if encoded.len() > 2 * MAX_SECRET_BYTES {
            return Err(WebhookError::Secret);
        }
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| WebhookError::Secret)?;
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len()) {
            return Err(WebhookError::Secret);
        }
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8]) -> Self {
        let text = format!("{PREFIX}{}", BASE64_STANDARD.encode(bytes));
        Self { text, key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// To be shown to who receives the webhooks, and to be kept: it is needed as it is.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The headers of the webhook `id` with `body`, sent now, signed with each of `secrets`: the
    /// new one and, until the receiver has it, the old one.
    ///
    /// # Errors
    /// [`WebhookError::Id`]; [`WebhookError::Secret`] without any.
    pub fn sign(
        secrets: &[&Self],
        id: &str,
        now: UnixSeconds,
        body: &[u8],
    ) -> Result<SignedHeaders, WebhookError> {
        if secrets.is_empty() || secrets.len() > MAX_SIGNATURES {
            return Err(WebhookError::Secret);
        }
        check_id(id)?;
        let timestamp = now.0.to_string();
        let content = content(id, &timestamp, body);
        let signatures = secrets.iter().map(|secret| {
            let mac = hmac::sign(&secret.key, &content);
            format!("v1,{}", BASE64_STANDARD.encode(mac))
        });
        let signature = signatures.collect::<Vec<_>>().join(" ");
        Ok(SignedHeaders { id: id.to_owned(), timestamp, signature })
    }

    /// Whether a webhook with these headers and `body` was signed with one of `secrets`, and now.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn verify(
        secrets: &[&Self],
        headers: &SignedHeaders,
        body: &[u8],
        now: UnixSeconds,
    ) -> Result<(), WebhookError> {
        check_id(&headers.id)?;
        let is_digits = headers.timestamp.bytes().all(|b| b.is_ascii_digit());
        let sent: Option<u64> = headers.timestamp.parse().ok().filter(|_| is_digits);
        let sent = UnixSeconds(sent.ok_or(WebhookError::Timestamp)?);
        if now.since(sent) > TOLERANCE || sent.since(now) > TOLERANCE {
            return Err(WebhookError::Time);
        }
        let content = content(&headers.id, &headers.timestamp, body);
        let versioned = headers.signature.split(' ').take(MAX_SIGNATURES);
        let ours = versioned.filter_map(|signature| signature.strip_prefix("v1,"));
        let signatures: Vec<Vec<u8>> =
            ours.filter_map(|signature| BASE64_STANDARD.decode(signature).ok()).collect();
        let holds = secrets.iter().any(|secret| {
            let holds =
                |signature: &Vec<u8>| hmac::verify(&secret.key, &content, signature).is_ok();
            signatures.iter().any(holds)
        });
        if holds { Ok(()) } else { Err(WebhookError::Signature) }
    }
}

fn check_id(id: &str) -> Result<(), WebhookError> {
    let is_fine = (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    if is_fine { Ok(()) } else { Err(WebhookError::Id) }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    content
}

#[cfg(test)]
mod tests {
    use super::{SignedHeaders, WebhookError, WebhookSecret};
    use crate::UnixSeconds;

    const NOW: UnixSeconds = UnixSeconds(1_614_265_330);
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The example of the specification's reference libraries.
    fn example() -> WebhookSecret {
        WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn headers() -> SignedHeaders {
        WebhookSecret::sign(&[&example()], ID, NOW, BODY).unwrap()
    }

    fn verify(headers: &SignedHeaders) -> Result<(), WebhookError> {
        WebhookSecret::verify(&[&example()], headers, BODY, NOW)
    }

    #[test]
    fn signatures_are_those_of_the_reference() {
        let headers = headers();
        assert_eq!((&*headers.id, &*headers.timestamp), (ID, "1614265330"));
        assert_eq!(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(verify(&headers), Ok(()));
    }

    #[test]
    fn nothing_that_was_signed_can_be_changed() {
        let secrets = [&example()];
        let other_body = WebhookSecret::verify(&secrets, &headers(), b"{}", NOW);
        assert_eq!(other_body, Err(WebhookError::Signature));
        let other_id = SignedHeaders { id: "msg_2".into(), ..headers() };
        assert_eq!(verify(&other_id), Err(WebhookError::Signature));
        let other_time = SignedHeaders { timestamp: "1614265331".into(), ..headers() };
        assert_eq!(verify(&other_time), Err(WebhookError::Signature));
        let other_secret = WebhookSecret::random();
        let verified = WebhookSecret::verify(&[&other_secret], &headers(), BODY, NOW);
        assert_eq!(verified, Err(WebhookError::Signature));
        assert_eq!(WebhookSecret::verify(&[], &headers(), BODY, NOW), Err(WebhookError::Signature));
    }

    #[test]
    fn only_whole_signatures_of_version_1_count() {
        let right = headers().signature;
        let encoded = right.strip_prefix("v1,").unwrap();
        let wrong = ["", "v1,", "v1", encoded, &format!("v1a,{encoded}"), &format!("v2,{encoded}")]
            .map(str::to_owned);
        let cut = format!("v1,{}", &encoded[..40]);
        for signature in wrong.into_iter().chain([cut, right.replace("v1,", "V1,")]) {
            let headers = SignedHeaders { signature, ..headers() };
            assert_eq!(verify(&headers), Err(WebhookError::Signature), "{headers:?}");
        }
        let many = "v1,AAAA ".repeat(100_000) + &right;
        assert!(verify(&SignedHeaders { signature: many, ..headers() }).is_err());
    }

    #[test]
    fn a_rotation_signs_with_both_and_verifies_with_either() {
        let (old, new) = (WebhookSecret::random(), WebhookSecret::random());
        let both = WebhookSecret::sign(&[&new, &old], ID, NOW, BODY).unwrap();
        assert_eq!(both.signature.split(' ').count(), 2);
        for secrets in [[&old], [&new]] {
            assert_eq!(WebhookSecret::verify(&secrets, &both, BODY, NOW), Ok(()));
        }
        let one = WebhookSecret::sign(&[&old], ID, NOW, BODY).unwrap();
        assert_eq!(WebhookSecret::verify(&[&new, &old], &one, BODY, NOW), Ok(()));
        assert_eq!(WebhookSecret::sign(&[], ID, NOW, BODY), Err(WebhookError::Secret));
    }

    #[test]
    fn times_may_be_five_minutes_off() {
        let at = |seconds: u64| {
            WebhookSecret::verify(&[&example()], &headers(), BODY, UnixSeconds(seconds))
        };
        assert_eq!(at(NOW.0 + 300), Ok(()));
        assert_eq!(at(NOW.0 - 300), Ok(()));
        assert_eq!(at(NOW.0 + 301), Err(WebhookError::Time));
        assert_eq!(at(NOW.0 - 301), Err(WebhookError::Time));
        for timestamp in ["", "-1", "+1614265330", "1614265330.0", "99999999999999999999"] {
            let headers = SignedHeaders { timestamp: timestamp.into(), ..headers() };
            assert_eq!(verify(&headers), Err(WebhookError::Timestamp), "{timestamp}");
        }
    }

    #[test]
    fn ids_and_secrets_have_their_form() {
        for id in ["", "a.b", "a b", "\n", "\u{e9}", &"a".repeat(257)] {
            let signed = WebhookSecret::sign(&[&example()], id, NOW, BODY);
            assert_eq!(signed, Err(WebhookError::Id), "{id}");
        }
        let new = WebhookSecret::random();
        assert_eq!(WebhookSecret::parse(new.reveal()).unwrap().reveal(), new.reveal());
        let long = format!("whsec_{}", "AAAA".repeat(22));
        for text in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_!", &long]
        {
            assert_eq!(WebhookSecret::parse(text).err(), Some(WebhookError::Secret), "{text}");
        }
    }
}
