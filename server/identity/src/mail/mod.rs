//! Mail to people: by SMTP, or as files in a folder where there is no mail server.
//!
//! Invariant: nothing that somebody wrote becomes a header or a command. Addresses have been
//! parsed, subjects are one line, and a body is only a body. A letter takes bounded time. Where a
//! caller tries again it may come twice: a server that breaks off after the letter may have it.

mod error;
mod folder;
mod letter;
mod name;
mod smtp;
mod url;

use std::path::Path;
use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{
    self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Mailbox, MessageBuilder};

use self::folder::Folder;
use self::smtp::Smtp;
use crate::{EmailAddress, random};

pub use self::error::MailError;
pub use self::letter::{Letter, LetterError, Site};
pub use self::url::{SmtpTls, SmtpUrl};

/// Sends letters, one at a time; it can be shared.
pub struct Mailer {
    from: Mailbox,
    domain: String,
    way: Way,
}

enum Way {
    Smtp(Box<Smtp>),
    Folder(Folder),
}

impl Mailer {
    /// Sends by the server at `url`, from `from` with the name `name`.
    ///
    /// # Errors
    /// [`MailError::Message`] for an address that cannot be sent from, [`MailError::Tls`] for a
    /// host whose certificate cannot be checked.
    pub fn smtp(url: &SmtpUrl, from: &EmailAddress, name: &str) -> Result<Self, MailError> {
        let smtp = Smtp::new(url, from.domain())?;
        Self::new(from, name, Way::Smtp(Box::new(smtp)))
    }

    /// Writes each letter into a file of its own in `folder`, which only the server's user may
    /// read: letters hold links that let people in.
    ///
    /// # Errors
    /// [`MailError::Message`] for an address that cannot be sent from.
    pub fn folder(folder: &Path, from: &EmailAddress, name: &str) -> Result<Self, MailError> {
        Self::new(from, name, Way::Folder(Folder::new(folder)))
    }

    fn new(from: &EmailAddress, name: &str, way: Way) -> Result<Self, MailError> {
        let name = name::of_person(name);
        let mailbox = Mailbox::new((!name.is_empty()).then_some(name), address(from)?);
        Ok(Self { from: mailbox, domain: from.domain().to_owned(), way })
    }

    /// The same, with another limit for a whole letter than a minute.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Way::Smtp(smtp) = &mut self.way {
            smtp.timeout = timeout;
        }
        self
    }

    /// Sends `letter`, or writes it down.
    ///
    /// # Errors
    /// What went wrong and what to do about it. Where [`MailError::may_pass`], try again later.
    pub async fn send(&self, to: &EmailAddress, letter: &Letter) -> Result<(), MailError> {
        match &self.way {
            Way::Smtp(smtp) => smtp.send(self.message(to, letter, None)?).await,
            Way::Folder(folder) => {
                // Whoever opens the file is to find links as they are.
                let plain = Some(ContentTransferEncoding::Binary);
                folder.write(self.message(to, letter, plain)?.formatted()).await
            }
        }
    }

    fn message(
        &self,
        to: &EmailAddress,
        letter: &Letter,
        encoding: Option<ContentTransferEncoding>,
    ) -> Result<Message, MailError> {
        let id = format!("<{}@{}>", random::letters(24, b"abcdefghijkmnpqrstuvwxyz"), self.domain);
        let mut head: MessageBuilder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address(to)?))
            .subject(letter.subject())
            .date(SystemTime::now())
            .message_id(Some(id))
            // RFC 3834: no answers of machines.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(header::MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN);
        if let Some(encoding) = encoding {
            head = head.header(encoding);
        }
        head.body(letter.body().to_owned()).map_err(|error| MailError::Message(error.to_string()))
    }
}

fn address(address: &EmailAddress) -> Result<lettre::Address, MailError> {
    lettre::Address::new(address.local(), address.domain())
        .map_err(|error| MailError::Message(error.to_string()))
}

#[cfg(test)]
mod tests;
