//! What holds for any text, any tokens and any way to cut them.

mod common;

use std::sync::{Arc, LazyLock};

use common::{smollm2, spm};
use engine_text::{Detokenizer, StopMatcher, TextModel};
use proptest::prelude::*;

type Shared = LazyLock<Arc<TextModel>>;
static SMOLLM2: Shared =
    LazyLock::new(|| Arc::new(TextModel::from_gguf(smollm2("smollm")).unwrap()));
static SPM: Shared = LazyLock::new(|| Arc::new(TextModel::from_gguf(spm()).unwrap()));
static BYTES: Shared = LazyLock::new(|| Arc::new(TextModel::byte_level()));

fn streamed(model: &Arc<TextModel>, ids: &[u32], skip: bool) -> String {
    let mut detokenizer = Detokenizer::new(model.clone(), skip, &[]);
    let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    text.push_str(&detokenizer.finish());
    text
}

/// Pushes `text` cut at `cuts`; what was emitted, and which stop string ended it.
fn matched(stops: &[String], include: bool, text: &str, cuts: &[usize]) -> (String, Option<usize>) {
    let mut matcher = StopMatcher::new(stops.to_vec(), include);
    let (mut emitted, mut stopped, mut from) = (String::new(), None, 0);
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    ends.retain(|at| cuts.contains(at));
    ends.push(text.len());
    for end in ends {
        let step = matcher.push(&text[from..end]);
        emitted.push_str(&step.emit);
        stopped = step.stopped;
        from = end;
    }
    emitted.push_str(&matcher.finish());
    (emitted, stopped)
}

/// The rule itself, slowly: the match that ends first, of those the longest, of those the first.
fn expected(stops: &[String], text: &str) -> Option<(usize, usize)> {
    (0..=text.len()).filter(|&end| text.is_char_boundary(end)).find_map(|end| {
        let ending = stops
            .iter()
            .enumerate()
            .filter(|(_, stop)| !stop.is_empty() && text[..end].ends_with(stop.as_str()));
        let best = ending.max_by_key(|(which, stop)| (stop.len(), std::cmp::Reverse(*which)));
        best.map(|(which, stop)| (which, end - stop.len()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pieces_joined_equal_the_whole(
        ids in prop::collection::vec(0u32..50_000, 0..60),
        skip: bool,
    ) {
        prop_assert_eq!(streamed(&SMOLLM2, &ids, skip), SMOLLM2.decode(&ids, skip));
    }

    #[test]
    fn byte_fallback_pieces_joined_equal_the_whole(
        ids in prop::collection::vec(0u32..720, 0..40), skip: bool,
    ) {
        prop_assert_eq!(streamed(&SPM, &ids, skip), SPM.decode(&ids, skip));
    }

    #[test]
    fn any_bytes_stream_as_lossy_utf8(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let ids: Vec<u32> = bytes.iter().map(|&byte| u32::from(byte)).collect();
        prop_assert_eq!(streamed(&BYTES, &ids, true), String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_goes_through_tokens_unharmed(
        // What stands for a blank in a vocabulary is a blank to it.
        text in any::<String>().prop_map(|text| text.replace('\u{2581}', "_")),
        cut in 0usize..40,
    ) {
        for model in [&*SMOLLM2, &*SPM, &*BYTES] {
            let ids = model.encode(&text, false).unwrap();
            prop_assert_eq!(model.decode(&ids, false), text.clone());
            // No piece ends within a character, so U+FFFD comes only from the text itself.
            let mut detokenizer = Detokenizer::new(model.clone(), false, &[]);
            let cut = cut.min(ids.len());
            let head: String = ids[..cut].iter().map(|&id| detokenizer.push(id)).collect();
            prop_assert!(text.starts_with(&head));
            // After the prompt's tail the rest follows with no character lost or doubled.
            let mut rest = Detokenizer::new(model.clone(), false, &ids[..cut]);
            let tail: String = ids[cut..].iter().map(|&id| rest.push(id)).collect();
            prop_assert_eq!(head + &tail, text.clone());
        }
    }

    #[test]
    fn stops_hold_wherever_the_text_is_cut(
        text in "[ab é]{0,40}",
        stops in prop::collection::vec("[ab é]{0,5}", 0..4),
        cuts in prop::collection::vec(0usize..60, 0..20),
    ) {
        let expected = expected(&stops, &text);
        let (emitted, stopped) = matched(&stops, false, &text, &cuts);
        prop_assert_eq!(stopped, expected.map(|(which, _)| which));
        prop_assert_eq!(&emitted, &text[..expected.map_or(text.len(), |(_, start)| start)]);
        let (with_stop, _) = matched(&stops, true, &text, &cuts);
        let stop = stopped.map_or("", |which| stops[which].as_str());
        prop_assert_eq!(with_stop, emitted + stop);
    }
}

#[test]
fn a_partial_stop_is_held_back_and_given_out_at_the_end() {
    let mut matcher = StopMatcher::new(vec!["STOP".to_owned()], false);
    assert_eq!(matcher.push("abc ST").emit, "abc ");
    assert_eq!(matcher.push("ART ST").emit, "START ");
    assert_eq!(matcher.finish(), "ST");
    let mut matcher = StopMatcher::new(vec!["\n\n".to_owned(), "END".to_owned()], false);
    assert_eq!(matcher.push("x EN").emit, "x ");
    let step = matcher.push("D y");
    assert_eq!((step.emit.as_str(), step.stopped), ("", Some(1)));
    assert_eq!((matcher.push("more").emit.as_str(), matcher.finish().as_str()), ("", ""));
}

#[test]
fn half_a_character_waits_for_its_other_half() {
    let mut detokenizer = Detokenizer::new(BYTES.clone(), true, &[]);
    let pieces: Vec<String> = "é😀".bytes().map(|byte| detokenizer.push(byte.into())).collect();
    assert_eq!(pieces, ["", "é", "", "", "", "😀"]);
    assert_eq!(detokenizer.push(258), "", "special tokens are skipped");
    assert_eq!(detokenizer.push(0xF0), "");
    assert_eq!(detokenizer.finish(), "\u{FFFD}");
}
