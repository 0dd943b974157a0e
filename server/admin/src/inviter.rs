//! How people hear that they are invited.

use std::future::Future;
use std::pin::Pin;

/// A secret that lets in whom it was sent to, and what is kept of it.
#[derive(Clone)]
pub struct InviteSecret {
    /// What is sent. It has no `Debug`: nothing may log it.
    pub secret: String,
    /// Its SHA-256, of 64 letters.
    pub hash: String,
}

/// Whom to send what.
#[derive(Clone, Copy)]
pub struct InviteMail<'a> {
    /// To whom.
    pub email: &'a str,
    /// The organization's name.
    pub organization: &'a str,
    /// What lets them in.
    pub secret: &'a str,
    /// When it is over, in Unix seconds.
    pub expires_at: i64,
}

/// What comes of sending; the error is for the log.
pub type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Sends invitations.
pub trait Inviter: Send + Sync {
    /// The address as accounts have it: in lower case, and with an `@`.
    ///
    /// # Errors
    /// If it is none: what is wrong.
    fn address(&self, email: &str) -> Result<String, String>;

    /// A new secret.
    fn secret(&self) -> InviteSecret;

    /// Sends it, or hands it to who does.
    fn send<'a>(&'a self, mail: InviteMail<'a>) -> Sent<'a>;
}
