//! Letters by SMTP.
//!
//! Invariant: a letter, from the connection to the last answer, takes no longer than its limit.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParametersBuilder};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, AsyncSmtpTransport};
use lettre::{AsyncTransport, Message, Tokio1Executor};

use super::MailError;
use super::url::{SmtpTls, SmtpUrl};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
/// Of what a server says, in messages.
const MAX_REASON_CHARS: usize = 300;

/// A mail server.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// `host:port`.
    place: String,
    /// For a letter.
    pub(super) timeout: Duration,
}

impl Smtp {
    /// The server at `url`, told that we are `domain`.
    pub(super) fn new(url: &SmtpUrl, domain: &str) -> Result<Self, MailError> {
        Self::trusting(url, domain, TlsParametersBuilder::new(url.host.clone()))
    }

    /// With certificates as `tls` has them.
    pub(super) fn trusting(
        url: &SmtpUrl,
        domain: &str,
        tls: TlsParametersBuilder,
    ) -> Result<Self, MailError> {
        let place = url.place();
        let parameters = || tls.build().map_err(|error| classify(&error, &place));
        let tls = match url.tls {
            SmtpTls::Required => Tls::Wrapper(parameters()?),
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*url.host)
            .port(url.port)
            .tls(tls)
            .hello_name(ClientId::Domain(domain.to_owned()))
            .timeout(Some(CONNECT_TIMEOUT));
        if let Some(login) = url.login.clone() {
            builder = builder.credentials(Credentials::new(login.user, login.password));
        }
        Ok(Self { transport: builder.build(), place, timeout: TIMEOUT })
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), MailError> {
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classify(&error, &self.place)),
            Err(_) => Err(timed_out(&self.place, self.timeout)),
        }
    }
}

fn timed_out(host: &str, limit: Duration) -> MailError {
    MailError::TimedOut { host: host.to_owned(), seconds: limit.as_secs() }
}

fn classify(error: &smtp::Error, host: &str) -> MailError {
    let (host, reason) = (host.to_owned(), reason(error));
    if let Some(code) = error.status() {
        return match u16::from(code) {
            // RFC 4954, 6: of the login. 454 is "not now".
            530 | 534 | 535 | 538 => MailError::Credentials { host, reason },
            _ if error.is_transient() => MailError::Later { host, reason },
            _ => MailError::Refused { host, reason },
        };
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    let is_tls = error.is_tls()
        || io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
    // What the library for mail itself refuses has no kinds but its words.
    if is_tls || (error.is_client() && reason.contains("STARTTLS")) {
        return MailError::Tls { host, reason };
    }
    if error.is_client() {
        return match reason.contains("authentication mechanism") {
            true => MailError::Credentials { host, reason },
            false => MailError::Message(reason),
        };
    }
    match io.map(io::Error::kind) {
        Some(ErrorKind::TimedOut) => timed_out(&host, CONNECT_TIMEOUT),
        Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof,
        ) => MailError::Broken { host, reason },
        _ if error.is_response() => MailError::Broken { host, reason },
        _ => MailError::Unreachable { host, reason },
    }
}

/// The error and what caused it.
fn causes(error: &smtp::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (**error).source())
}

/// The deepest cause, which says it best: one line of bounded length, since a server wrote it.
fn reason(error: &smtp::Error) -> String {
    let text = causes(error).last().map(ToString::to_string).unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON_CHARS).collect()
}
