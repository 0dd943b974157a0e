//! Why a letter was not sent.

/// What went wrong and what the operator can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Of the URL of the mail server.
    #[error(
        "the mail server's URL {0}: write it as \
         smtp://USER:PASSWORD@HOST:PORT?tls=required|starttls|none"
    )]
    Url(&'static str),
    /// An address that the library for mail does not take.
    #[error("the letter cannot be written ({0}): check the sender's address")]
    Message(String),
    /// No connection.
    #[error(
        "no connection to the mail server {host} ({reason}): check its name, port and firewall"
    )]
    Unreachable {
        /// `host:port`.
        host: String,
        /// As the system says.
        reason: String,
    },
    /// No trusted connection.
    #[error(
        "no secure connection to the mail server {host} ({reason}): check its certificate, \
         whether its port is for tls=required (465) or tls=starttls (587), and ca-certificates here"
    )]
    Tls {
        /// `host:port`.
        host: String,
        /// As the library for TLS says.
        reason: String,
    },
    /// It took too long.
    #[error("the mail server {host} took longer than {seconds} s: check it, and try again")]
    TimedOut {
        /// `host:port`.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// Who we are was not believed.
    #[error("the mail server {host} refused our login ({reason}): check user and password")]
    Credentials {
        /// `host:port`.
        host: String,
        /// As the server says.
        reason: String,
    },
    /// The server does not take the letter now.
    #[error("the mail server {host} does not take the letter now ({reason}): try again later")]
    Later {
        /// `host:port`.
        host: String,
        /// As the server says.
        reason: String,
    },
    /// The server does not take the letter.
    #[error(
        "the mail server {host} refused the letter ({reason}): check the recipient's address, and \
         whether the server may send for the sender's"
    )]
    Refused {
        /// `host:port`.
        host: String,
        /// As the server says.
        reason: String,
    },
    /// The connection broke, or what came is no SMTP.
    #[error("the mail server {host} broke off ({reason}): try again; check that it speaks SMTP")]
    Broken {
        /// `host:port`.
        host: String,
        /// As the library says.
        reason: String,
    },
    /// The folder for letters.
    #[error("the letter was not written into {folder} ({reason}): check room and permissions")]
    Folder {
        /// Its path.
        folder: String,
        /// As the system says.
        reason: String,
    },
}

impl MailError {
    /// Whether the same letter may go through later without anybody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Later { .. }
                | Self::Broken { .. }
        )
    }
}
