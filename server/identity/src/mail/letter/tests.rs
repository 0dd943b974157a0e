//! Letters: what they say, and what nobody gets into them.

use std::time::Duration;

use super::{Letter, LetterError, Site};

const SITE: Site<'static> = Site { name: "Agentbase", url: "https://ai.example.org" };
const LINK: &str = "https://ai.example.org/x?token=abv_1";

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

fn all(words: &str, link: &str) -> Vec<Result<Letter, LetterError>> {
    let site = Site { name: words, ..SITE };
    vec![
        Letter::verification(&site, link, hours(1)),
        Letter::password_reset(&site, link, hours(1)),
        Letter::email_change(&site, link, hours(1)),
        Letter::has_account(&site, link),
        Letter::invitation(&site, words, words, link, hours(1)),
        Letter::limit_alert(&site, words, (words, words), 80, link),
        Letter::payment_reminder(&site, words, Some(words), (words, words), link),
        Letter::suspension(&site, words, Some(words), words, link),
        Letter::restoration(&site, words, link),
    ]
}

#[test]
fn letters_say_what_they_are_for() {
    let letter = Letter::verification(&SITE, LINK, hours(24)).unwrap();
    assert_eq!(letter.subject(), "Confirm your e-mail address for Agentbase");
    let link = "open this link within 1 day:\n\nhttps://ai.example.org/x?token=abv_1\n";
    assert!(letter.body().contains(link), "{}", letter.body());
    let letter = Letter::password_reset(&SITE, LINK, Duration::from_secs(1800)).unwrap();
    assert!(letter.body().contains("within 30 minutes; it works once"));
    let letter = Letter::email_change(&SITE, LINK, hours(2)).unwrap();
    assert!(letter.body().contains("within 2 hours; it works once:\n\nhttps://ai.example.org/x"));
    let letter = Letter::email_changed(&SITE).unwrap();
    assert_eq!(letter.subject(), "Your e-mail address at Agentbase has changed");
    assert!(!letter.body().contains("token="), "{}", letter.body());
    let letter = Letter::has_account(&SITE, LINK).unwrap();
    assert!(letter.body().contains("set a new one here:\n\nhttps://ai.example.org/x"));
    let letter = Letter::invitation(&SITE, "Müller & Co.", "Ada", LINK, hours(36)).unwrap();
    assert_eq!(letter.subject(), "Invitation to \"Müller & Co.\" at Agentbase");
    let invites = "\"Ada\" invites you to join the organization \"Müller & Co.\" at Agentbase.";
    assert!(letter.body().contains(invites) && letter.body().contains("within 36 hours"));
    let amounts = ("80.00 USD", "100.00 USD");
    let letter = Letter::limit_alert(&SITE, "web", amounts, 80, LINK).unwrap();
    assert!(letter.body().contains("80.00 USD of 100.00 USD, which is 80 %"));
    assert!(letter.body().contains("When it is reached"));
    let letter = Letter::limit_alert(&SITE, "web", amounts, 100, LINK).unwrap();
    assert!(letter.body().contains("It is reached"));
    let (due, days) = (Some("9.99 EUR"), ("2026-11-28", "2026-12-12"));
    let letter = Letter::payment_reminder(&SITE, "Müller", due, days, LINK).unwrap();
    assert!(letter.body().contains("A payment of 9.99 EUR for \"Müller\" at Agentbase was due on"));
    assert!(letter.body().contains("are refused from 2026-12-12 on"), "{}", letter.body());
    let letter = Letter::suspension(&SITE, "Müller", None, days.0, LINK).unwrap();
    assert_eq!(letter.subject(), "\"Müller\" at Agentbase is suspended");
    assert!(letter.body().contains("A payment for \"Müller\""), "{}", letter.body());
    assert!(letter.body().contains("refused from now on"), "{}", letter.body());
    let letter = Letter::restoration(&SITE, "Müller", LINK).unwrap();
    assert_eq!(letter.subject(), "\"Müller\" at Agentbase goes on");
    assert!(letter.body().ends_with("-- \nAgentbase\nhttps://ai.example.org\n"));
}

#[test]
fn names_add_no_lines_and_no_links() {
    let evil = "x\r\nBcc: victim@example.net\r\n\r\nhttps://evil.example/ evil.example";
    let plain: Vec<_> = all("x", LINK).into_iter().map(Result::unwrap).collect();
    for (letter, plain) in all(evil, LINK).into_iter().map(Result::unwrap).zip(plain) {
        assert!(!letter.subject().contains(['\r', '\n']), "{}", letter.subject());
        assert!(letter.subject().chars().count() <= 150);
        assert!(!letter.body().contains('\r'));
        assert_eq!(letter.body().lines().count(), plain.body().lines().count());
    }
    let invited = Letter::invitation(&SITE, evil, evil, LINK, hours(1)).unwrap();
    for link in ["evil.example", "://evil", "victim@"] {
        assert!(!invited.body().contains(link), "{}", invited.body());
    }
}

#[test]
fn only_links_of_the_web_are_sent_and_refusals_do_not_tell_tokens() {
    for link in [
        "",
        "ai.example.org/x",
        "javascript:alert(1)",
        "https://ai.example.org/\nx",
        "https://ai.example.org/a b?token=abv_1",
        &format!("https://ai.example.org/{}", "a".repeat(2048)),
    ] {
        for letter in all("x", link) {
            let error = letter.err().unwrap().to_string();
            assert!(error.contains("https://") && !error.contains("abv_1"), "{error}");
        }
    }
    let bad_site = Site { url: "ai.example.org", ..SITE };
    assert!(Letter::verification(&bad_site, LINK, hours(1)).is_err());
}
