//! Names for computed blocks: a keyed hash of everything their contents depend on.
//!
//! A block's keys and values depend on the model, the adapter and all tokens up to its end, and
//! where there are rows in place of embeddings on these, so `h_i = H(h_{i-1} ‖ tokens_i ‖ rows_i)`
//! and `h_0 = H(tenant, model version, adapter)`; the tenant is in
//! it so that nobody can time another tenant's prompts. Each group of layers has a block of that
//! name, told apart by its number.
//! Invariant: equal hashes mean equal scope, tokens, rows and group (256-bit keyed BLAKE3).

use engine_core::{CacheScope, Inset, TokenId};

/// The name of one block's contents, or of a scope before any block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockHash([u8; 32]);

impl BlockHash {
    /// The name of what a group keeps of the same positions. Two of these are equal where hashes
    /// differ in nothing but the bits of a number: as unlikely as that hashes are equal.
    pub(crate) fn of_group(mut self, group: usize) -> Self {
        let number = (group as u64).to_le_bytes();
        self.0.iter_mut().zip(number).for_each(|(byte, number)| *byte ^= number);
        self
    }
}

/// Keeps the hash of a scope apart from the hash of a block.
const SCOPE: &[u8] = b"S";
const BLOCK: &[u8] = b"B";

/// Computes the hashes of one planner.
#[derive(Clone)]
pub(crate) struct PrefixKey([u8; 32]);

impl PrefixKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Where the chain of a scope begins. Every part is preceded by its length (and the adapter
    /// by whether there is one), so no two scopes give the same bytes.
    pub(crate) fn root(&self, scope: &CacheScope) -> BlockHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(SCOPE);
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        part(&scope.tenant.0);
        part(&scope.model_version);
        match &scope.adapter {
            Some(adapter) => {
                part("adapter");
                part(adapter.id());
            }
            None => part("base"),
        }
        BlockHash(*hasher.finalize().as_bytes())
    }

    /// The name of a full block with these tokens after `previous`, some of them with rows in place
    /// of embeddings. Blocks have equally many tokens, so what follows these is never one of them.
    pub(crate) fn block(
        &self,
        previous: BlockHash,
        tokens: impl Iterator<Item = TokenId>,
        insets: impl Iterator<Item = Inset>,
    ) -> BlockHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(BLOCK);
        hasher.update(&previous.0);
        for token in tokens {
            hasher.update(&token.to_le_bytes());
        }
        for inset in insets {
            hasher.update(inset.rows.id());
            for number in [inset.at, inset.len, inset.first_row] {
                hasher.update(&number.to_le_bytes());
            }
        }
        BlockHash(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::{Adapter, InsetRows, TenantId};
    use proptest::prelude::*;
    use std::iter::empty;
    use std::sync::Arc;

    fn scope(tenant: &str, model: &str, adapter: Option<&str>) -> CacheScope {
        CacheScope {
            tenant: TenantId(tenant.into()),
            model_version: model.into(),
            adapter: adapter.map(|id| Adapter::new(id, Arc::new(()))),
        }
    }

    #[test]
    fn every_part_of_the_scope_counts() {
        let key = PrefixKey::new([7; 32]);
        let scopes = [
            scope("a", "m", None),
            scope("b", "m", None),
            scope("a", "n", None),
            scope("a", "m", Some("")),
            scope("a", "m", Some("x")),
            scope("am", "", None),
            scope("", "am", None),
            scope("a", "mbase", None),
            scope("a", "m", Some("base")),
        ];
        for (i, a) in scopes.iter().enumerate() {
            for (j, b) in scopes.iter().enumerate() {
                assert_eq!(key.root(a) == key.root(b), i == j, "{a:?} {b:?}");
            }
        }
        assert_ne!(key.root(&scopes[0]), PrefixKey::new([8; 32]).root(&scopes[0]));
    }

    #[test]
    fn a_block_is_never_taken_for_a_scope_or_another_place() {
        let key = PrefixKey::new([7; 32]);
        let root = key.root(&scope("a", "m", None));
        let first = key.block(root, [1, 2].into_iter(), empty());
        assert_ne!(first, root);
        assert_ne!(first, key.block(first, [1, 2].into_iter(), empty()));
        assert_ne!(first, key.block(root, [2, 1].into_iter(), empty()));
        assert_ne!(first, key.block(root, [1, 2 << 8].into_iter(), empty()));
    }

    #[test]
    fn groups_have_names_of_their_own() {
        let key = PrefixKey::new([7; 32]);
        let root = key.root(&scope("a", "m", None));
        let first = key.block(root, [1, 2].into_iter(), empty());
        let second = key.block(first, [1, 2].into_iter(), empty());
        let names = [first, second].map(|hash| [0, 1, 2, 300].map(|group| hash.of_group(group)));
        let names: std::collections::HashSet<_> = names.as_flattened().iter().copied().collect();
        assert_eq!(names.len(), 8);
        assert_eq!(first.of_group(0), first);
    }

    #[test]
    fn rows_in_place_of_embeddings_count() {
        let key = PrefixKey::new([7; 32]);
        let root = key.root(&scope("a", "m", None));
        let inset = |id: u8, at, len, first_row| {
            let rows = InsetRows::new([id; 32], 1, vec![0.0; 9]);
            vec![Inset { at, len, rows, first_row }]
        };
        let all = [
            vec![],
            inset(1, 0, 2, 0),
            inset(2, 0, 2, 0),
            inset(1, 1, 1, 0),
            inset(1, 0, 1, 0),
            inset(1, 0, 2, 1),
            [inset(1, 0, 1, 0), inset(1, 1, 1, 1)].concat(),
        ];
        let hash =
            |insets: &Vec<Inset>| key.block(root, [3, 3].into_iter(), insets.iter().cloned());
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(hash(a) == hash(b), i == j, "{a:?} {b:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn chains_are_equal_exactly_when_tokens_are(
            a in prop::collection::vec(0u32..3, 4), b in prop::collection::vec(0u32..3, 4),
        ) {
            let key = PrefixKey::new([1; 32]);
            let root = key.root(&scope("t", "m", None));
            let chain = |t: &[u32]| {
                t.chunks(2).fold(root, |h, block| key.block(h, block.iter().copied(), empty()))
            };
            prop_assert_eq!(chain(&a) == chain(&b), a == b);
        }
    }
}
