//! Letters about what is used, and about what is to be paid.

use super::{Letter, LetterError, Site, checked};
use crate::mail::name::of_person as name;

impl Letter {
    /// Says that `account` (an organization or a project) has used `percent` of its limit.
    /// `used` and `limit` are amounts with their units.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn limit_alert(
        site: &Site<'_>,
        account: &str,
        (used, limit): (&str, &str),
        percent: u32,
        link: &str,
    ) -> Result<Self, LetterError> {
        let (account, link) = (name(account), checked(link)?);
        let (used, limit) = (amount(used), amount(limit));
        let what_follows = match percent {
            0..100 => "When it is reached, requests are refused until the limit is raised or its",
            _ => "It is reached: requests are refused until the limit is raised or its",
        };
        Self::new(
            site,
            format!("\"{account}\" has used {percent} % of its limit"),
            format!(
                "\"{account}\" has used {used} of {limit}, which is {percent} % of its limit.\n\n\
                 {what_follows}\nperiod ends.\n\nUsage and limits are here:\n\n{link}"
            ),
        )
    }

    /// Says that a payment for `organization`, of an amount if that is known, was due on the first
    /// of two dates, and that requests are refused from the second on.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn payment_reminder(
        site: &Site<'_>,
        organization: &str,
        amount_due: Option<&str>,
        (due, refused_from): (&str, &str),
        link: &str,
    ) -> Result<Self, LetterError> {
        let (site_name, link) = (name(site.name), checked(link)?);
        let (organization, of) = (name(organization), of(amount_due));
        let (due, refused_from) = (amount(due), amount(refused_from));
        Self::new(
            site,
            format!("Payment for \"{organization}\" at {site_name} is due"),
            format!(
                "A payment{of} for \"{organization}\" at {site_name} was due on {due}, and has \
                 not arrived.\n\n\
                 To pay, or to see the invoice, open this link:\n\n{link}\n\n\
                 If you have paid since, nothing is left to do. Otherwise the organization's \
                 requests\nare refused from {refused_from} on; nothing of its data is lost by \
                 that."
            ),
        )
    }

    /// Says that requests of `organization` are refused, since a payment that was due on a date
    /// has not arrived.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn suspension(
        site: &Site<'_>,
        organization: &str,
        amount_due: Option<&str>,
        due: &str,
        link: &str,
    ) -> Result<Self, LetterError> {
        let (site_name, link) = (name(site.name), checked(link)?);
        let (organization, of, due) = (name(organization), of(amount_due), amount(due));
        Self::new(
            site,
            format!("\"{organization}\" at {site_name} is suspended"),
            format!(
                "A payment{of} for \"{organization}\" at {site_name} was due on {due}, and has \
                 not arrived.\n\
                 The organization's requests are refused from now on; nothing of its data is \
                 lost.\n\n\
                 To pay, or to see the invoice, open this link:\n\n{link}\n\n\
                 Requests are let in again once the payment has arrived."
            ),
        )
    }

    /// Says that requests of `organization` are let in again.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn restoration(
        site: &Site<'_>,
        organization: &str,
        link: &str,
    ) -> Result<Self, LetterError> {
        let (site_name, link) = (name(site.name), checked(link)?);
        let organization = name(organization);
        Self::new(
            site,
            format!("\"{organization}\" at {site_name} goes on"),
            format!(
                "Nothing is due for \"{organization}\" at {site_name} any more. The \
                 organization's requests\nare let in again.\n\n\
                 Its subscription and invoices are here:\n\n{link}"
            ),
        )
    }
}

/// ` of 12.50 USD`, where that is known.
fn of(amount_due: Option<&str>) -> String {
    amount_due.map(|due| format!(" of {}", amount(due))).unwrap_or_default()
}

/// An amount or a date as the server writes it: `12.50 USD`, `2026-11-28`.
fn amount(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
