//! Who somebody is: passwords, second factors, tokens, mail, and logins with other providers.
//!
//! Invariant: nothing here keeps an account. The rules are pure: the caller tells the time and
//! brings what was stored, and stores what comes back. What is secret has no `Debug`; it is kept as
//! a hash wherever it need not be read again, and compared in constant time or looked up by that.
//!
//! A login is [`Attempts::begin`], [`PasswordHasher::verify`], perhaps [`TotpSecret::check`], and
//! then a [`Secret`] for the session and short [`AccessTokens`] of it.

mod email;
mod jws;
mod jwt;
mod lockout;
pub mod mail;
pub mod oidc;
mod password;
mod percent;
mod random;
mod recovery;
mod secret;
mod signed;
mod time;
mod totp;
mod webhook_signature;

pub use email::{EmailAddress, EmailError, MAX_EMAIL_BYTES};
pub use jwt::{AccessTokens, Claims, MAX_LIFETIME, Subject, TokenError, TokenKey};
pub use lockout::{AddressLockout, Attempts, LockedOut, MAX_ADDRESSES};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, Password};
pub use password::{PasswordError, PasswordHasher};
pub use recovery::{NUM_RECOVERY_CODES, RecoveryCode};
pub use secret::{Purpose, Secret, SecretHash};
pub use signed::CookieKey;
pub use time::UnixSeconds;
pub use totp::{TotpError, TotpSecret, TotpStep};
pub use webhook_signature::{SignedHeaders, WebhookError, WebhookSecret};
