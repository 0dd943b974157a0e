//! Words with their times, out of a segment's tokens.
//!
//! Invariant: times are within the recording and do not go back within a word.

use engine_core::Segment;
use engine_text::TextModel;
use server_api::TranscriptionWord;

/// Languages that have no spaces between words, as openai-whisper has it.
const WITHOUT_SPACES: [&str; 6] = ["ja", "lo", "my", "th", "yue", "zh"];

/// The words of a segment, of which tokens below `first_mark` are text; none where its tokens have
/// no times.
pub(super) fn of_segment(
    segment: &Segment,
    text: &TextModel,
    (language, first_mark): (&str, u32),
    seconds: f64,
) -> Vec<TranscriptionWord> {
    let timed = segment.tokens.iter().zip(&segment.token_times);
    let (tokens, times): (Vec<u32>, Vec<[f64; 2]>) =
        timed.filter(|(token, _)| **token < first_mark).unzip();
    let words = text.words(&tokens, !WITHOUT_SPACES.contains(&language)).into_iter();
    let word = words.filter_map(|word| {
        let (first, last) = (times.get(word.tokens.start)?, times.get(word.tokens.end - 1)?);
        // A window is longer than what is left of a recording at its end.
        let hundredths = |time: f64| (time.clamp(0.0, seconds) * 100.0).round() / 100.0;
        let text = word.text.trim().to_owned();
        let (start, end) = (hundredths(first[0]), hundredths(last[1]));
        (!text.is_empty()).then_some(TranscriptionWord { word: text, start, end })
    });
    word.collect()
}
