//! One continuation of a prompt while it is computed.
//!
//! A sequence is owned by exactly one place, and that place is its state: its tenant's queue
//! (waiting) or the planner's map of running ones.
//! Invariant: `table` covers `num_computed` positions; a waiting sequence holds no blocks.

use std::ops::Range;
use std::sync::Arc;

use engine_core::{Constraint, History, Inset, Request, Sample, SeqId, TenantId, TokenId};

use crate::prefix::{BlockHash, PrefixKey};
use crate::speculation::{Said, Speculation, Tried};
use crate::table::Table;

/// What all choices of a request share.
pub(crate) struct Common {
    pub(crate) request: Request,
    /// Where the chain of block hashes begins.
    pub(crate) root: BlockHash,
    /// What must not be sampled before `min_tokens`.
    pub(crate) banned: Arc<[TokenId]>,
}

impl Common {
    pub(crate) fn new(request: Request, key: &PrefixKey) -> Self {
        let stop = &request.stop;
        let banned = stop.eos_token_ids.iter().chain(&stop.stop_token_ids).copied().collect();
        let root = key.root(&request.scope);
        Self { request, root, banned }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.request.scope.tenant
    }
}

/// Choice `index` of a request.
pub(crate) struct Sequence {
    pub(crate) id: SeqId,
    pub(crate) index: u32,
    pub(crate) common: Arc<Common>,
    pub(crate) generated: Vec<TokenId>,
    /// Positions whose keys and values are in the blocks of `table`.
    pub(crate) num_computed: usize,
    pub(crate) table: Table,
    /// Of its columns, how many leading ones are registered in the prefix cache.
    pub(crate) num_registered: usize,
    /// Names of the leading full blocks; grown on demand, kept over preemption.
    pub(crate) hashes: Vec<BlockHash>,
    /// Whether the step that is being executed holds it.
    pub(crate) in_flight: bool,
    /// Whether the last step that held it did not get to know in time what may come next.
    pub(crate) is_late: bool,
    speculation: Speculation,
    /// Where the request's grammar stands after `generated`.
    constraint: Option<Box<dyn Constraint>>,
}

impl Sequence {
    pub(crate) fn new(id: SeqId, index: u32, common: Arc<Common>) -> Self {
        let constraint = common.request.grammar.as_ref().map(|grammar| grammar.start());
        Self {
            id,
            index,
            common,
            generated: Vec::new(),
            num_computed: 0,
            table: Table::default(),
            num_registered: 0,
            hashes: Vec::new(),
            in_flight: false,
            is_late: false,
            speculation: Speculation::default(),
            constraint,
        }
    }

    /// Tokens known: prompt and generated.
    pub(crate) fn len(&self) -> usize {
        self.common.request.prompt.len() + self.generated.len()
    }

    /// Tokens known but not computed; one for a sequence that decodes.
    pub(crate) fn num_remaining(&self) -> usize {
        self.len() - self.num_computed
    }

    fn token(&self, position: usize) -> TokenId {
        let prompt = &self.common.request.prompt;
        match prompt.get(position) {
            Some(token) => *token,
            None => self.generated[position - prompt.len()],
        }
    }

    /// Whether the next step goes on without it: what may come next is still not known.
    pub(crate) fn sits_out(&self) -> bool {
        let constraint = self.constraint.as_deref();
        self.is_late && constraint.is_some_and(|constraint| !constraint.mask().is_ready())
    }

    /// A copy of the known tokens at these positions.
    pub(crate) fn tokens(&self, positions: Range<usize>) -> Vec<TokenId> {
        let prompt = &self.common.request.prompt;
        let from_prompt = positions.start.min(prompt.len())..positions.end.min(prompt.len());
        let mut tokens = Vec::with_capacity(positions.len());
        tokens.extend_from_slice(&prompt[from_prompt]);
        let generated = |position: usize| position.saturating_sub(prompt.len());
        let rest = generated(positions.start)..generated(positions.end);
        tokens.extend_from_slice(&self.generated[rest]);
        tokens
    }

    /// What of these positions has rows in place of embeddings, counted from the first of them.
    pub(crate) fn insets(&self, positions: Range<usize>) -> impl Iterator<Item = Inset> + '_ {
        let insets = self.common.request.insets.iter();
        insets.filter_map(move |inset| inset.within(positions.clone()))
    }

    /// Names all full blocks of known tokens.
    pub(crate) fn extend_hashes(&mut self, key: &PrefixKey, block_size: usize) {
        while (self.hashes.len() + 1) * block_size <= self.len() {
            let start = self.hashes.len() * block_size;
            let previous = self.hashes.last().copied().unwrap_or(self.common.root);
            let tokens = (start..start + block_size).map(|position| self.token(position));
            let hash = key.block(previous, tokens, self.insets(start..start + block_size));
            self.hashes.push(hash);
        }
    }

    /// How to choose the token after the last known one.
    pub(crate) fn sample(&self) -> Sample {
        let request = &self.common.request;
        let history = request.sampling.needs_history().then(|| History {
            tokens: self.tokens(0..self.len()),
            num_prompt_tokens: request.prompt.len() as u32,
        });
        Sample {
            params: Arc::clone(&request.sampling),
            seed: choice_seed(request.sampling.seed, self.index),
            num_generated: self.generated.len() as u32,
            min_tokens: request.stop.min_tokens,
            banned: Arc::clone(&self.common.banned),
            history,
            mask: self.constraint.as_ref().map(|constraint| constraint.mask()),
        }
    }

    /// Takes new tokens in; unless the last of them ends the sequence, others will follow.
    pub(crate) fn extend(&mut self, tokens: impl IntoIterator<Item = TokenId>, ends: bool) {
        let num_known = self.generated.len();
        self.generated.extend(tokens);
        if let Some(constraint) = self.constraint.as_mut().filter(|_| !ends) {
            self.generated[num_known..].iter().for_each(|token| constraint.accept(*token));
        }
    }

    /// At most `most` guesses at the next tokens. A step brings one token more than it has drafts,
    /// so there are fewer than may still come.
    pub(crate) fn guess(&mut self, most: usize) -> Vec<TokenId> {
        let Self { common, generated, speculation, constraint, .. } = self;
        let request = &common.request;
        let to_come = (request.stop.max_tokens as usize).saturating_sub(generated.len());
        // Each draft would need a mask of its own.
        match request.speculation && constraint.is_none() {
            true => {
                let said =
                    Said { prompt: &request.prompt, prediction: &request.prediction, generated };
                speculation.guess(said, most.min(to_come.saturating_sub(1)))
            }
            false => Vec::new(),
        }
    }

    /// Notes how its drafts fared.
    pub(crate) fn learn(&mut self, tried: Tried) {
        let len = self.len();
        self.speculation.learn(tried, len);
    }
}

