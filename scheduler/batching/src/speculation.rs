//! Whether and how far to guess ahead of one sequence.
//!
//! A draft costs a row of a step, and saves the sequence's share of a whole step if it is right.
//! Invariant: what drafts have cost beyond what they saved stays below a bound, and each time it is
//! reached the sequence goes without for twice as long; so where guessing loses, it ends by itself.

use engine_core::TokenId;

use crate::lookup::{Lookup, MAX_CONTEXT};

/// Drafts of one sequence in one step.
const MAX_DRAFTS: usize = 8;
const FIRST_DRAFTS: usize = 2;
/// What a step costs beside its rows, in rows: the weights are read once. This is what a small
/// model takes; of a large one it is more, and guessing pays sooner.
const STEP_ROWS: f32 = 2.0;
/// Rows that may be lost before a sequence goes without, ...
const MAX_LOSS: f32 = 4.0;
/// ... and how many of those count as lost when it begins again.
const LOST_BEFORE: f32 = 3.0;
/// Savings count for no more than this: what was right long ago says little.
const MAX_SAVED: f32 = 8.0;
/// Tokens that a sequence goes without at first, and at most.
const PAUSE: std::ops::RangeInclusive<usize> = 16..=256;

/// The guesses of one sequence, and how they fared.
pub(crate) struct Speculation {
    lookup: Lookup,
    num_drafts: usize,
    /// Rows that right drafts saved, less what all cost.
    balance: f32,
    /// No guess before the sequence is so long.
    resumes_at: usize,
    pause: usize,
}

/// What guesses are taken from.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) prompt: &'a [TokenId],
    /// What the caller expects of the answer.
    pub(crate) prediction: &'a [TokenId],
    pub(crate) generated: &'a [TokenId],
}

/// How the drafts of one sequence fared in one step.
#[derive(Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) num_drafts: usize,
    pub(crate) num_right: usize,
    /// Sequences in the step.
    pub(crate) num_seqs: usize,
}

impl Default for Speculation {
    fn default() -> Self {
        Self {
            lookup: Lookup::default(),
            num_drafts: FIRST_DRAFTS,
            balance: 0.0,
            resumes_at: 0,
            pause: *PAUSE.start(),
        }
    }
}

impl Speculation {
    /// At most `most` guesses at what comes next; what was said only grows.
    pub(crate) fn guess(&mut self, said: Said<'_>, most: usize) -> Vec<TokenId> {
        let Said { prompt, prediction, generated } = said;
        if most == 0 || prompt.len() + generated.len() < self.resumes_at {
            return Vec::new();
        }
        // As if the prompt had been answered so before.
        let again = if prediction.is_empty() { 0 } else { prompt.len().min(MAX_CONTEXT) };
        let again = &prompt[prompt.len() - again..];
        let known = prompt.iter().chain(prediction).chain(again).chain(generated).copied();
        let num_new = self.lookup.len();
        self.lookup.extend(known.skip(num_new));
        self.lookup.guess(most.min(self.num_drafts))
    }

