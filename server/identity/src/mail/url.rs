//! Where the mail server is: `smtp://USER:PASSWORD@HOST:PORT?tls=required|starttls|none`.
//!
//! Invariant: a password goes over the network encrypted, or not further than this machine.

use std::net::IpAddr;

use reqwest::Url;

use super::MailError;
use crate::percent;

const MAX_URL_BYTES: usize = 2048;

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (port 465).
    Required,
    /// After `STARTTLS`, without which nothing is sent (port 587).
    StartTls,
    /// Not at all (port 25): for a relay on this machine or in a trusted network.
    None,
}

impl SmtpTls {
    const fn port(self) -> u16 {
        match self {
            Self::Required => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// The URL's parts. It has no `Debug`, for the password.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: SmtpTls,
    pub(super) login: Option<Login>,
}

/// A user of the mail server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl SmtpUrl {
    /// Reads `smtp://[USER:PASSWORD@]HOST[:PORT][?tls=…]`. Without `tls` it is `required` on port
    /// 465 and `starttls` elsewhere; without a port it is the usual one. Letters like `@` or `/` of
    /// a password are written as `%40`, `%2F`.
    ///
    /// # Errors
    /// [`MailError::Url`].
    pub fn parse(text: &str) -> Result<Self, MailError> {
        if text.len() > MAX_URL_BYTES {
            return Err(MailError::Url("is too long"));
        }
        let url = Url::parse(text.trim()).map_err(|_| MailError::Url("is no URL"))?;
        if url.scheme() != "smtp" {
            return Err(MailError::Url("does not begin with 'smtp://'"));
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(MailError::Url("has something after the host"));
        }
        let host = url.host_str().filter(|host| is_host(host));
        let host = host.ok_or(MailError::Url("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let tls = match tls(&url)? {
            Some(tls) => tls,
            None if url.port() == Some(SmtpTls::Required.port()) => SmtpTls::Required,
            None => SmtpTls::StartTls,
        };
        let login = login(&url)?;
        if login.is_some() && tls == SmtpTls::None && !is_this_machine(&host) {
            return Err(MailError::Url("would send the password unencrypted with tls=none"));
        }
        let port = url.port().unwrap_or(tls.port());
        if port == 0 {
            return Err(MailError::Url("has no usable port"));
        }
        Ok(Self { host, port, tls, login })
    }

    /// `host:port`, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn tls(url: &Url) -> Result<Option<SmtpTls>, MailError> {
    let mut tls = None;
    for (name, value) in url.query_pairs() {
        tls = match (&*name, &*value, tls) {
            ("tls", "required", None) => Some(SmtpTls::Required),
            ("tls", "starttls", None) => Some(SmtpTls::StartTls),
            ("tls", "none", None) => Some(SmtpTls::None),
            _ => return Err(MailError::Url("has a parameter that is not known")),
        };
    }
    Ok(tls)
}

fn login(url: &Url) -> Result<Option<Login>, MailError> {
    let decode = |part: &str| {
        percent::decode(part).ok_or(MailError::Url("has a user or password that is not encoded"))
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(MailError::Url("has a user or a password, not both")),
        (user, Some(password)) => {
            Ok(Some(Login { user: decode(user)?, password: decode(password)? }))
        }
    }
}

fn is_host(host: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match literal {
        Some(literal) => literal.parse::<IpAddr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_plain),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{SmtpTls, SmtpUrl};
    use crate::mail::MailError;

    fn parse(text: &str) -> SmtpUrl {
        SmtpUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn ports_and_encryption_follow_from_each_other() {
        let cases = [
            ("smtp://mail.example.org", 587, SmtpTls::StartTls),
            ("smtp://mail.example.org:465", 465, SmtpTls::Required),
            ("smtp://mail.example.org:2525", 2525, SmtpTls::StartTls),
            ("smtp://mail.example.org/?tls=required", 465, SmtpTls::Required),
            ("smtp://mail.example.org?tls=starttls", 587, SmtpTls::StartTls),
            ("smtp://mail.example.org?tls=none", 25, SmtpTls::None),
            ("smtp://mail.example.org:465?tls=none", 465, SmtpTls::None),
        ];
        for (text, port, tls) in cases {
            let url = parse(text);
            assert_eq!((url.port, url.tls), (port, tls), "{text}");
            assert!(url.login.is_none());
        }
    }

    #[test]
    fn hosts_users_and_passwords_are_read() {
        let url = parse("smtp://robot%40example.org:p%3A%2Fss%25@Mail.Example.ORG:25?tls=starttls");
        let login = url.login.clone().unwrap();
        assert_eq!((&*login.user, &*login.password), ("robot@example.org", "p:/ss%"));
        assert_eq!(url.place(), "mail.example.org:25");
        assert_eq!(parse("smtp://[::1]:25?tls=none").host, "::1");
        assert!(parse("smtp://a:b@127.0.0.1?tls=none").login.is_some());
        assert!(parse("smtp://a:b@localhost?tls=none").login.is_some());
    }

    #[test]
    fn others_are_refused_with_what_to_write() {
        let long = format!("smtp://{}.org", "a".repeat(2048));
        let cases = [
            ("", "is no URL"),
            ("mail.example.org", "is no URL"),
            ("smtps://mail.example.org", "does not begin"),
            ("https://mail.example.org", "does not begin"),
            ("smtp:", "names no host"),
            ("smtp://", "names no host"),
            ("smtp://mail%20.example.org", "names no host"),
            ("smtp://mail.example.org/path", "something after"),
            ("smtp://mail.example.org#tls", "something after"),
            ("smtp://mail.example.org:0", "port"),
            ("smtp://mail.example.org?tls=yes", "not known"),
            ("smtp://mail.example.org?tls=none&tls=none", "not known"),
            ("smtp://mail.example.org?timeout=1", "not known"),
            ("smtp://user@mail.example.org", "not both"),
            ("smtp://:password@mail.example.org", "not both"),
            ("smtp://user:%ff@mail.example.org", "not encoded"),
            ("smtp://user:password@mail.example.org?tls=none", "unencrypted"),
            (&long, "too long"),
        ];
        for (text, reason) in cases {
            let error = SmtpUrl::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(
                matches!(error, MailError::Url(what) if what.contains(reason)),
                "{text}: {error}"
            );
            assert!(error.to_string().contains("smtp://USER:PASSWORD@HOST:PORT"), "{error}");
        }
    }
}
