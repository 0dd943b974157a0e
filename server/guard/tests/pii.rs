//! What is personal data and what only looks like it.

use std::sync::LazyLock;

use server_guard::{Action, Guard, Pii, PiiKind, Verdict};

static ALL: LazyLock<Pii> = LazyLock::new(|| Pii::new(&PiiKind::ALL, Action::Mask));

fn masked(text: &str) -> String {
    match ALL.check(text) {
        Verdict::Pass => text.to_owned(),
        Verdict::Rewrite { text, .. } => text,
        Verdict::Stop(stop) => panic!("{text}: stopped by {}", stop.category),
    }
}

/// Each is found by itself, in a sentence, in brackets and at the ends of lines.
fn hold_positives(kind: PiiKind, mask: &str, positives: &[&str]) {
    let stop = Pii::new(&[kind], Action::Stop);
    for found in positives {
        for frame in ["{}", "Take {}, please.", "({})", "a\n{}\nb", "\"{}\"", "*{}*", "是{}。"] {
            assert_eq!(masked(&frame.replace("{}", found)), frame.replace("{}", mask), "{found}");
        }
        let stops = stop.check(found);
        assert!(matches!(stops, Verdict::Stop(stop) if stop.category == kind.name()), "{found}");
    }
}

fn hold_negatives(negatives: &[&str]) {
    for text in negatives {
        assert_eq!(masked(text), *text);
        let sentence = format!("Take {text}, please.");
        assert_eq!(masked(&sentence), sentence);
    }
}

#[test]
fn addresses() {
    let all = [
        "ann@example.com",
        "Ann.O-Neil+list@mail.example.co.uk",
        "a@b.io",
        "x_y%z@sub-domain.example.museum",
        "jürgen@müller.de",
        "1234567890@example.org",
    ];
    hold_positives(PiiKind::Email, "[EMAIL]", &all);
    assert_eq!(masked("_ann@example.com_ .ann@example.com."), "[EMAIL]_ .[EMAIL].");
    assert_eq!(masked("<ann@example.com>"), "<[EMAIL]>");
    assert_eq!(masked("mailto:ann@example.com?subject=x"), "mailto:[EMAIL]?subject=x");
    hold_negatives(&[
        "ann@example",
        "@ann",
        "ann@",
        "a @ b.com",
        "user@host:/path",
        "x@1.2",
        "@a.b",
    ]);
}

#[test]
fn phones() {
    let all = [
        "+49 151 12345678",
        "+1 (555) 123-4567",
        "+4915112345678",
        "+44-20-7946-0958",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "1-800-555-0199",
        "0151 12345678",
        "030 / 1234567",
        "0049 151 1234567",
        "01 23 45 67 89",
        "020 7946 0958",
    ];
    hold_positives(PiiKind::Phone, "[PHONE]", &all);
    hold_negatives(&[
        "5551234567",
        "1700000000",
        "01.02.2024",
        "2024-01-02",
        "2024-01-02 10:11:12",
        "12:30:45",
        "3.14159265358979",
        "0.123456789",
        "1,234,567.89",
        "1 + 1 = 2",
        "+1",
        "x+12345678901",
        "1234-555-123-4567-8901",
        "007",
        "100 000 000",
        "555-1234",
    ]);
}

#[test]
fn cards() {
    let all = [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5500 0000 0000 0004",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "4222222222222",
    ];
    hold_positives(PiiKind::CreditCard, "[CREDIT_CARD]", &all);
    // What follows a card may look like more of it.
    assert_eq!(masked("4111 1111 1111 1111 5 apples"), "[CREDIT_CARD] 5 apples");
    hold_negatives(&[
        "4111111111111112",
        "1234567812345678",
        "411111111111111",
        "0.4111111111111111",
        "41111111111111110000000",
        "x4111111111111111",
        "4111111111111111x",
        "9999999999999995",
    ]);
}

#[test]
fn accounts() {
    let all = [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB29 NWBK 6016 1331 9268 19",
        "FR1420041010050500013M02606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "de89370400440532013000",
    ];
    hold_positives(PiiKind::Iban, "[IBAN]", &all);
    assert_eq!(masked("NO93 8601 1117 947 is his"), "[IBAN] is his");
    hold_negatives(&[
        "DE89370400440532013001",
        "DE8937040044053201300",
        "XX89370400440532013000",
        "GB29NWBK60161331926818",
        "xDE89370400440532013000",
    ]);
}

