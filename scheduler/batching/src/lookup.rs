//! Guesses what a sequence says next: what followed the last time it said the same.
//!
//! An index as in LZ77 compressors: a hash of each pair of tokens leads to its latest place, and
//! each place to the one before it with that hash. Invariant: a guess takes at most `MAX_PLACES`
//! looks, a token is indexed once, and memory is bounded by the sequence's length.

use engine_core::TokenId;

/// As many last tokens are compared at most, and at least two must agree.
pub(crate) const MAX_CONTEXT: usize = 4;
/// Earlier places that one guess looks at.
const MAX_PLACES: usize = 32;
const HASH_BITS: u32 = 11;
/// Stands for no place; sequences are shorter.
const NOWHERE: u32 = u32::MAX;

/// What one sequence has said.
#[derive(Default)]
pub(crate) struct Lookup {
    tokens: Vec<TokenId>,
    /// For each token, the place before it of a pair with the hash of the pair that ends here.
    previous: Vec<u32>,
    /// Where a pair with each hash ended last; empty until there is a pair.
    latest: Vec<u32>,
}

impl Lookup {
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Takes in what the sequence said since.
    pub(crate) fn extend(&mut self, tokens: impl Iterator<Item = TokenId>) {
        for token in tokens {
            let place = self.tokens.len() as u32;
            let previous = match self.tokens.last() {
                Some(last) => {
                    self.latest.resize(1 << HASH_BITS, NOWHERE);
                    let latest = &mut self.latest[hash(*last, token)];
                    std::mem::replace(latest, place)
                }
                None => NOWHERE,
            };
            self.tokens.push(token);
            self.previous.push(previous);
        }
    }

    /// The `num` tokens that followed the latest earlier place with the longest equal context,
    /// repeated if that place is nearer than `num`. Empty if no pair like the last was there.
    pub(crate) fn guess(&self, num: usize) -> Vec<TokenId> {
        let Some(place) = self.find() else { return Vec::new() };
        let period = self.tokens.len() - 1 - place;
        (0..num).map(|i| self.tokens[place + 1 + i % period]).collect()
    }

    /// Where the longest context like the last ended; the latest of equals.
    fn find(&self) -> Option<usize> {
        let last = self.tokens.len().checked_sub(1)?;
        let (mut best, mut longest) = (None, 1);
        let mut place = self.previous[last];
        for _ in 0..MAX_PLACES {
            if place == NOWHERE {
                break;
            }
            let context = self.context(place as usize, last);
            if context > longest {
                (best, longest) = (Some(place as usize), context);
            }
            if longest == MAX_CONTEXT {
                break;
            }
            place = self.previous[place as usize];
        }
        best
    }

    /// How many tokens up to `place` are those up to `last`.
    fn context(&self, place: usize, last: usize) -> usize {
        let before = |end: usize| self.tokens[..=end].iter().rev().take(MAX_CONTEXT);
        before(place).zip(before(last)).take_while(|(a, b)| a == b).count()
    }
}

fn hash(first: TokenId, second: TokenId) -> usize {
    let pair = u64::from(first) << 32 | u64::from(second);
    (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(tokens: &[TokenId]) -> Lookup {
        let mut lookup = Lookup::default();
        lookup.extend(tokens.iter().copied());
        lookup
    }

    #[test]
    fn the_longest_context_wins_then_the_latest() {
        // After 1 2 came 3, then 4; after 9 1 2 came 3.
        assert_eq!(lookup(&[9, 1, 2, 3, 7, 1, 2, 4, 8, 1, 2]).guess(1), [4]);
        assert_eq!(lookup(&[9, 1, 2, 3, 7, 1, 2, 4, 9, 1, 2]).guess(2), [3, 7]);
    }

    #[test]
    fn what_was_never_said_is_not_guessed() {
        assert!(lookup(&[]).guess(3).is_empty());
        assert!(lookup(&[1]).guess(3).is_empty());
        assert!(lookup(&[1, 2]).guess(3).is_empty());
        assert!(lookup(&[1, 2, 3, 2]).guess(3).is_empty());
    }

    #[test]
    fn a_place_nearer_than_the_guess_is_long_is_repeated() {
        assert_eq!(lookup(&[5, 5, 5]).guess(4), [5, 5, 5, 5]);
        assert_eq!(lookup(&[1, 2, 3, 1, 2]).guess(5), [3, 1, 2, 3, 1]);
    }

    /// The same without an index.
    fn plain(tokens: &[TokenId], num: usize) -> Vec<TokenId> {
        for n in (2..=MAX_CONTEXT).rev() {
            let Some(context) = tokens.len().checked_sub(n).map(|from| &tokens[from..]) else {
                continue;
            };
            let earlier = tokens[..tokens.len() - 1].windows(n).rposition(|w| w == context);
            if let Some(at) = earlier {
                let following = &tokens[at + n..];
                return following.iter().copied().cycle().take(num).collect();
            }
        }
        Vec::new()
    }

    proptest! {
        #[test]
        fn guesses_are_those_of_a_search_through_everything(
            // As long as no chain is longer than what a guess looks at.
            tokens in prop::collection::vec(0u32..4, 0..MAX_PLACES), num in 0usize..9,
        ) {
            prop_assert_eq!(lookup(&tokens).guess(num), plain(&tokens, num));
        }

        #[test]
        fn taking_in_by_parts_changes_nothing(
            tokens in prop::collection::vec(0u32..50_000, 0..300), at in 0usize..300,
        ) {
            let (before, after) = tokens.split_at(at.min(tokens.len()));
            let mut parts = lookup(before);
            parts.extend(after.iter().copied());
            prop_assert_eq!(parts.guess(8), lookup(&tokens).guess(8));
            prop_assert_eq!(parts.len(), tokens.len());
            prop_assert!(parts.latest.len() <= 1 << HASH_BITS);
        }
    }
}
