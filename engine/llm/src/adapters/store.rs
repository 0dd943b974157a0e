//! Adapters in memory, by id: loaded when they are first asked for, and let go when others need
//! the room and nobody uses them.
//!
//! Invariant: what is in memory never takes more than the limit; what someone holds stays. An
//! adapter that is in use is one whose [`Lora`] has other owners than the store.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use engine_core::Adapter;
use engine_weights::LoadError;

use super::{AdapterFiles, Kept, Lora};

/// Why an adapter cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Its files are wrong.
    #[error(transparent)]
    Files(#[from] LoadError),
    /// The system does not give memory for it.
    #[error("there is no memory for the adapter: {0}")]
    Memory(io::Error),
    /// It alone takes more than there is for all.
    #[error("the adapter takes {bytes} bytes of memory, and all together may take {limit}")]
    TooLarge {
        /// Bytes that it takes.
        bytes: usize,
        /// Bytes that all may take.
        limit: usize,
    },
    /// All that are in memory are being used.
    #[error("there is no room for another adapter: those in use take {used} of {limit} bytes")]
    NoRoom {
        /// Bytes of those in use.
        used: usize,
        /// Bytes that all may take.
        limit: usize,
    },
}

/// Adapters of all models, within one limit.
#[derive(Debug)]
pub struct AdapterStore {
    limit: usize,
    kept: Kept,
    memory: Mutex<Memory>,
    /// Held while one is loaded: at most one is read at a time, and none twice.
    loading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<Arc<str>, Entry>,
    /// Bytes of all entries.
    used: usize,
    /// Counts up with every use.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    lora: Arc<Lora>,
    bytes: usize,
    last_used: u64,
}

impl AdapterStore {
    /// For adapters that take at most `limit` bytes together.
    pub fn new(limit: usize, kept: Kept) -> Self {
        Self { limit, kept, memory: Mutex::default(), loading: Mutex::default() }
    }

    /// The adapter of this id, which names its contents and its base's. It stays in memory as long
    /// as what is returned, or a clone of it, lives. Blocks while it is read.
    ///
    /// # Errors
    /// [`AdapterError`]; what `open` says is among it.
    pub fn get(
        &self,
        id: &Arc<str>,
        open: impl FnOnce() -> Result<AdapterFiles, LoadError>,
    ) -> Result<Adapter, AdapterError> {
        if let Some(adapter) = self.memory().find(id) {
            return Ok(adapter);
        }
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(adapter) = self.memory().find(id) {
            return Ok(adapter);
        }
        let files = open()?;
        let bytes = files.num_bytes(self.kept);
        // The room is taken before the numbers are read; nobody else loads meanwhile.
        self.memory().make_room(bytes, self.limit)?;
        let lora = Arc::new(files.load(self.kept).map_err(AdapterError::Memory)?);
        let mut memory = self.memory();
        memory.used += bytes;
        memory.entries.insert(Arc::clone(id), Entry { lora, bytes, last_used: 0 });
        memory.find(id).ok_or(AdapterError::NoRoom { used: memory.used, limit: self.limit })
    }

    /// The adapter of this id, if it is in memory, where it stays as with [`get`](Self::get).
    pub fn find(&self, id: &Arc<str>) -> Option<Adapter> {
        self.memory().find(id)
    }

    /// How many are in memory, and the bytes they take.
    pub fn in_memory(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.entries.len(), memory.used)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn find(&mut self, id: &Arc<str>) -> Option<Adapter> {
        self.clock += 1;
        let entry = self.entries.get_mut(id)?;
        entry.last_used = self.clock;
        let lora: Arc<Lora> = Arc::clone(&entry.lora);
        Some(Adapter::new(Arc::clone(id), lora))
    }

    /// Lets those go that were not used for longest, until there is room for `bytes`.
    fn make_room(&mut self, bytes: usize, limit: usize) -> Result<(), AdapterError> {
        if bytes > limit {
            return Err(AdapterError::TooLarge { bytes, limit });
        }
        while self.used + bytes > limit {
            // Owners come only out of `find`, for which this lock is needed.
            let unused = self.entries.iter().filter(|(_, e)| Arc::strong_count(&e.lora) == 1);
            let oldest = unused.min_by_key(|(_, entry)| entry.last_used);
            let Some(id) = oldest.map(|(id, _)| Arc::clone(id)) else {
                return Err(AdapterError::NoRoom { used: self.used, limit });
            };
            if let Some(entry) = self.entries.remove(&id) {
                self.used -= entry.bytes;
            }
        }
        Ok(())
    }
}
