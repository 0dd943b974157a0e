//! What the handlers share.

use std::sync::{Arc, Mutex};

use server_identity::mail::Mailer;
use server_identity::{AccessTokens, AddressLockout, CookieKey, PasswordHasher, TokenError};
use server_store::Store;

use crate::hashing::Hashing;
use crate::letters::Letters;
use crate::{LoginKey, Settings};

/// What [`Login`] is made of.
pub struct Parts {
    /// Where people are kept.
    pub store: Store,
    /// What their passwords are checked with.
    pub hasher: PasswordHasher,
    /// What access tokens and cookies are signed with.
    pub key: LoginKey,
    /// What sends them letters.
    pub mailer: Mailer,
    /// What the operator decides.
    pub settings: Settings,
}

/// Lets people in. A clone is the same.
#[derive(Clone)]
pub struct Login(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) hashing: Hashing,
    pub(crate) tokens: AccessTokens,
    pub(crate) cookies: CookieKey,
    pub(crate) letters: Letters,
    pub(crate) settings: Settings,
    /// Attempts to log in, by network address.
    pub(crate) logins_from: Mutex<AddressLockout>,
    /// Requests that send letters, by network address.
    pub(crate) letters_from: Mutex<AddressLockout>,
}

impl Login {
    /// Lets people of a store in.
    ///
    /// # Errors
    /// [`TokenError`], if the key cannot be used.
    pub fn new(parts: Parts) -> Result<Self, TokenError> {
        let Parts { store, hasher, key, mailer, settings } = parts;
        Ok(Self(Arc::new(Inner {
            store,
            hashing: Hashing::new(hasher),
            tokens: key.tokens(&settings.site_url)?,
            cookies: key.cookies()?,
            letters: Letters::new(mailer, &settings),
            settings,
            logins_from: Mutex::default(),
            letters_from: Mutex::default(),
        })))
    }
}
