//! Filling what a small step leaves with drafts.
//!
//! Invariant: drafts come last and take only what nothing else of the step wants: nobody is
//! preempted or waits for them, and blocks taken for wrong ones are given back at the commit.

use engine_core::{SeqId, TokenId};

use super::Planner;
use super::schedule::Outline;

impl Planner {
    /// Gives each sequence that decodes an equal share of the tokens up to `draft_fill`.
    pub(super) fn add_drafts(&mut self, outline: &mut Outline) {
        let fill = self.config.draft_fill.min(self.limits.max_step_tokens) as usize;
        let mut left = fill.saturating_sub(outline.num_tokens());
        // Who was just preempted needs the blocks more.
        if outline.preempted || left == 0 {
            return;
        }
        let mut num_left = outline.items.len();
        for item in &mut outline.items {
            item.drafts = self.drafts(item.seq, left.div_ceil(num_left));
            left -= item.drafts.len();
            num_left -= 1;
        }
    }

    /// Drafts of one sequence, and room for them.
    fn drafts(&mut self, id: SeqId, most: usize) -> Vec<TokenId> {
        let decoding = self.running.get_mut(&id).filter(|seq| seq.num_remaining() == 1);
        let drafts = decoding.map(|seq| seq.guess(most)).unwrap_or_default();
        match drafts.is_empty() || self.grow(id, 1 + drafts.len()) {
            true => drafts,
            false => Vec::new(),
        }
    }
}
