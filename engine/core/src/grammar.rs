//! What a grammar is to schedulers and engines: it follows a sequence, and says what may come next.
//!
//! Invariant: what may come next follows from the tokens so far alone, so a preempted sequence goes
//! on as if nothing had happened.

use std::{fmt::Debug, sync::Arc};

use crate::TokenId;

/// What an answer must match.
pub trait Grammar: Debug + Send + Sync {
    /// Begins to follow a sequence, at its first generated token.
    fn start(&self) -> Box<dyn Constraint>;
}

/// A grammar that follows one sequence. None of its methods waits for anything.
pub trait Constraint: Debug + Send {
    /// This token was generated, and the sequence goes on; what may follow it is asked for soon.
    fn accept(&mut self, token: TokenId);

    /// What may come next.
    fn mask(&self) -> Arc<dyn PendingMask>;
}

/// A mask that may not be computed yet.
pub trait PendingMask: Debug + Send + Sync {
    /// Waits for it a moment, or computes it.
    ///
    /// # Errors
    /// [`NoMask`].
    fn wait(&self) -> Result<Arc<TokenMask>, NoMask>;

    /// Whether it is known now if there will be a mask.
    fn is_ready(&self) -> bool;
}

/// Why there is no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMask {
    /// It takes longer than a step should wait: its sequence sits out until it is ready.
    #[error("what may come next is not known yet")]
    Late,
    /// Nothing may come next.
    #[error(transparent)]
    Failed(#[from] GrammarError),
}

/// A grammar cannot be followed any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrammarError(pub String);

/// A set of tokens; those it does not know of are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenMask(Vec<u32>);

impl TokenMask {
    /// One bit for each token: bit `token % 32` of word `token / 32`.
    pub fn new(words: Vec<u32>) -> Self {
        Self(words)
    }

    /// Whether `token` may come next.
    pub fn allows(&self, token: TokenId) -> bool {
        let word = self.0.get(token as usize / 32);
        word.is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// Makes the logits of all other tokens minus infinity.
    pub fn apply(&self, logits: &mut [f32]) {
        let words = self.0.iter().copied().chain(std::iter::repeat(0));
        for (logits, word) in logits.chunks_mut(32).zip(words) {
            match word {
                0 => logits.fill(f32::NEG_INFINITY),
                u32::MAX => {}
                word => {
                    for (i, logit) in logits.iter_mut().enumerate() {
                        if word >> i & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_leaves_its_tokens_alone_and_nothing_else() {
        let allowed = [0, 31, 32, 70];
        let mut words = vec![0; 3];
        allowed.iter().for_each(|token| words[token / 32] |= 1 << (token % 32));
        words[1] = u32::MAX;
        let mask = TokenMask::new(words);
        let mut logits = vec![1.0; 200];
        mask.apply(&mut logits);
        for (token, logit) in logits.iter().enumerate() {
            let is_allowed = allowed.contains(&token) || (32..64).contains(&token);
            assert_eq!(*logit == 1.0, is_allowed, "{token}");
            assert_eq!(mask.allows(token as u32), is_allowed, "{token}");
        }
    }
}
