//! Whether a webhook is Stripe's: <https://docs.stripe.com/webhooks/signature>.
//!
//! Invariant: of a body that is not signed with a secret of this endpoint, or not lately, nothing
//! is read but its length and its bytes' hash.

use hmac::Mac;

use crate::hex;
use crate::secret::Secret;
use crate::time::UnixSeconds;

/// The largest body.
pub const MAX_WEBHOOK_BYTES: usize = 1 << 20;
const MAX_HEADER_BYTES: usize = 4096;
/// Signatures in a header that are looked at; Stripe sends one for each secret that is in use.
const MAX_SIGNATURES: usize = 16;
/// Secrets of an endpoint, while they are changed.
const MAX_SECRETS: usize = 4;
/// How far from now the signature's time may be.
const TOLERANCE_SECS: u64 = 300;

/// What an endpoint's webhooks are signed with: one secret, or the old and the new.
#[derive(Clone, Debug)]
pub struct WebhookSecrets(Vec<Secret>);

/// A webhook is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No secret, or too many.
    #[error("an endpoint has 1 to {MAX_SECRETS} secrets, not {0}")]
    Secrets(usize),
    /// The body is too large.
    #[error("the body has {0} bytes, more than the {MAX_WEBHOOK_BYTES} of any event")]
    TooLarge(usize),
    /// The header is not Stripe's.
    #[error("the Stripe-Signature header is not of the form t=SECONDS,v1=HEX")]
    Header,
    /// It was signed too long ago, or in the future: perhaps somebody sends it again.
    #[error("the signature is of another time: check this machine's clock")]
    Late,
    /// It was not signed with a secret of this endpoint.
    #[error("no signature is of this endpoint's secret: compare it with Stripe's dashboard")]
    Signature,
    /// What was signed is no event.
    #[error("the event cannot be read: {0}")]
    Event(String),
}

impl WebhookSecrets {
    /// 1 to 4 secrets.
    ///
    /// # Errors
    /// If there are none, or more.
    pub fn new(secrets: Vec<Secret>) -> Result<Self, WebhookError> {
        match secrets.len() {
            1..=MAX_SECRETS => Ok(Self(secrets)),
            num => Err(WebhookError::Secrets(num)),
        }
    }

    /// Whether Stripe sent this body now.
    ///
    /// # Errors
    /// If not, or if that cannot be said.
    pub fn verify(&self, body: &[u8], header: &str, now: UnixSeconds) -> Result<(), WebhookError> {
        if body.len() > MAX_WEBHOOK_BYTES {
            return Err(WebhookError::TooLarge(body.len()));
        }
        let (time, signatures) = parse(header)?;
        let is_one = |signature: &Vec<u8>| self.0.iter().any(|s| is_of(s, time, body, signature));
        if !signatures.iter().any(is_one) {
            return Err(WebhookError::Signature);
        }
        // After the signature: who cannot sign learns nothing of this machine's clock.
        let signed: UnixSeconds =
            time.parse().map(UnixSeconds).map_err(|_| WebhookError::Header)?;
        match signed.since(now).max(now.since(signed)) {
            0..=TOLERANCE_SECS => Ok(()),
            _ => Err(WebhookError::Late),
        }
    }
}

/// The time, as it was signed, and the signatures of the scheme that is not for tests.
fn parse(header: &str) -> Result<(&str, Vec<Vec<u8>>), WebhookError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(WebhookError::Header);
    }
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let mut times = parts().filter(|&(name, _)| name == "t").map(|(_, value)| value);
    let (Some(time), None) = (times.next(), times.next()) else {
        return Err(WebhookError::Header);
    };
    let signatures = parts().filter(|&(name, _)| name == "v1");
    let signatures: Vec<_> =
        signatures.filter_map(|(_, value)| hex::decode(value)).take(MAX_SIGNATURES).collect();
    match signatures.is_empty() {
        true => Err(WebhookError::Header),
        false => Ok((time, signatures)),
    }
}

/// In constant time, as far as it depends on the secret.
fn is_of(secret: &Secret, time: &str, body: &[u8], signature: &[u8]) -> bool {
    let Some(mac) = secret.mac() else { return false };
    let mac = mac.chain_update(time).chain_update(b".").chain_update(body);
    mac.verify_slice(signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
    // `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`
    const SIGNATURE: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";

    fn secrets(names: &[&str]) -> WebhookSecrets {
        WebhookSecrets::new(names.iter().map(|name| Secret::new(name).unwrap()).collect()).unwrap()
    }

    fn verify(header: &str) -> Result<(), WebhookError> {
        secrets(&["whsec_other", "whsec_test"]).verify(BODY, header, NOW)
    }

    #[test]
    fn a_signature_of_any_secret_of_the_endpoint_is_taken() {
        assert_eq!(verify(&format!("t=1700000000,v1={SIGNATURE}")), Ok(()));
        let two = format!("t=1700000000,v0=00,v1={},v1={SIGNATURE}", "00".repeat(32));
        assert_eq!(verify(&two), Ok(()));
        let only = secrets(&["whsec_other"]);
        let header = format!("t=1700000000,v1={SIGNATURE}");
        assert_eq!(only.verify(BODY, &header, NOW), Err(WebhookError::Signature));
    }

    #[test]
    fn another_body_time_or_scheme_is_refused() {
        let header = format!("t=1700000000,v1={SIGNATURE}");
        let secrets = secrets(&["whsec_test"]);
        let other = secrets.verify(br#"{"id":"evt_2"}"#, &header, NOW);
        assert_eq!(other, Err(WebhookError::Signature));
        let moved = format!("t=1700000001,v1={SIGNATURE}");
        assert_eq!(verify(&moved), Err(WebhookError::Signature));
        assert_eq!(verify(&format!("t=1700000000,v0={SIGNATURE}")), Err(WebhookError::Header));
        assert_eq!(
            verify(&format!("t=1700000000,v1={}", &SIGNATURE[2..])).unwrap_err(),
            WebhookError::Signature
        );
    }

    #[test]
    fn what_was_signed_five_minutes_ago_is_late() {
        let header = format!("t=1700000000,v1={SIGNATURE}");
        let at = |now| secrets(&["whsec_test"]).verify(BODY, &header, now);
        assert_eq!(at(NOW.plus(300)), Ok(()));
        assert_eq!(at(NOW.minus(300)), Ok(()));
        assert_eq!(at(NOW.plus(301)), Err(WebhookError::Late));
        assert_eq!(at(NOW.minus(301)), Err(WebhookError::Late));
    }

    #[test]
    fn what_is_no_header_or_too_large_is_refused() {
        let two_times = format!("t=1700000000,t=1700000000,v1={SIGNATURE}");
        let long = format!("t=1700000000,v1={SIGNATURE},v0={}", "0".repeat(MAX_HEADER_BYTES));
        for header in ["", "t=1", "v1=00", "t=1,v1=0", "t=1,v1=xx", &two_times, &long] {
            assert_eq!(verify(header), Err(WebhookError::Header), "{header}");
        }
        let large = vec![b' '; MAX_WEBHOOK_BYTES + 1];
        let refused = secrets(&["whsec_test"]).verify(&large, "", NOW);
        assert_eq!(refused, Err(WebhookError::TooLarge(MAX_WEBHOOK_BYTES + 1)));
        assert!(WebhookSecrets::new(Vec::new()).is_err());
    }
}