#[test]
fn social_security() {
    hold_positives(PiiKind::UsSsn, "[US_SSN]", &["123-45-6789", "123 45 6789", "899-99-9999"]);
    hold_negatives(&[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "123-456-789",
        "123 45-6789",
        "123456789",
        "1-123-45-6789",
        "123-45-6789-1",
        "a123-45-6789",
    ]);
}

#[test]
fn internet_addresses() {
    let all = [
        "192.168.0.1",
        "8.8.8.8",
        "255.255.255.255",
        "2001:db8::1",
        "fe80::1",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "2001:DB8::ff00:42:8329",
    ];
    hold_positives(PiiKind::IpAddress, "[IP_ADDRESS]", &all);
    assert_eq!(masked("http://10.0.0.1:8080/x"), "http://[IP_ADDRESS]:8080/x");
    assert_eq!(masked("10.0.0.0/8"), "[IP_ADDRESS]/8");
    hold_negatives(&[
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "999.1.1.1",
        "v1.2.3.4",
        "x[1::2]",
        "std::vector",
        "abc::def",
        "::",
        "00:1a:2b:3c:4d:5e",
        "10:20:30",
        "1.2.3.4a",
    ]);
}

#[test]
fn secrets() {
    let of = |start: &str, len: usize| format!("{start}{}", "aB3".repeat(len).split_at(len).0);
    let all = [
        of("ab-", 43),
        of("sk-", 48),
        of("sk-ant-api03-", 90),
        of("ghp_", 36),
        of("github_pat_", 82),
        of("glpat-", 20),
        of("xoxb-", 40),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        of("AIza", 35),
        of("hf_", 34),
        of("sk_live_", 24),
        of("npm_", 36),
        format!("{}.{}.{}", of("eyJ", 20), of("eyJ", 200), of("", 43)),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    hold_positives(PiiKind::Secret, "[SECRET]", &all);
    hold_negatives(&[
        "sk-short",
        "task-aB3aB3aB3aB3aB3aB3aB3aB3",
        "AKIA123",
        "eyJhbGciOi",
        "ghp_x",
    ]);
}

/// Masks leave JSON as it was but for what they mask.
#[test]
fn json_stays_json() {
    for (text, expected) in [
        (r#"{"to": "ann@example.com", "n": 1}"#, r#"{"to": "[EMAIL]", "n": 1}"#),
        (r#"{"card": 4111111111111111}"#, r#"{"card": 0}"#),
        (r#"{"a": [4111111111111111, 4111111111111111 , 5]}"#, r#"{"a": [0, 0 , 5]}"#),
        (r#"{"a": -4111111111111111, "b": 4111111111111111.5}"#, r#"{"a": -0, "b": 0.5}"#),
        // An escape is one character, and no letter of what follows.
        (r#"{"a": "x\nann@example.com\n"}"#, r#"{"a": "x\n[EMAIL]\n"}"#),
        (r#"{"a": "\\ann@example.com"}"#, r#"{"a": "\\[EMAIL]"}"#),
        (r#"{"a": "\"ann@example.com\""}"#, r#"{"a": "\"[EMAIL]\""}"#),
        (r#"{"a": "\u00e9ann@example.com"}"#, r#"{"a": "\u00e9[EMAIL]"}"#),
        (r#"{"a": "]}", "b": 4111111111111111}"#, r#"{"a": "]}", "b": 0}"#),
        (r#"{"ann@example.com": true}"#, r#"{"[EMAIL]": true}"#),
        // Outside JSON a backslash is one, and a number is written out.
        (r"C:\ann@example.com", r"C:\[EMAIL]"),
        ("card: 4111111111111111, ok", "card: [CREDIT_CARD], ok"),
        ("{ \"not JSON\nann@example.com", "{ \"not JSON\n[EMAIL]"),
    ] {
        assert_eq!(masked(text), expected);
    }
}

#[test]
fn only_what_was_asked_for_is_found() {
    let text = "ann@example.com 4111111111111111";
    let email = Pii::new(&[PiiKind::Email], Action::Mask).check(text);
    let expected = "[EMAIL] 4111111111111111".to_owned();
    assert_eq!(email, Verdict::Rewrite { text: expected, num_edits: 1 });
    assert_eq!(Pii::new(&[PiiKind::Iban], Action::Mask).check(text), Verdict::Pass);
}
