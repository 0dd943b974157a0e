//! Opaque tokens: of sessions, for addresses to verify, passwords to reset, invitations.
//!
//! Invariant: a token is kept as its SHA-256 only and found by that. It has 256 random bits, so a
//! plain hash of it cannot be searched, and looking it up tells nothing by its time.

use std::fmt;

use ring::digest;

use crate::random;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 letters of 62 are 256 bits.
const LETTERS: usize = 43;

/// What a token is for. One of another purpose does not even parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A browser's session.
    Session,
    /// What new short access tokens are had for.
    Refresh,
    /// A link that shows that an e-mail address is its owner's.
    EmailVerification,
    /// A link that gives an account another e-mail address.
    EmailChange,
    /// A link to set a new password.
    PasswordReset,
    /// A link into an organization.
    Invitation,
    /// What a login with another provider began with.
    LoginState,
}

impl Purpose {
    /// What its tokens begin with, so that a leaked one is known for what it is.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "abs_",
            Self::Refresh => "abr_",
            Self::EmailVerification => "abv_",
            Self::EmailChange => "abe_",
            Self::PasswordReset => "abp_",
            Self::Invitation => "abi_",
            Self::LoginState => "abl_",
        }
    }
}

/// A token as its holder has it.
pub struct Secret(String);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn random(purpose: Purpose) -> Self {
        Self(format!("{}{}", purpose.prefix(), random::letters(LETTERS, ALPHABET)))
    }

    /// What somebody brings, if it has the form of a token for `purpose`.
    #[must_use]
    pub fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let letters = text.strip_prefix(purpose.prefix())?;
        let is_whole = letters.len() == LETTERS && letters.bytes().all(|b| ALPHABET.contains(&b));
        is_whole.then(|| Self(text.to_owned()))
    }

    /// To be shown to its holder, once, and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// To be stored, and to be found by.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// The SHA-256 of a token or of a recovery code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    pub(crate) fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// 64 digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Secret};

    const ALL: [Purpose; 7] = [
        Purpose::Session,
        Purpose::Refresh,
        Purpose::EmailVerification,
        Purpose::EmailChange,
        Purpose::PasswordReset,
        Purpose::Invitation,
        Purpose::LoginState,
    ];

    #[test]
    fn a_token_is_read_for_its_own_purpose_alone() {
        for purpose in ALL {
            let secret = Secret::random(purpose);
            for other in ALL {
                let read = Secret::parse(other, secret.reveal());
                assert_eq!(read.map(|read| read.hash()), (other == purpose).then(|| secret.hash()));
            }
        }
    }

    #[test]
    fn tokens_have_43_letters_of_62_and_differ() {
        let (a, b) = (Secret::random(Purpose::Session), Secret::random(Purpose::Session));
        let letters = a.reveal().strip_prefix("abs_").unwrap();
        assert!(letters.len() == 43 && letters.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(a.hash(), b.hash());
    }

    #[test]
    fn what_has_another_form_is_no_token() {
        let whole = "a".repeat(43);
        assert!(Secret::parse(Purpose::Session, &format!("abs_{whole}")).is_some());
        for text in ["", "abs_", &whole, &format!("abs_{whole}a"), &format!("abs_{}-", &whole[1..])]
        {
            assert!(Secret::parse(Purpose::Session, text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_stored_is_the_sha_256() {
        let token = Secret(String::from("abc"));
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(format!("{:?}", token.hash()), hash);
    }
}
