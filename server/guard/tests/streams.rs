//! Cutting a text into pieces changes nothing, and little is held back.

use std::sync::LazyLock;

use proptest::prelude::*;
use server_guard::{Action, DenyList, Edit, Guard, MAX_HELD_BYTES, Pii, PiiKind, Step, Stop};

/// What was made of a text: the new one, what was rewritten, and why it ended.
type Outcome = (String, Vec<Edit>, Option<Stop>);

/// A deny-list and one of personal data, made once.
fn guards(action: Action) -> &'static [Box<dyn Guard>; 2] {
    static MASK: LazyLock<[Box<dyn Guard>; 2]> = LazyLock::new(|| make(Action::Mask));
    static STOP: LazyLock<[Box<dyn Guard>; 2]> = LazyLock::new(|| make(Action::Stop));
    if action == Action::Mask { &MASK } else { &STOP }
}

fn make(action: Action) -> [Box<dyn Guard>; 2] {
    let list = "bad cat\ncat\nstraße\nviệt\n坏话\nc++\nlong phrase of many words\n7\ntrue";
    let list = DenyList::parse(list, action).expect("a list");
    [Box::new(list), Box::new(Pii::new(&PiiKind::ALL, action))]
}

/// Feeds the pieces one by one, and holds the watch to what it promises meanwhile.
fn outcome(guard: &dyn Guard, pieces: &[&str]) -> Outcome {
    let mut watch = guard.watch();
    let (mut text, mut edits, mut stop) = (String::new(), Vec::new(), None);
    let mut input = String::new();
    let mut take = |step: Step| {
        text += &step.text;
        edits.extend(step.edits);
        stop = step.stop;
        (text.chars().count(), edits.clone(), stop.is_some())
    };
    for piece in pieces {
        input += piece;
        let (num_out, edits, stopped) = take(watch.push(piece));
        if stopped {
            break;
        }
        let rewritten: usize = edits.iter().map(|edit| edit.end - edit.start).sum();
        let written: usize = edits.iter().map(|edit| edit.new_len).sum();
        let held = input.chars().skip(num_out - written + rewritten);
        assert!(held.map(char::len_utf8).sum::<usize>() <= MAX_HELD_BYTES);
    }
    if !take(watch.finish()).2 {
        assert_eq!(apply(&pieces.concat(), &edits, &text), pieces.concat());
    }
    (text, edits, stop)
}

/// Undoes the edits.
fn apply(original: &str, edits: &[Edit], rewritten: &str) -> String {
    let (original, rewritten): (Vec<char>, Vec<char>) =
        (original.chars().collect(), rewritten.chars().collect());
    let (mut text, mut from, mut at) = (String::new(), 0, 0);
    for edit in edits {
        text.extend(&rewritten[at..at + edit.start - from]);
        text.extend(&original[edit.start..edit.end]);
        at += edit.start - from + edit.new_len;
        from = edit.end;
    }
    text.extend(&rewritten[at..]);
    text
}

/// Texts that are full of what is looked for, and of what nearly is.
fn texts() -> impl Strategy<Value = String> {
    let found = prop::sample::select(vec![
        "ann@example.com",
        "jürgen@müller.de",
        "+49 151 12345678",
        "(555) 123-4567",
        "01 23 45",
        "4111 1111 1111 1111",
        "4111111111111111",
        "378282246310005",
        "DE89 3704 0044 0532 0130 00",
        "123-45-6789",
        "1.2.3.4",
        "2001:db8::1",
        "sk-aB3aB3aB3aB3aB3aB3aB3",
        "AKIAIOSFODNN7EXAMPLE",
        "bad cat",
        "BAD \u{200b} Cat",
        "cat",
        "STRASSE",
        "vie\u{302}\u{323}t",
        "坏话",
        "c++",
        "long phrase of many",
        "words",
        "7",
        "true",
    ]);
    let rest = prop::sample::select(vec![
        " ", "  ", "\n", ", ", ".", "-", "a", "é", "e", "\u{301}", "9", "4", "@", ":", "是", "\"",
        "\\", "\\n", "\\u00e9", "{\"", "\": ", "}", "[", "]", "x ", "🐈", "the", "\u{200b}", "_",
        "+",
    ]);
    let long = (1..1500_usize).prop_map(|len| "ab.c@".repeat(len).split_at(len).0.to_owned());
    let piece = prop_oneof![
        6 => found.prop_map(str::to_owned),
        8 => rest.prop_map(str::to_owned),
        1 => long,
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t str> {
    let mut cuts: Vec<usize> =
        cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([text.len()]);
    let mut start = 0;
    ends.map(|end| &text[std::mem::replace(&mut start, end)..end]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_cut_gives_what_the_whole_gives(
        text in texts(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let chars: Vec<&str> = text.split_inclusive(|_| true).collect();
        for action in [Action::Mask, Action::Stop] {
            for guard in guards(action) {
                let whole = outcome(&**guard, &[&text]);
                prop_assert_eq!(&outcome(&**guard, &cut(&text, &cuts)), &whole);
                prop_assert_eq!(&outcome(&**guard, &chars), &whole);
            }
        }
    }
}

#[test]
fn what_can_be_nothing_goes_out_at_once() {
    let [deny, pii] = guards(Action::Mask);
    let mut watch = pii.watch();
    assert_eq!(watch.push("The house is").text, "The house ");
    assert_eq!(watch.push(" red. ").text, "is red. ");
    assert_eq!(watch.push("4111 1111 ").text, "");
    assert_eq!(watch.push("x ").text, "4111 1111 x ");
    let mut watch = deny.watch();
    assert_eq!(watch.push("The hous").text, "The hous");
    assert_eq!(watch.push("e is bad").text, "e is ");
    assert_eq!(watch.push(" ca").text, "");
    assert_eq!(watch.push("r").text, "bad car");
}

/// Texts made to be worked on as long as possible: a search that looked back would not end.
#[test]
fn hostile_texts_end() {
    let units = [
        "a.",
        "a@a.",
        "sk-",
        "eyJa.",
        "+1 ",
        "4 ",
        "1.",
        "a:",
        "DE89 ",
        "e\u{301}",
        "bad ",
        "\\",
        "{\"",
        "long phrase of many ",
    ];
    for unit in units {
        let text = unit.repeat((256 << 10) / unit.len());
        for guard in guards(Action::Mask) {
            outcome(&**guard, &[&text]);
        }
    }
}