    /// What became of drafts in a step; the sequence has `len` tokens now.
    pub(crate) fn learn(&mut self, tried: Tried, len: usize) {
        let Tried { num_drafts, num_right, num_seqs } = tried;
        if num_drafts == 0 {
            return;
        }
        self.num_drafts = match num_right == num_drafts {
            true => (2 * num_drafts).clamp(self.num_drafts, MAX_DRAFTS),
            false => num_right + 1,
        };
        let share = (STEP_ROWS + num_seqs as f32) / num_seqs.max(1) as f32;
        self.balance += share * num_right as f32 - num_drafts as f32;
        self.balance = self.balance.min(MAX_SAVED);
        if self.balance > 0.0 {
            self.pause = *PAUSE.start();
        } else if self.balance < -MAX_LOSS {
            self.balance = -LOST_BEFORE;
            self.resumes_at = len + self.pause;
            self.pause = (2 * self.pause).min(*PAUSE.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: [TokenId; 20] = [7; 20];

    fn said<'a>(prompt: &'a [TokenId], generated: &'a [TokenId]) -> Said<'a> {
        Said { prompt, prediction: &[], generated }
    }

    fn learn(speculation: &mut Speculation, num_drafts: usize, num_right: usize, len: usize) {
        speculation.learn(Tried { num_drafts, num_right, num_seqs: 1 }, len);
    }

    fn num_guessed(speculation: &mut Speculation, len: usize) -> usize {
        speculation.guess(said(&vec![7; len], &[]), 100).len()
    }

    #[test]
    fn right_guesses_grow_and_wrong_ones_shrink_to_what_was_right() {
        let mut speculation = Speculation::default();
        for expect in [FIRST_DRAFTS, 4, 8, 8] {
            let got = num_guessed(&mut speculation, 20);
            assert_eq!(got, expect);
            learn(&mut speculation, got, got, 20);
        }
        learn(&mut speculation, 8, 3, 20);
        assert_eq!(num_guessed(&mut speculation, 20), 4);
        // Right as far as the step had room.
        learn(&mut speculation, 1, 1, 20);
        assert_eq!(num_guessed(&mut speculation, 20), 4);
        learn(&mut speculation, 4, 0, 20);
        assert_eq!(num_guessed(&mut speculation, 20), 1);
    }

    #[test]
    fn a_sequence_that_loses_goes_without_for_longer_each_time() {
        let mut speculation = Speculation::default();
        let mut tried_at = Vec::new();
        for len in 20..2000 {
            let got = num_guessed(&mut speculation, len);
            learn(&mut speculation, got, 0, len);
            tried_at.extend((got > 0).then_some(len));
        }
        let pauses: Vec<_> =
            tried_at.windows(2).map(|w| w[1] - w[0]).filter(|gap| *gap > 1).collect();
        assert_eq!(pauses[..6], [16, 32, 64, 128, 256, 256]);
        assert!(tried_at.len() < 40, "{} of 1980 steps lost", tried_at.len());
    }

    #[test]
    fn one_success_is_enough_to_go_on() {
        let mut speculation = Speculation::default();
        let mut len = 20;
        for _ in 0..3 {
            let got = num_guessed(&mut speculation, len);
            learn(&mut speculation, got, 0, len);
            len = len.max(speculation.resumes_at);
        }
        let got = num_guessed(&mut speculation, len);
        learn(&mut speculation, got, got, len);
        for len in len..len + 3 {
            assert!(num_guessed(&mut speculation, len) > 0);
        }
    }

    #[test]
    fn the_more_run_together_the_more_must_be_right() {
        let goes_on = |num_seqs, num_right| {
            let mut speculation = Speculation::default();
            let tried = Tried { num_drafts: 4, num_right, num_seqs };
            (0..20).for_each(|_| speculation.learn(tried, 20));
            speculation.resumes_at == 0
        };
        // A right one of those that run alone saves three rows, one of four and a half.
        assert_eq!(
            [0, 1, 2, 3, 4].map(|right| goes_on(1, right)),
            [false, false, true, true, true]
        );
        assert_eq!(
            [0, 1, 2, 3, 4].map(|right| goes_on(4, right)),
            [false, false, false, true, true]
        );
    }

    #[test]
    fn there_are_no_more_guesses_than_asked_for() {
        let mut speculation = Speculation::default();
        assert_eq!(speculation.guess(said(&AGAIN, &[7]), 1), [7]);
        assert!(speculation.guess(said(&AGAIN, &[7, 7]), 0).is_empty());
        // What is new of the output is taken in.
        assert_eq!(speculation.guess(said(&AGAIN, &[7, 7, 1, 2, 3, 1, 2]), 1), [3]);
    }

    #[test]
    fn what_is_predicted_is_guessed_from_the_first_token_on() {
        // The last turn began otherwise, after the same words.
        let (prompt, prediction) = ([1, 2, 3, 4, 50, 51, 1, 2, 3, 4], [60, 61, 62, 63, 64]);
        let mut speculation = Speculation::default();
        let said = |generated| Said { prompt: &prompt, prediction: &prediction, generated };
        assert_eq!(speculation.guess(said(&[]), 2), [60, 61]);
        assert_eq!(speculation.guess(said(&[60, 61]), 2), [62, 63]);
        // Once it says something else, two tokens as predicted lead back.
        assert!(speculation.guess(said(&[60, 61, 9]), 2).is_empty());
        assert_eq!(speculation.guess(said(&[60, 61, 9, 62, 63]), 1), [64]);
    }
}
