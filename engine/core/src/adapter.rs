//! What is computed on top of a model for some sequences.
//!
//! Invariant: two adapters of one id are the same adapter; whoever holds one keeps it in memory.

use std::{
    any::Any,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// An adapter that is in memory; cloning shares it.
#[derive(Clone)]
pub struct Adapter {
    id: Arc<str>,
    weights: Arc<dyn Any + Send + Sync>,
}

impl Adapter {
    /// `id` names the contents, as a digest does; `weights` are what the engine takes.
    pub fn new(id: impl Into<Arc<str>>, weights: Arc<dyn Any + Send + Sync>) -> Self {
        Self { id: id.into(), weights }
    }

    /// Names the contents.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The weights, if they are of the kind that the engine takes.
    pub fn weights<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.weights).downcast().ok()
    }
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Adapter {}

impl Hash for Adapter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adapter").field(&self.id).finish()
    }
}
