//! Recovery codes: what lets somebody in who has lost the second factor, each of them once.
//!
//! Invariant: a code is kept as its SHA-256 only, which is deleted when the code is used. It has
//! 80 random bits: with the attempts that [`crate::Attempts`] allows nobody finds one, and who has
//! the hashes would have to compute 2^80 of them.

use crate::{SecretHash, random};

/// What an account gets at a time; older ones are no longer valid then.
pub const NUM_RECOVERY_CODES: usize = 10;

/// Without 0, 1, I and O, which look like others.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// 16 letters of 32 are 80 bits.
const LETTERS: usize = 16;
const GROUP: usize = 4;

/// A code as its owner has it, of sixteen letters without what is put between groups.
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// New ones for an account.
    #[must_use]
    pub fn random_set() -> [Self; NUM_RECOVERY_CODES] {
        std::array::from_fn(|_| Self(random::letters(LETTERS, ALPHABET)))
    }

    /// What somebody typed, with blanks, hyphens and small letters as they like, if it has the form
    /// of a code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Nobody needs more to write 16 letters.
        if text.len() > 4 * LETTERS {
            return None;
        }
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let letters: String = typed.map(|c| c.to_ascii_uppercase()).collect();
        let is_whole = letters.len() == LETTERS && letters.bytes().all(|b| ALPHABET.contains(&b));
        is_whole.then_some(Self(letters))
    }

    /// To be shown to its owner, once: `ABCD-EFGH-JKLM-NPQR`.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut shown = String::with_capacity(LETTERS + LETTERS / GROUP);
        for (idx, letter) in self.0.chars().enumerate() {
            if idx > 0 && idx % GROUP == 0 {
                shown.push('-');
            }
            shown.push(letter);
        }
        shown
    }

    /// To be stored, and to be found by.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALPHABET, RecoveryCode};

    #[test]
    fn an_account_gets_ten_different_ones() {
        let codes = RecoveryCode::random_set();
        let different: HashSet<_> = codes.iter().map(RecoveryCode::hash).collect();
        assert_eq!(different.len(), 10);
        for code in &codes {
            let shown = code.reveal();
            let groups: Vec<&str> = shown.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [4; 4]);
        }
    }

    #[test]
    fn the_alphabet_has_five_bits_and_no_look_alikes() {
        let letters: HashSet<_> = ALPHABET.iter().collect();
        assert_eq!(letters.len(), 32);
        assert!(b"01IOilo".iter().all(|letter| !letters.contains(letter)));
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let code = RecoveryCode::parse("ABCD-EFGH-JKLM-NPQR").unwrap();
        assert_eq!(code.reveal(), "ABCD-EFGH-JKLM-NPQR");
        for typed in ["abcdefghjklmnpqr", " AbCd efgh\tJKLM-npqr\n", "A-B-C-D-EFGHJKLMNPQR"] {
            assert_eq!(RecoveryCode::parse(typed).unwrap().hash(), code.hash(), "{typed}");
        }
        let long = format!("{}{}", "ABCDEFGHJKLMNPQR", " ".repeat(64));
        for other in
            ["", "ABCD-EFGH-JKLM-NPQ", "ABCD-EFGH-JKLM-NPQ0", "ABCD-EFGH-JKLM-NPQRS", &long]
        {
            assert!(RecoveryCode::parse(other).is_none(), "{other}");
        }
    }
}
