//! The second factor: codes of six digits that change every 30 seconds (RFC 6238).
//!
//! Invariant: a code is accepted once. [`TotpSecret::check`] returns the step that the code was
//! of, the caller stores it with the account and brings it to the next check, which refuses that
//! step and all before.

use ring::hmac;

use crate::{UnixSeconds, percent, random};

/// As RFC 4226 asks for at least 16 and recommends.
const SECRET_BYTES: usize = 20;
const MAX_SECRET_BYTES: usize = 64;
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;
const MODULUS: u32 = 1_000_000;
/// Steps that a clock may be off, either way.
const TOLERANCE: u64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Which 30 seconds since 1970 a code was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotpStep(pub u64);

/// A stored secret cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of the second factor is no base32 of 16 to 64 bytes: set it up anew")]
pub struct TotpError;

/// What the server and an authenticator app share. Unlike passwords it has to be kept as it is:
/// encrypt it where that matters.
pub struct TotpSecret(Vec<u8>);

impl TotpSecret {
    /// A new one of 160 bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random::bytes::<SECRET_BYTES>().to_vec())
    }

    /// Reads what [`Self::to_base32`] wrote; letters of either case, blanks and `=` do not matter.
    ///
    /// # Errors
    /// [`TotpError`].
    pub fn from_base32(text: &str) -> Result<Self, TotpError> {
        let (mut bytes, mut bits, mut num_bits) = (Vec::new(), 0u32, 0);
        for letter in text.bytes().filter(|b| !matches!(b, b' ' | b'=')) {
            let value = BASE32.iter().position(|&b| b == letter.to_ascii_uppercase());
            let value = value.and_then(|v| u32::try_from(v).ok()).ok_or(TotpError)?;
            bits = (bits << 5) | value;
            num_bits += 5;
            if num_bits >= 8 {
                num_bits -= 8;
                bytes.push(((bits >> num_bits) & 0xff) as u8);
            }
            if bytes.len() > MAX_SECRET_BYTES {
                return Err(TotpError);
            }
        }
        if bytes.len() < 16 { Err(TotpError) } else { Ok(Self(bytes)) }
    }

    /// As apps show it and take it by hand, without padding.
    #[must_use]
    pub fn to_base32(&self) -> String {
        let (mut text, mut bits, mut num_bits) = (String::new(), 0u32, 0);
        let mut letter = |value: u32| text.push(char::from(BASE32[(value & 31) as usize]));
        for &byte in &self.0 {
            bits = (bits << 8) | u32::from(byte);
            num_bits += 8;
            while num_bits >= 5 {
                num_bits -= 5;
                letter(bits >> num_bits);
            }
        }
        if num_bits > 0 {
            letter(bits << (5 - num_bits));
        }
        text
    }

    /// What the QR code for an app says: `otpauth://totp/ISSUER:ACCOUNT?secret=…`.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (percent::encode(issuer), percent::encode(account));
        let secret = self.to_base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1\
             &digits={DIGITS}&period={STEP_SECONDS}"
        )
    }

    /// The step that `code` is of, to be stored as used; `None` if it is of none that counts now or
    /// of one that is not after `last_used`.
    #[must_use]
    pub fn check(
        &self,
        code: &str,
        now: UnixSeconds,
        last_used: Option<TotpStep>,
    ) -> Option<TotpStep> {
        let code = code.trim();
        if code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let code: u32 = code.parse().ok()?;
        let now = now.0 / STEP_SECONDS;
        let steps = now.saturating_sub(TOLERANCE)..=now.saturating_add(TOLERANCE);
        // All are computed, so that the time does not tell which one it was.
        let mut found = None;
        for step in steps {
            let is_unused = last_used.is_none_or(|used| TotpStep(step) > used);
            if self.code(step) % MODULUS == code && is_unused {
                found = Some(TotpStep(step));
            }
        }
        found
    }

    /// What an app shows at a time.
    #[must_use]
    pub fn shown_at(&self, now: UnixSeconds) -> String {
        format!("{:06}", self.code(now.0 / STEP_SECONDS) % MODULUS)
    }

    /// RFC 4226, 5.3: 31 bits, of which codes are the last digits.
    fn code(&self, step: u64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let mac = hmac::sign(&key, &step.to_be_bytes());
        let mac = mac.as_ref();
        // SHA-1 has 20 bytes and an offset 15 at most.
        let offset = usize::from(mac[mac.len() - 1] & 0xf);
        let word = [mac[offset], mac[offset + 1], mac[offset + 2], mac[offset + 3]];
        u32::from_be_bytes(word) & 0x7fff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::{TotpSecret, TotpStep};
    use crate::UnixSeconds;

    fn rfc() -> TotpSecret {
        TotpSecret(b"12345678901234567890".to_vec())
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let vectors = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (seconds, code) in vectors {
            assert_eq!(format!("{:08}", rfc().code(seconds / 30) % 100_000_000), code);
            let step = rfc().check(&code[2..], UnixSeconds(seconds), None);
            assert_eq!(step, Some(TotpStep(seconds / 30)), "{seconds}");
            assert_eq!(rfc().shown_at(UnixSeconds(seconds)), &code[2..]);
        }
    }

    #[test]
    fn a_clock_may_be_a_step_off() {
        // The code of step 1, seconds 30 to 59.
        for (seconds, accepted) in
            [(0, true), (29, true), (30, true), (59, true), (89, true), (90, false), (119, false)]
        {
            let step = rfc().check("287082", UnixSeconds(seconds), None);
            assert_eq!(step, accepted.then_some(TotpStep(1)), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_accepted_once() {
        let now = UnixSeconds(59);
        let used = rfc().check("287082", now, None);
        assert_eq!(rfc().check("287082", now, used), None);
        let next = format!("{:06}", rfc().code(2) % 1_000_000);
        let later = rfc().check(&next, now, used);
        assert_eq!(later, Some(TotpStep(2)));
        assert_eq!(rfc().check("287082", now, later), None, "nor one before a used one");
    }

    #[test]
    fn only_six_digits_are_a_code() {
        for code in ["", "28708", "0287082", "28708a", "+28708", "28 082", "٢٨٧٠٨٢"] {
            assert_eq!(rfc().check(code, UnixSeconds(59), None), None, "{code}");
        }
        assert!(rfc().check(" 287082\n", UnixSeconds(59), None).is_some());
    }

    #[test]
    fn secrets_are_written_in_base32() {
        let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(rfc().to_base32(), text);
        let typed = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq====";
        assert_eq!(TotpSecret::from_base32(typed).unwrap().0, rfc().0);
        // 16 bytes do not fill their last letter.
        let odd = TotpSecret((0..16).collect());
        assert_eq!(odd.to_base32(), "AAAQEAYEAUDAOCAJBIFQYDIOB4");
        assert_eq!(TotpSecret::from_base32(&odd.to_base32()).unwrap().0, odd.0);
        let new = TotpSecret::random();
        assert_eq!(TotpSecret::from_base32(&new.to_base32()).unwrap().0, new.0);
        assert_ne!(new.0, TotpSecret::random().0);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "GEZDGNBV", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", &"A".repeat(105)] {
            assert!(TotpSecret::from_base32(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_uri_names_issuer_and_account() {
        assert_eq!(
            rfc().uri("My Server", "a+b@example.org"),
            "otpauth://totp/My%20Server:a%2Bb%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=My%20Server&algorithm=SHA1&digits=6&period=30"
        );
    }
}
