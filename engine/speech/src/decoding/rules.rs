//! Which tokens may come next: nothing that is suppressed, and times by their rules.
//!
//! transformers' `WhisperTimeStampLogitsProcessor` and openai-whisper's `ApplyTimestampRules`: a
//! window begins with a time; times come in pairs but for the last; they do not go back; and where
//! some time is likelier than any other token, a time comes.
//! Invariant: what may not come is negative infinity.

use engine_core::TokenId;

use super::choice::{log_sum_exp, max};
use crate::vocabulary::Vocabulary;

const NEVER: f32 = f32::NEG_INFINITY;

/// Leaves in `logits` only what may come after `said`, of a window.
pub(super) fn apply(vocabulary: &Vocabulary, said: &[TokenId], logits: &mut [f32]) {
    for token in &vocabulary.suppress {
        logits[*token as usize] = NEVER;
    }
    if said.is_empty() {
        for token in &vocabulary.begin_suppress {
            logits[*token as usize] = NEVER;
        }
    }
    times(vocabulary, said, logits);
}

fn times(vocabulary: &Vocabulary, said: &[TokenId], logits: &mut [f32]) {
    let first_time = vocabulary.first_time as usize;
    logits[vocabulary.no_times as usize] = NEVER;
    let is_time = |back: usize| {
        let token = said.len().checked_sub(back).map(|at| said[at]);
        token.map(|token| vocabulary.is_time(token))
    };
    let last_was = is_time(1) == Some(true);
    // A first time stands alone.
    let one_before_was = is_time(2) != Some(false);
    if last_was && one_before_was {
        logits[first_time..].fill(NEVER);
    } else if last_was {
        logits[..vocabulary.end as usize].fill(NEVER);
    }
    if let Some(last) = said.iter().rfind(|token| vocabulary.is_time(**token)) {
        // The second of a pair may be the first again, and no other time may.
        let from = *last as usize + usize::from(!last_was || one_before_was);
        let from = from.min(logits.len());
        logits[first_time..from].fill(NEVER);
    }
    if said.is_empty() {
        logits[..first_time].fill(NEVER);
        if let Some(most) = vocabulary.max_first_time {
            let end = (first_time + most as usize + 1).min(logits.len());
            logits[end..].fill(NEVER);
        }
    }
    let (text, times) = logits.split_at_mut(first_time);
    if log_sum_exp(times) > max(text) {
        text.fill(NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 0 to 9, the end 10, marks 11 to 17, no times 18, times from 19 to 29.
    fn vocabulary() -> Vocabulary {
        Vocabulary {
            start: 11,
            end: 10,
            previous: 16,
            no_speech: 17,
            no_times: 18,
            first_time: 19,
            transcribe: 14,
            translate: 13,
            languages: [("en".to_owned(), 12)].into(),
            suppress: vec![3, 11],
            begin_suppress: vec![4, 10],
            max_first_time: Some(2),
        }
    }

    /// Which may come, where text is likelier than times.
    fn may_come(said: &[TokenId]) -> Vec<usize> {
        let mut logits: Vec<f32> = (0..30).map(|i| if i < 19 { 9.0 } else { 0.0 }).collect();
        apply(&vocabulary(), said, &mut logits);
        (0..30).filter(|i| logits[*i] != NEVER).collect()
    }

    #[test]
    fn a_window_begins_with_a_time_that_is_not_late() {
        assert_eq!(may_come(&[]), [19, 20, 21]);
    }

    #[test]
    fn times_come_in_pairs_and_do_not_go_back() {
        let text: Vec<usize> = (0..18).filter(|i| ![3, 11].contains(i)).collect();
        // After the first, text; and an end.
        assert_eq!(may_come(&[19]), text);
        // After text, text, or a later time.
        assert_eq!(may_come(&[20, 1]), [text.clone(), (21..30).collect()].concat());
        // After one that ends a text, marks, or the same again, or a later one.
        let marks: Vec<usize> = (10..18).filter(|i| *i != 11).collect();
        assert_eq!(may_come(&[20, 1, 24]), [marks, (24..30).collect()].concat());
        // After a pair, text.
        assert_eq!(may_come(&[20, 1, 24, 24]), text);
        assert_eq!(may_come(&[20, 1, 24, 24, 2]), [text, (25..30).collect()].concat());
    }

    #[test]
    fn where_times_together_are_likelier_one_comes() {
        let mut logits = vec![0.0; 30];
        logits[5] = 2.0;
        apply(&vocabulary(), &[19, 1], &mut logits);
        // Ten times of 1 each are more than e².
        assert!(logits[..19].iter().all(|x| *x == NEVER));
        assert!(logits[20..].iter().all(|x| *x == 0.0));
    }
}