/// The seed of choice `index`: two rounds of SplitMix64's finalizer
/// (Steele, Lea, Flood 2014), so that near seeds and near indices give unrelated streams.
fn choice_seed(seed: u64, index: u32) -> u64 {
    fn mix(mut x: u64) -> u64 {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    mix(mix(seed) ^ u64::from(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::{CacheScope, RequestId, SamplingParams, StopRules};

    fn sequence(prompt: &[TokenId], generated: &[TokenId]) -> Sequence {
        let request = Request {
            id: RequestId(0),
            scope: CacheScope {
                tenant: TenantId("t".into()),
                model_version: "m".into(),
                adapter: None,
            },
            prompt: prompt.to_vec(),
            insets: Vec::new(),
            sampling: Arc::new(SamplingParams { presence_penalty: 1.0, ..Default::default() }),
            stop: StopRules {
                max_tokens: 9,
                min_tokens: 3,
                eos_token_ids: vec![7],
                stop_token_ids: vec![8],
                ignore_eos: false,
            },
            n: 1,
            prompt_logprobs: None,
            speculation: true,
            grammar: None,
            class: Default::default(),
            prediction: Vec::new(),
        };
        let key = PrefixKey::new([0; 32]);
        let mut seq = Sequence::new(SeqId(0), 0, Arc::new(Common::new(request, &key)));
        seq.generated.extend_from_slice(generated);
        seq
    }

    #[test]
    fn tokens_cross_from_prompt_to_output() {
        let seq = sequence(&[1, 2, 3], &[4, 5]);
        for start in 0..=5 {
            for end in start..=5 {
                assert_eq!(seq.tokens(start..end), &[1, 2, 3, 4, 5][start..end]);
            }
        }
    }

    #[test]
    fn hashes_grow_with_full_blocks_and_do_not_change() {
        let key = PrefixKey::new([0; 32]);
        let mut seq = sequence(&[1, 2, 3], &[]);
        seq.extend_hashes(&key, 2);
        let first = seq.hashes.clone();
        assert_eq!(first.len(), 1);
        seq.generated.extend([4, 5]);
        seq.extend_hashes(&key, 2);
        assert_eq!((seq.hashes.len(), seq.hashes[0]), (2, first[0]));
        let mut whole = sequence(&[1, 2, 3, 4, 5], &[]);
        whole.extend_hashes(&key, 2);
        assert_eq!(whole.hashes, seq.hashes);
    }

    #[test]
    fn ends_are_banned_until_min_tokens() {
        let early = sequence(&[1], &[2, 2]).sample();
        assert_eq!(early.banned_now(), [7, 8]);
        let late = sequence(&[1], &[2, 2, 4]).sample();
        assert!(late.banned_now().is_empty());
        let history = History { tokens: vec![1, 2, 2, 4], num_prompt_tokens: 1 };
        assert_eq!(late.history, Some(history));
        // After a draft it is as if the token were there already.
        let ahead = early.after(&[4]);
        assert!(ahead.banned_now().is_empty());
        assert_eq!((ahead.num_generated, &ahead.history), (late.num_generated, &late.history));
    }

    #[test]
    fn guesses_leave_room_for_the_token_that_follows_them() {
        // At most nine tokens: after seven two may come, of which one may be a draft.
        for (num_generated, expect) in [(3, 2), (7, 1), (8, 0), (9, 0)] {
            let mut seq = sequence(&[5, 5, 5], &vec![5; num_generated]);
            assert_eq!(seq.guess(8).len(), expect, "after {num_generated}");
        }
    }

    #[test]
    fn seeds_differ_by_choice_and_by_request() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..100 {
            for index in 0..100 {
                assert!(seen.insert(choice_seed(seed, index)), "{seed} {index}");
            }
        }
        // Computed elsewhere: a change would give every caller's seed another text.
        assert_eq!(choice_seed(0, 0), 0xa706_dd2f_4d19_7e6f);
        assert_eq!(choice_seed(0xfeed_face_cafe_beef, 3), 0xbd7d_f6b2_53c2_c1bc);
    }
}
