//! What a deny-list finds and what it does not; and which lists are refused.

use server_guard::{
    Action, DenyError, DenyList, Guard, MAX_FILE_BYTES, MAX_PHRASE_BYTES, MAX_PHRASES, Verdict,
};

fn masked(list: &str, text: &str) -> String {
    let list = DenyList::parse(list, Action::Mask).expect("a list");
    match list.check(text) {
        Verdict::Rewrite { text, .. } => text,
        _ => text.to_owned(),
    }
}

#[test]
fn phrases_are_found_as_words() {
    for (list, text, expected) in [
        (
            "cat",
            "cat Cat CAT, cat's concat cats cat",
            "[REMOVED] [REMOVED] [REMOVED], [REMOVED]'s \
          concat cats [REMOVED]",
        ),
        (
            "bad cat",
            "a bad cat, a BAD  \n Cat, bad-cat, badcat",
            "a [REMOVED], a [REMOVED], \
          bad-cat, badcat",
        ),
        // The longest counts, and a shorter one where the longer is not whole.
        ("new\nnew york\nnew york city", "new york cit, new york city", "[REMOVED] cit, [REMOVED]"),
        ("c++", "c++ C++11 c+", "[REMOVED] [REMOVED]11 c+"),
        ("+tag", "a+tag +tags", "a[REMOVED] +tags"),
        ("_x_", "a _x_ b", "a [REMOVED] b"),
        ("weather", "_weather_ get_weather(", "_[REMOVED]_ get_[REMOVED]("),
        // Case, width, compatibility forms, accents in one or two characters, and what is hidden.
        ("straße", "STRASSE, Straße, STRAẞE", "[REMOVED], [REMOVED], [REMOVED]"),
        ("ΟΔΟΣ", "οδος οδοσ", "[REMOVED] [REMOVED]"),
        ("résumé", "re\u{301}sume\u{301} RÉSUMÉ resume", "[REMOVED] [REMOVED] resume"),
        ("vi\u{1ec7}t", "vie\u{302}\u{323}t vi\u{ea}\u{323}t viet", "[REMOVED] [REMOVED] viet"),
        ("bomb", "ｂｏｍｂ b\u{200b}o\u{ad}mb 𝐛𝐨𝐦𝐛", "[REMOVED] [REMOVED] [REMOVED]"),
        ("office", "oﬃce", "[REMOVED]"),
        ("cafe", "cafe\u{301} cafe", "cafe\u{301} [REMOVED]"),
        // Scripts without spaces between words.
        ("坏话", "他说坏话了", "他说[REMOVED]了"),
        ("나쁜말", "나쁜말이", "[REMOVED]이"),
        // JSON.
        (
            "seven",
            r#"{"a": "x\nseven", "b": "\seven"}"#,
            r#"{"a": "x\n[REMOVED]", "b": "\[REMOVED]"}"#,
        ),
        ("7\ntrue", r#"{"a": 7, "b": [true, 7.5, 0.7]}"#, r#"{"a": 0, "b": [null, 0.5, 0.0]}"#),
    ] {
        assert_eq!(masked(list, text), expected, "{list:?} in {text:?}");
    }
}

#[test]
fn comments_and_empty_lines_are_no_phrases() {
    let text = "a comment, b";
    assert_eq!(masked("\u{feff}# a\r\n\r\n  b  \r\n", text), "a comment, [REMOVED]");
}

#[test]
fn a_stop_names_the_list() {
    let list = DenyList::parse("cat", Action::Stop).expect("a list");
    assert!(matches!(list.check("a cat"), Verdict::Stop(stop) if stop.category == "deny_list"));
    assert_eq!(list.check("a dog"), Verdict::Pass);
}

#[test]
fn what_is_no_list_is_refused() {
    let error = |text: &str| DenyList::parse(text, Action::Stop).err().map(|e| e.to_string());
    let many = |num: usize| (0..num).map(|n| format!("{n}\n")).collect::<String>();
    assert_eq!(error(&many(MAX_PHRASES)), None);
    assert_eq!(error(&"x".repeat(MAX_PHRASE_BYTES)), None);
    for (text, problem) in [
        (String::new(), "no phrases"),
        ("# only this".into(), "no phrases"),
        (many(MAX_PHRASES + 1), "more than 10000"),
        ("ok\n!!!".into(), "line 2: a phrase has at least one letter"),
        ("x".repeat(MAX_PHRASE_BYTES + 1), "line 1: a phrase has at most 256 bytes"),
        ("say \"no\"".into(), "line 1: a phrase has no quotes"),
        ("a\\b".into(), "backslashes"),
        ("{x}".into(), "brackets"),
        ("x\u{7}y".into(), "control"),
        ("5,".into(), "comma"),
        (":5".into(), "colon"),
    ] {
        let error = error(&text).unwrap_or_default();
        assert!(error.contains(problem), "{text:?}: {error}");
    }
    let large = DenyList::parse(&"#".repeat(MAX_FILE_BYTES + 1), Action::Stop).err();
    assert_eq!(large, Some(DenyError::TooLarge(MAX_FILE_BYTES + 1)));
}
