//! E-mail addresses, as far as people have them: not all that RFC 5322 allows.
//!
//! Invariant: an address has no white space, control characters, quotes or brackets, so it can be
//! put into a header or an SMTP command as it is.

use std::fmt;

/// RFC 5321, 4.5.3.1.3, without its angle brackets.
pub const MAX_EMAIL_BYTES: usize = 254;

const MAX_LOCAL_BYTES: usize = 64;
const MAX_LABEL_BYTES: usize = 63;

/// Why something is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// No `@`, or nothing beside it.
    #[error("an e-mail address has the form name@example.org")]
    Form,
    /// Longer than [`MAX_EMAIL_BYTES`], or what is before the `@` than 64.
    #[error("the e-mail address is too long: it may have 254 letters, 64 of them before the '@'")]
    TooLong,
    /// Before the `@`.
    #[error(
        "the part before the '@' may have letters a to z, digits, single dots and the marks \
         !#$%&'*+-/=?^_`{{|}}~"
    )]
    Local,
    /// After the `@`.
    #[error("the part after the '@' is no domain name; write one of other letters as 'xn--…'")]
    Domain,
}

/// An address with its domain in lower case. What is before the `@` stays as its owner writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    text: String,
    at: usize,
}

impl EmailAddress {
    /// Reads an address; white space around it does not matter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > MAX_EMAIL_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Form)?;
        if local.is_empty() || domain.is_empty() {
            return Err(EmailError::Form);
        }
        if local.len() > MAX_LOCAL_BYTES {
            return Err(EmailError::TooLong);
        }
        if !local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom)) {
            return Err(EmailError::Local);
        }
        let domain = domain.to_ascii_lowercase();
        if !is_domain(&domain) {
            return Err(EmailError::Domain);
        }
        Ok(Self { text: format!("{local}@{domain}"), at: local.len() })
    }

    /// `Name@example.org`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is after the `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// What is before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What accounts are found by: all in lower case, since no provider that people use has two
    /// mailboxes that differ by that.
    #[must_use]
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }
}

/// RFC 5322's `atext`.
fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Two labels or more, the last of them no number: no addresses of hosts.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
        && domain.rsplit_once('.').is_some_and(|(_, top)| top.bytes().any(|b| !b.is_ascii_digit()))
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Not whole, since what is printed for debugging ends up in logs.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({}…@{})", &self.text[..1], self.domain())
    }
}

#[cfg(test)]
mod tests {
    use super::{EmailAddress, EmailError};

    #[test]
    fn domains_are_lower_case_and_names_stay() {
        let address = EmailAddress::parse("  Ada.Lovelace+AI@EXAMPLE.Org\n").unwrap();
        assert_eq!(address.as_str(), "Ada.Lovelace+AI@example.org");
        assert_eq!(address.to_string(), address.as_str());
        assert_eq!((address.local(), address.domain()), ("Ada.Lovelace+AI", "example.org"));
        assert_eq!(address.key(), "ada.lovelace+ai@example.org");
        assert_eq!(format!("{address:?}"), "EmailAddress(A…@example.org)");
    }

    #[test]
    fn what_people_have_is_read() {
        let local = "a".repeat(64);
        for fine in [
            "a@b.co",
            "o'neil@example.org",
            "_x_@sub.sub.example.museum",
            "1@1.example",
            "user@xn--bcher-kva.example",
            &format!("{local}@example.org"),
        ] {
            assert_eq!(EmailAddress::parse(fine).map(|a| a.to_string()), Ok(fine.to_owned()));
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_do() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}org", "abcdefg.".repeat(32));
        let long_label = format!("a@{}.org", "a".repeat(64));
        let cases = [
            ("", EmailError::Form),
            ("ada", EmailError::Form),
            ("@example.org", EmailError::Form),
            ("ada@", EmailError::Form),
            (&*long_local, EmailError::TooLong),
            (&*long, EmailError::TooLong),
            (&*long_label, EmailError::Domain),
            ("a..b@example.org", EmailError::Local),
            (".a@example.org", EmailError::Local),
            ("a.@example.org", EmailError::Local),
            ("a b@example.org", EmailError::Local),
            ("a@b@example.org", EmailError::Local),
            ("\"a b\"@example.org", EmailError::Local),
            ("<a@example.org", EmailError::Local),
            ("a\r\nBcc:b@example.org", EmailError::Local),
            ("\u{e9}@example.org", EmailError::Local),
            ("a@example", EmailError::Domain),
            ("a@example..org", EmailError::Domain),
            ("a@-example.org", EmailError::Domain),
            ("a@example-.org", EmailError::Domain),
            ("a@example.org>", EmailError::Domain),
            ("a@exa mple.org", EmailError::Domain),
            ("a@b\u{fc}cher.example", EmailError::Domain),
            ("a@[127.0.0.1]", EmailError::Domain),
            ("a@127.0.0.1", EmailError::Domain),
        ];
        for (text, error) in cases {
            assert_eq!(EmailAddress::parse(text), Err(error), "{text}");
        }
    }
}
