//! Passwords: which may be chosen, and how they are kept (argon2id, PHC strings).
//!
//! Invariant: a login costs the same time whether the account exists or not, as long as stored
//! hashes have the hasher's parameters. No hash takes more memory or passes than is allowed here,
//! whatever a stored one says.

mod common;

use argon2::{Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use unicode_normalization::UnicodeNormalization;

use crate::random;

/// NIST SP 800-63B, 5.1.1.2.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// More is refused before anything is computed of it.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Of stored hashes, in KiB: 256 MiB.
const MAX_MEMORY_KIB: u32 = 256 << 10;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 8;
const SALT_BYTES: usize = 16;
/// Own words that are shorter say nothing about a password.
const MIN_OWN_WORD_CHARS: usize = 3;

/// Why a password was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`MIN_PASSWORD_CHARS`].
    #[error("the password is too short: choose one of {} characters or more", MIN_PASSWORD_CHARS)]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is too long: it may have {} bytes at most", MAX_PASSWORD_BYTES)]
    TooLong,
    /// One that everybody tries first.
    #[error("this password is one of the most common ones: choose another")]
    Common,
    /// The user's own name or address.
    #[error("the password is much like your name or e-mail address: choose another")]
    Own,
    /// What is stored is no argon2 hash within the limits.
    #[error("the stored password hash cannot be read: have the user reset the password")]
    Stored,
    /// Argon2 itself failed, which means that there was no memory.
    #[error("the password could not be hashed: free some memory and try again")]
    Hashing,
}

/// What somebody typed: normalised (NFKC), so that the same letters of another keyboard are the
/// same password.
pub struct Password(String);

impl Password {
    /// A password to check.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`].
    pub fn typed(text: &str) -> Result<Self, PasswordError> {
        // Normalising may make a text longer, up to 18 times.
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        let normalised: String = text.nfkc().collect();
        if normalised.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        Ok(Self(normalised))
    }

    /// A password that is to be set. `own` are the user's e-mail address and names.
    ///
    /// # Errors
    /// If it is too short or long, common, or much like one of `own`.
    pub fn chosen(text: &str, own: &[&str]) -> Result<Self, PasswordError> {
        let password = Self::typed(text)?;
        if password.0.chars().count() < MIN_PASSWORD_CHARS {
            return Err(PasswordError::TooShort);
        }
        let lower = password.0.to_lowercase();
        // "Password1!" is "password" to those who guess.
        let core = lower.trim_matches(|c: char| !c.is_alphabetic());
        if common::contains(&lower) || common::contains(core) || is_one_letter(&lower) {
            return Err(PasswordError::Common);
        }
        let letters = |text: &str| -> String {
            text.nfkc().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
        };
        let (whole, core) = (letters(&lower), letters(core));
        let is_own =
            own.iter().flat_map(|own| [*own, own.split('@').next().unwrap_or(own)]).any(|word| {
                let word = letters(word);
                word.chars().count() >= MIN_OWN_WORD_CHARS && (word == whole || word == core)
            });
        if is_own { Err(PasswordError::Own) } else { Ok(password) }
    }
}

fn is_one_letter(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next();
    letters.all(|letter| Some(letter) == first)
}

/// Hashes and checks passwords. A hash takes some 20 ms of a core and 19 MiB: call it from a thread
/// that may block, and bound how many do.
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    /// Of a password that nobody knows.
    dummy: String,
}

impl PasswordHasher {
    /// OWASP's parameters for argon2id: 19 MiB, 2 passes, 1 lane.
    ///
    /// # Errors
    /// [`PasswordError::Hashing`].
    pub fn new() -> Result<Self, PasswordError> {
        Self::with(Params::DEFAULT)
    }

    /// Far too quick for anything but tests.
    ///
    /// # Errors
    /// [`PasswordError::Hashing`].
    pub fn weak_for_tests() -> Result<Self, PasswordError> {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None);
        Self::with(params.map_err(|_| PasswordError::Hashing)?)
    }

    fn with(params: Params) -> Result<Self, PasswordError> {
        let mut hasher = Self { argon2: Argon2::from(params), dummy: String::new() };
        let nobodys = random::letters(43, b"abcdefghijklmnopqrstuvwxyz0123456789");
        hasher.dummy = hasher.hash(&Password(nobodys))?;
        Ok(hasher)
    }

    /// The PHC string to store: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// [`PasswordError::Hashing`].
    pub fn hash(&self, password: &Password) -> Result<String, PasswordError> {
        let salt = random::bytes::<SALT_BYTES>();
        let hash = self.argon2.hash_password_with_salt(password.0.as_bytes(), &salt);
        hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Hashing)
    }

    /// Whether `password` is the one that `stored` was made of. Without a stored one (an unknown
    /// user, or one without a password) it is never, after the same time.
    ///
    /// # Errors
    /// [`PasswordError::Stored`] if `stored` cannot be read, [`PasswordError::Hashing`].
    pub fn verify(&self, password: &Password, stored: Option<&str>) -> Result<bool, PasswordError> {
        let hash = read(stored.unwrap_or(&self.dummy))?;
        match self.argon2.verify_password(password.0.as_bytes(), &hash) {
            Ok(()) => Ok(stored.is_some()),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(PasswordError::Hashing),
        }
    }

    /// Whether a password that was just verified should be hashed anew, because `stored` has other
    /// parameters than this hasher.
    #[must_use]
    pub fn needs_rehash(&self, stored: &str) -> bool {
        let Ok(hash) = read(stored) else { return true };
        let Ok(params) = Params::try_from(&hash) else { return true };
        let own = self.argon2.params();
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        hash.algorithm != argon2::ARGON2ID_IDENT || costs(&params) != costs(own)
    }
}

fn read(stored: &str) -> Result<PasswordHash, PasswordError> {
    let hash = PasswordHash::new(stored).map_err(|_| PasswordError::Stored)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Stored)?;
    let is_argon2 = argon2::Algorithm::try_from(hash.algorithm.as_str()).is_ok();
    let is_bounded = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    if is_argon2 && is_bounded && hash.salt.is_some() && hash.hash.is_some() {
        return Ok(hash);
    }
    Err(PasswordError::Stored)
}

#[cfg(test)]
mod tests;
