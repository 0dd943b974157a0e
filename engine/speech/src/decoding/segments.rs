//! From a window's tokens to segments with times, and to where the next window begins.
//!
//! transformers' `_retrieve_segment`: each pair of times ends a segment; what is not ended by one
//! is left to the next window, unless there is no pair at all.
//! Invariant: the next window begins later than this one.

use std::ops::Range;

use engine_core::{Segment, TokenId};

use super::Decoded;
use crate::{mel::FRAMES_PER_SECOND, spec::FRAMES_PER_POSITION, vocabulary::Vocabulary};

/// Seconds between two times of the vocabulary.
const TIME_STEP: f64 = FRAMES_PER_POSITION as f64 / FRAMES_PER_SECOND as f64;

/// What a window is cut into.
pub(crate) struct Cut {
    pub(crate) segments: Vec<Segment>,
    /// Frames from this window's beginning to the next one's.
    pub(crate) advance: usize,
}

/// Cuts a window that begins at frame `seek` and has `num_frames` frames of the recording.
pub(crate) fn cut(
    vocabulary: &Vocabulary,
    decoded: &Decoded,
    (seek, num_frames): (usize, usize),
) -> Cut {
    let tokens = &decoded.tokens;
    let offset = seek as f64 / FRAMES_PER_SECOND as f64;
    let is_time = |token: &TokenId| vocabulary.is_time(*token);
    let steps = |token: TokenId| token.saturating_sub(vocabulary.first_time) as usize;
    let second = |position: usize| offset + position as f64 * TIME_STEP;
    // A token begins where the one before it ends.
    let end_of = |at: usize| decoded.ends.get(at).copied();
    let begin_of = |at: usize| at.checked_sub(1).and_then(end_of).unwrap_or(0);
    let times = |at: usize| end_of(at).map(|end| [second(begin_of(at)), second(end)]);
    let segment = |(start, end): (usize, usize), of: Range<usize>| Segment {
        seek,
        start: second(start),
        end: second(end),
        token_times: of.clone().filter_map(times).collect(),
        tokens: tokens[of].to_vec(),
        temperature: decoded.temperature,
        avg_logprob: decoded.avg_logprob,
        compression_ratio: decoded.compression_ratio,
        no_speech_prob: decoded.no_speech_prob,
    };
    // Where the second time of a pair stands.
    let mut ends: Vec<usize> =
        (1..tokens.len()).filter(|at| is_time(&tokens[*at - 1]) && is_time(&tokens[*at])).collect();
    let ends_alone =
        matches!(tokens.as_slice(), [.., before, last] if !is_time(before) && is_time(last));
    if ends.is_empty() {
        let last = tokens.iter().rfind(|token| is_time(token)).copied().map_or(0, steps);
        let all = num_frames / FRAMES_PER_POSITION;
        let end = if last > 0 { last } else { all };
        let segments = vec![segment((0, end), 0..tokens.len())];
        return Cut { segments, advance: num_frames };
    }
    if ends_alone {
        ends.push(tokens.len());
    }
    let mut segments = Vec::with_capacity(ends.len());
    let mut first = 0;
    for end in ends {
        let part = &tokens[first..end];
        let time = |token: Option<&TokenId>| token.copied().map_or(0, steps);
        segments.push(segment((time(part.first()), time(part.last())), first..end));
        first = end;
    }
    // Nothing is said after a time that stands alone at the end.
    let last = first.checked_sub(1).map_or(0, |at| steps(tokens[at]));
    let advance = if ends_alone { num_frames } else { last * FRAMES_PER_POSITION };
    // A pair at 0, which the rules do not allow, would hold it up for ever.
    Cut { segments, advance: if advance == 0 { num_frames } else { advance } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: TokenId = 100;

    fn vocabulary() -> Vocabulary {
        Vocabulary {
            start: 51,
            end: 50,
            previous: 97,
            no_speech: 98,
            no_times: 99,
            first_time: FIRST,
            transcribe: 60,
            translate: 61,
            languages: Default::default(),
            suppress: Vec::new(),
            begin_suppress: Vec::new(),
            max_first_time: None,
        }
    }

    fn cut_up(tokens: &[TokenId], frames: (usize, usize)) -> (Vec<(f64, f64, usize)>, usize) {
        let vocabulary = vocabulary();
        let decoded = Decoded { tokens: tokens.to_vec(), ..Decoded::default() };
        let Cut { segments, advance } = cut(&vocabulary, &decoded, frames);
        let round = |x: f64| (x * 100.0).round() / 100.0;
        let of = |s: &Segment| (round(s.start), round(s.end), s.tokens.len());
        (segments.iter().map(of).collect(), advance)
    }

    #[test]
    fn pairs_end_segments_and_the_rest_waits_for_the_next_window() {
        let (a, b) = (FIRST + 50, FIRST + 150);
        let (segments, advance) = cut_up(&[FIRST, 1, 2, a, a, 3, b, b, 4, 5], (200, 3000));
        assert_eq!(segments, [(2.0, 3.0, 4), (3.0, 5.0, 3)]);
        assert_eq!(advance, 300);
    }

    #[test]
    fn a_token_is_said_from_the_end_of_the_one_before_it() {
        let vocabulary = vocabulary();
        let (a, b) = (FIRST + 50, FIRST + 100);
        let tokens = vec![FIRST, 1, 2, a, a, 3, b, b, 4];
        let ends = vec![5, 20, 20, 50, 52, 70, 99, 100, 110];
        let decoded = Decoded { tokens, ends, ..Decoded::default() };
        let Cut { segments, .. } = cut(&vocabulary, &decoded, (100, 3000));
        let times: Vec<_> = segments.iter().map(|segment| segment.token_times.clone()).collect();
        let round = |x: f64| (x * 100.0).round() / 100.0;
        let times: Vec<Vec<_>> =
            times.iter().map(|times| times.iter().map(|pair| pair.map(round)).collect()).collect();
        let first = vec![[1.0, 1.1], [1.1, 1.4], [1.4, 1.4], [1.4, 2.0]];
        assert_eq!(times, [first, vec![[2.0, 2.04], [2.04, 2.4], [2.4, 2.98]]]);
    }

    #[test]
    fn a_time_alone_at_the_end_ends_the_window() {
        let (a, b) = (FIRST + 50, FIRST + 150);
        let (segments, advance) = cut_up(&[FIRST, 1, a, a, 3, b], (0, 1234));
        assert_eq!(segments, [(0.0, 1.0, 3), (1.0, 3.0, 3)]);
        assert_eq!(advance, 1234);
    }

    #[test]
    fn without_pairs_all_is_one_segment() {
        assert_eq!(cut_up(&[FIRST, 1, FIRST + 75], (0, 400)), (vec![(0.0, 1.5, 3)], 400));
        assert_eq!(cut_up(&[FIRST, 1], (100, 400)), (vec![(1.0, 5.0, 2)], 400));
        assert_eq!(cut_up(&[], (0, 7)), (vec![(0.0, 0.06, 0)], 7));
        assert_eq!(cut_up(&[FIRST, FIRST], (0, 40)).1, 40);
    }
}
