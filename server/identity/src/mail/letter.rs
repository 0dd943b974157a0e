//! What letters say.
//!
//! Invariant: whatever a user is called, a letter has one subject line, and no link but the one
//! that the server gave.

mod money;

use std::time::Duration;

use super::name::of_person as name;

const MAX_LINK_BYTES: usize = 2048;
const MAX_SUBJECT_CHARS: usize = 150;

/// A letter cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link in a letter must begin with https:// or http:// and have no blanks: {0}")]
pub struct LetterError(String);

/// Who writes: the server, as people know it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its address, `https://…`.
    pub url: &'a str,
}

/// A subject and a body in plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    subject: String,
    body: String,
}

impl Letter {
    /// Asks whether an address is its owner's.
    ///
    /// # Errors
    /// [`LetterError`], as for all letters with links.
    pub fn verification(
        site: &Site<'_>,
        link: &str,
        valid_for: Duration,
    ) -> Result<Self, LetterError> {
        let (site_name, link, time) = (name(site.name), checked(link)?, time(valid_for));
        Self::new(
            site,
            format!("Confirm your e-mail address for {site_name}"),
            format!(
                "Somebody, you we hope, gave this address for an account at {site_name}.\n\n\
                 To confirm that it is yours, open this link within {time}:\n\n{link}\n\n\
                 If it was not you, do nothing: the address is not used without this."
            ),
        )
    }

    /// Asks whether the address is its owner's that an account is to have instead of another one.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn email_change(
        site: &Site<'_>,
        link: &str,
        valid_for: Duration,
    ) -> Result<Self, LetterError> {
        let (site_name, link, time) = (name(site.name), checked(link)?, time(valid_for));
        Self::new(
            site,
            format!("Confirm your new e-mail address for {site_name}"),
            format!(
                "Somebody, you we hope, wants to use this address for their account at \
                 {site_name}.\n\n\
                 To confirm that it is yours, open this link within {time}; it works \
                 once:\n\n{link}\n\n\
                 If it was not you, do nothing: the address is not used without this."
            ),
        )
    }

    /// Says to the address that an account had that it has another one now.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn email_changed(site: &Site<'_>) -> Result<Self, LetterError> {
        let site_name = name(site.name);
        Self::new(
            site,
            format!("Your e-mail address at {site_name} has changed"),
            format!(
                "Your account at {site_name} has another e-mail address now. This one is not \
                 used for it any more.\n\n\
                 If it was not you who changed it, tell those who run {site_name} at once."
            ),
        )
    }

    /// Lets somebody set a new password.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn password_reset(
        site: &Site<'_>,
        link: &str,
        valid_for: Duration,
    ) -> Result<Self, LetterError> {
        let (site_name, link, time) = (name(site.name), checked(link)?, time(valid_for));
        Self::new(
            site,
            format!("Set a new password for {site_name}"),
            format!(
                "Somebody asked to set a new password for your account at {site_name}.\n\n\
                 If it was you, open this link within {time}; it works once:\n\n{link}\n\n\
                 If it was not, do nothing: your password stays as it is."
            ),
        )
    }

    /// Says to who signs up again that there is an account already.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn has_account(site: &Site<'_>, link: &str) -> Result<Self, LetterError> {
        let (site_name, link) = (name(site.name), checked(link)?);
        Self::new(
            site,
            format!("You have an account at {site_name} already"),
            format!(
                "Somebody, you we hope, gave this address for an account at {site_name}. \
                 There is one with it already.\n\n\
                 Log in with it. If you do not know its password any more, set a new one \
                 here:\n\n{link}\n\n\
                 If it was not you, do nothing: your account stays as it is."
            ),
        )
    }

    /// Invites somebody into `organization`, on behalf of `inviter`.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn invitation(
        site: &Site<'_>,
        organization: &str,
        inviter: &str,
        link: &str,
        valid_for: Duration,
    ) -> Result<Self, LetterError> {
        let (site_name, link, time) = (name(site.name), checked(link)?, time(valid_for));
        let (organization, inviter) = (name(organization), name(inviter));
        Self::new(
            site,
            format!("Invitation to \"{organization}\" at {site_name}"),
            format!(
                "\"{inviter}\" invites you to join the organization \"{organization}\" at \
                 {site_name}.\n\n\
                 To join, open this link within {time}:\n\n{link}\n\n\
                 If you do not know them, do nothing."
            ),
        )
    }

    fn new(site: &Site<'_>, subject: String, body: String) -> Result<Self, LetterError> {
        let (site_name, url) = (name(site.name), checked(site.url)?);
        Ok(Self {
            subject: subject.chars().take(MAX_SUBJECT_CHARS).collect(),
            body: format!("Hello,\n\n{body}\n\n-- \n{site_name}\n{url}\n"),
        })
    }

    /// One line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Lines that end in `\n`.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

fn checked(link: &str) -> Result<&str, LetterError> {
    let is_web = link.starts_with("https://") || link.starts_with("http://");
    let is_one_word = !link.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_web && is_one_word && link.len() <= MAX_LINK_BYTES {
        return Ok(link);
    }
    // Not whole: what comes after the host may be what lets people in.
    Err(LetterError(link.chars().take_while(|c| *c != '?').take(40).collect()))
}

/// In the largest unit that it is a whole number of.
fn time(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    let (count, unit) = match minutes {
        _ if minutes > 0 && minutes.is_multiple_of(24 * 60) => (minutes / (24 * 60), "day"),
        _ if minutes > 0 && minutes.is_multiple_of(60) => (minutes / 60, "hour"),
        _ => (minutes, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
