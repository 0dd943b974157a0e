//! The forms of what is looked for, as expressions over bytes.
//!
//! Invariant: none has a quote, a backslash, a bracket of JSON or white space other than a space;
//! beyond ASCII they have letters only (`\x80-\xff` are their bytes). Lengths that check digits
//! settle are left to them.

use super::PiiKind;
use super::PiiKind::{CreditCard, Email, Iban, IpAddress, Phone, Secret, UsSsn};

pub(super) const ALL: &[(PiiKind, &str)] = &[
    (
        Email,
        concat!(
            r"[0-9A-Za-z_\x80-\xff][0-9A-Za-z._%+\x80-\xff-]{0,63}@",
            r"(?:[0-9A-Za-z\x80-\xff-]+\.)+[A-Za-z\x80-\xff][0-9A-Za-z\x80-\xff-]{1,62}"
        ),
    ),
    // With a country's code; in North America; elsewhere, from its 0; in pairs.
    (Phone, r"\+[1-9](?:[ ().-]{0,2}[0-9]){6,14}"),
    (Phone, r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"),
    (Phone, r"0[0-9]{1,4}[ /-]{1,3}[0-9]{3,8}(?:[ -][0-9]{2,8}){0,3}"),
    (Phone, r"0[0-9](?:[ .-][0-9]{2}){4}"),
    (CreditCard, r"[2-6][0-9]{3}(?:[ -]?[0-9]){9,15}"),
    (Iban, r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z]){11,30}"),
    (UsSsn, r"[0-9]{3}(?:-[0-9]{2}-| [0-9]{2} )[0-9]{4}"),
    (IpAddress, r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"),
    (IpAddress, r"[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){1,7}[0-9A-Fa-f]{0,4}"),
    // Our own keys, then OpenAI's and Anthropic's, GitHub's, GitLab's, Slack's, Amazon's, Google's,
    // Hugging Face's, Stripe's and npm's; and JSON web tokens.
    (Secret, r"ab-[0-9A-Za-z]{43}"),
    (Secret, r"sk-[0-9A-Za-z_-]{20,}"),
    (Secret, r"gh[oprsu]_[0-9A-Za-z]{36,}"),
    (Secret, r"github_pat_[0-9A-Za-z_]{22,}"),
    (Secret, r"glpat-[0-9A-Za-z_-]{20,}"),
    (Secret, r"xox[abeoprs]-[0-9A-Za-z-]{10,}"),
    (Secret, r"A[KS]IA[0-9A-Z]{16}"),
    (Secret, r"AIza[0-9A-Za-z_-]{35}"),
    (Secret, r"hf_[0-9A-Za-z]{30,}"),
    (Secret, r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"),
    (Secret, r"npm_[0-9A-Za-z]{36}"),
    (Secret, r"eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}"),
];
