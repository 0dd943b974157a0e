//! Newtype ids, so that one kind of number is never taken for another.

use std::sync::Arc;

use crate::Adapter;

/// Index into a model's vocabulary.
pub type TokenId = u32;

/// One submitted request; unique within one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One sequence of tokens being computed; a request with `n = 3` has three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqId(pub u64);

/// One block of KV cache: `block_size` token positions in every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Who asks: the unit of fairness and of cache isolation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Arc<str>);

/// What a cached prefix belongs to. Two requests share cached blocks only when all three agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheScope {
    /// The tenant; another tenant's cache is never hit.
    pub tenant: TenantId,
    /// The model's name and content digest.
    pub model_version: Arc<str>,
    /// The adapter on top of the model, if any. It goes with the request into every step, so what
    /// is computed and what the cache is keyed with are never two things.
    pub adapter: Option<Adapter>,
}
