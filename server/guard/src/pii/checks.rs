//! Whether what has the form of personal data is some.

use std::net::Ipv6Addr;

use super::{PiiKind, iban};
use crate::scan::Before;
use crate::words::{is_word, joins};

/// What stands around a match.
pub(super) struct Around {
    before: Before,
    after: Option<char>,
    second_after: Option<char>,
}

impl Around {
    pub(super) fn new(before: Before, rest: &str) -> Self {
        let mut rest = rest.chars();
        Self { before, after: rest.next(), second_after: rest.next() }
    }

    /// Whether a number goes on before it, as in `1.2`.
    fn follows_number(&self) -> bool {
        self.before.last.is_some_and(|c| ".-".contains(c)) && is_digit(self.before.second_last)
    }

    fn leads_to_number(&self) -> bool {
        self.after.is_some_and(|c| ".-".contains(c)) && is_digit(self.second_after)
    }
}

fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

/// Whether `found`, which has the form of `kind`, is one here.
pub(super) fn holds(kind: PiiKind, found: &str, around: &Around) -> bool {
    if joins(found.chars().next_back(), around.after) {
        return false;
    }
    let is_number = !around.follows_number() && !around.leads_to_number();
    match kind {
        PiiKind::Email => !found.ends_with('-'),
        PiiKind::Secret => true,
        PiiKind::Phone => is_number && is_phone(found, around),
        PiiKind::CreditCard => around.before.last != Some('.') && is_card(found),
        PiiKind::Iban => iban::is_iban(found),
        PiiKind::UsSsn => is_number && is_ssn(found),
        PiiKind::IpAddress if found.contains(':') => is_ipv6(found, around),
        PiiKind::IpAddress => is_number && is_ipv4(found),
    }
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + '_ {
    text.chars().filter_map(|c| c.to_digit(10))
}

fn is_phone(found: &str, around: &Around) -> bool {
    let num_digits = digits(found).count();
    let is_sum = found.starts_with('+') && around.before.last.is_some_and(is_word);
    // A date in groups has eight.
    let fewest = if found.starts_with('0') { 9 } else { 8 };
    !is_sum && (fewest..=15).contains(&num_digits)
}

/// By the issuer's first digits and the check digit.
fn is_card(found: &str) -> bool {
    let num_digits = digits(found).count();
    let start = digits(found).take(4).fold(0, |number, digit| number * 10 + digit);
    let fits = match start {
        4000..=4999 => matches!(num_digits, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => num_digits == 16,
        3400..=3499 | 3700..=3799 => num_digits == 15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&num_digits),
        3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 => (16..=19).contains(&num_digits),
        5000..=5099 | 5600..=5899 | 6000..=6999 => (13..=19).contains(&num_digits),
        _ => false,
    };
    fits && luhn(found)
}

fn luhn(found: &str) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits(found)
        .rev()
        .enumerate()
        .map(|(idx, digit)| if idx % 2 == 1 { doubled(digit) } else { digit })
        .sum();
    sum.is_multiple_of(10)
}

/// No number has only zeros in a group, or begins with 000, 666 or 9.
fn is_ssn(found: &str) -> bool {
    let (area, group, serial) = (&found[..3], &found[4..6], &found[7..]);
    !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000"
}

fn is_ipv4(found: &str) -> bool {
    found.split('.').all(|part| part.parse::<u8>().is_ok())
}

/// Slices (`1::2`) and paths of names (`ad::be`) have its form too.
fn is_ipv6(found: &str, around: &Around) -> bool {
    let goes_on =
        around.after == Some(':') && around.second_after.is_some_and(|c| c.is_alphanumeric());
    let groups = found.split(':').filter(|group| !group.is_empty()).count();
    let first = found.find(':').unwrap_or(0);
    !goes_on
        && found.bytes().any(|b| b.is_ascii_digit())
        && (groups > 2 || first > 2)
        && found.parse::<Ipv6Addr>().is_ok()
}
