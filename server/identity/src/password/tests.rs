//! Passwords are refused, hashed and found again as the rules say.

use super::{Password, PasswordError, PasswordHasher};

fn refused(text: &str) -> PasswordError {
    let own = ["Mallory.Cooper@example.org", "Mallory Cooper", "Al"];
    Password::chosen(text, &own).err().expect("should be refused")
}

#[test]
fn what_everybody_guesses_cannot_be_chosen() {
    let cases = [
        ("", PasswordError::TooShort),
        ("sieben7", PasswordError::TooShort),
        // Seven letters, and more than seven bytes.
        ("ééééééé", PasswordError::TooShort),
        ("Password", PasswordError::Common),
        ("PASSWORD2026!", PasswordError::Common),
        ("12345678", PasswordError::Common),
        ("zzzzzzzzzz", PasswordError::Common),
        ("mallory.cooper@example.org", PasswordError::Own),
        ("MalloryCooper1!", PasswordError::Own),
        ("mallory-cooper", PasswordError::Own),
    ];
    for (text, error) in cases {
        assert_eq!(refused(text), error, "{text}");
    }
    assert_eq!(refused(&"ab".repeat(600)), PasswordError::TooLong);
    // One letter of three bytes that is normalised to eighteen letters.
    assert_eq!(refused(&"\u{fdfa}".repeat(341)), PasswordError::TooLong);
}

#[test]
fn others_can() {
    let own = ["al@example.org", "Al"];
    for fine in ["correct horse", "pw-of-al!", "ééééèèèè", "12345679", "Alpaca farm 9"] {
        assert!(Password::chosen(fine, &own).is_ok(), "{fine}");
    }
    assert!(Password::chosen(&"ab".repeat(512), &own).is_ok());
}

#[test]
fn a_hash_holds_for_its_password_alone() {
    let hasher = PasswordHasher::weak_for_tests().unwrap();
    let typed = |text: &str| Password::typed(text).unwrap();
    let stored = hasher.hash(&typed("gr\u{fc}ne Wiese")).unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
    assert_ne!(stored, hasher.hash(&typed("gr\u{fc}ne Wiese")).unwrap(), "salts differ");
    let verify = |text: &str| hasher.verify(&typed(text), Some(&stored)).unwrap();
    assert!(verify("gr\u{fc}ne Wiese"));
    assert!(verify("gru\u{308}ne Wiese"), "the same letter of two code points");
    for other in ["", "Gr\u{fc}ne Wiese", "gr\u{fc}ne Wiese "] {
        assert!(!verify(other), "{other}");
    }
}

#[test]
fn nobodys_password_is_never_right() {
    let mut hasher = PasswordHasher::weak_for_tests().unwrap();
    let typed = Password::typed("whatever it is").unwrap();
    assert_eq!(hasher.verify(&typed, None), Ok(false));
    // It costs what another's does: a hash of the same parameters is computed.
    assert!(!hasher.needs_rehash(&hasher.dummy));
    hasher.dummy = hasher.hash(&typed).unwrap();
    assert_eq!(hasher.verify(&typed, None), Ok(false), "not even if it were the right one");
    hasher.dummy.clear();
    assert_eq!(hasher.verify(&typed, None), Err(PasswordError::Stored), "it is looked at");
}

#[test]
fn stored_hashes_are_read_within_limits() {
    let hasher = PasswordHasher::weak_for_tests().unwrap();
    let typed = Password::typed("password").unwrap();
    let tail = "$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let costs = ["m=1048576,t=1,p=1", "m=64,t=17,p=1", "m=128,t=1,p=16"];
    let heavy = costs.map(|costs| format!("$argon2id$v=19${costs}{tail}"));
    let lies =
        ["", "plain", "$argon2id$v=19$m=8,t=1,p=1", "$bcrypt$v=19$m=8,t=1,p=1"].map(str::to_owned);
    for stored in heavy.into_iter().chain(lies) {
        let verified = hasher.verify(&typed, Some(&stored));
        assert_eq!(verified, Err(PasswordError::Stored), "{stored}");
        assert!(hasher.needs_rehash(&stored), "{stored}");
    }
}

#[test]
fn another_implementations_hash_is_read() {
    // `echo -n password | argon2 somesalt -id -t 2 -m 8 -p 1 -l 32` of the reference library.
    let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
                  nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let hasher = PasswordHasher::weak_for_tests().unwrap();
    let verify = |text| hasher.verify(&Password::typed(text).unwrap(), Some(stored));
    assert_eq!(verify("password"), Ok(true));
    assert_eq!(verify("Password"), Ok(false));
}

#[test]
fn hashes_of_other_costs_are_renewed() {
    let weak = PasswordHasher::weak_for_tests().unwrap();
    let strong = PasswordHasher::new().unwrap();
    let password = Password::typed("correct horse").unwrap();
    let stored = weak.hash(&password).unwrap();
    assert!(!weak.needs_rehash(&stored));
    assert!(strong.needs_rehash(&stored));
    assert_eq!(strong.verify(&password, Some(&stored)), Ok(true), "old ones still hold");
    let renewed = strong.hash(&password).unwrap();
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    assert!(!strong.needs_rehash(&renewed));
    assert!(strong.needs_rehash(&renewed.replace("argon2id", "argon2i")));
}
