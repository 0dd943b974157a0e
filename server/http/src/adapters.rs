//! Adapters on top of served models, by names of the form `base:adapter`.
//!
//! Invariant: the set of adapters is asked for anew by every request that names one, so it may
//! change while the server runs; a request holds its adapter from before it is submitted to its
//! end.

use std::sync::Arc;

use engine_core::Adapter;

use crate::{ApiError, AppState, ServedModel};

/// Seconds a client is told to wait while all adapters in memory are in use.
const FULL_RETRY_S: u32 = 2;
/// And where one cannot be used before somebody mends it.
const BROKEN_RETRY_S: u32 = 60;

/// Where adapters come from.
pub trait Adapters: Send + Sync {
    /// The adapter `name` of the model `base`, if there is one. Answers at once: at most one small
    /// file is read.
    ///
    /// # Errors
    /// If there is one, but what is known of it is damaged.
    fn find(&self, base: &str, name: &str) -> Result<Option<AdapterInfo>, AdapterFault>;

    /// All there are, by name. Blocks while it looks.
    fn all(&self) -> Vec<AdapterInfo>;

    /// The adapter, if it is in memory.
    fn in_memory(&self, info: &AdapterInfo) -> Option<Adapter>;

    /// Brings the adapter into memory, where it stays for as long as what is returned is held.
    /// Blocks while it is read.
    ///
    /// # Errors
    /// If there is no room, or its files are not those of an adapter of its base.
    fn load(&self, info: &AdapterInfo) -> Result<Adapter, AdapterFault>;
}

/// What is known of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The public name: `base:adapter`.
    pub id: String,
    /// The id of the model that it is computed on top of.
    pub base: String,
    /// Digest of its contents.
    pub version: Arc<str>,
    /// Digest of the base's weights that it is for.
    pub base_version: Arc<str>,
    /// When it was imported, as Unix time in seconds.
    pub created_unix: u64,
}

/// Why an adapter cannot be used; the texts are shown to whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdapterFault {
    /// There is no memory for it until others are no longer in use.
    #[error("{0}")]
    Full(String),
    /// It, or what is stored of it, is at fault.
    #[error("{0}")]
    Broken(String),
}

impl AdapterFault {
    fn of(self, id: &str) -> ApiError {
        let (code, retry_after_s) = match &self {
            Self::Full(_) => ("adapters_in_use", FULL_RETRY_S),
            Self::Broken(_) => ("adapter_failed", BROKEN_RETRY_S),
        };
        let message = format!("The adapter `{id}` cannot be used: {self}");
        ApiError::unavailable(code, message, retry_after_s)
    }
}

impl AppState {
    /// The adapter that `id` names, if it is of that form and there is one.
    pub(crate) fn adapter(&self, id: &str) -> Result<Option<AdapterInfo>, ApiError> {
        let (Some(adapters), Some((base, name))) = (self.adapters(), id.rsplit_once(':')) else {
            return Ok(None);
        };
        if !self.has_base(base) {
            return Ok(None);
        }
        adapters.find(base, name).map_err(|fault| fault.of(id))
    }

    /// All adapters of models that answer, each as the model that it makes of its base.
    pub(crate) async fn adapted_models(&self) -> Vec<Arc<ServedModel>> {
        let Some(adapters) = self.adapters().cloned() else { return Vec::new() };
        let all = tokio::task::spawn_blocking(move || adapters.all()).await.unwrap_or_default();
        let bases = self.ready_generators();
        let adapted = all.into_iter().filter_map(|info| {
            let base = bases.iter().find(|model| model.id == info.base)?;
            on_top_of(base, info).ok()
        });
        adapted.collect()
    }
}

/// The model that an adapter makes of its base.
pub(crate) fn on_top_of(
    base: &ServedModel,
    info: AdapterInfo,
) -> Result<Arc<ServedModel>, ApiError> {
    if info.base_version != base.version {
        let fault = format!("it is for another version of `{}`; import it again", base.id);
        return Err(AdapterFault::Broken(fault).of(&info.id));
    }
    Ok(Arc::new(ServedModel {
        id: info.id.clone(),
        created_unix: info.created_unix,
        adapter: Some(Arc::new(info)),
        ..base.clone()
    }))
}

/// Brings a model's adapter into memory, if it is one with an adapter.
pub(crate) async fn load(
    state: &AppState,
    model: &ServedModel,
) -> Result<Option<Adapter>, ApiError> {
    let Some(info) = model.adapter.clone() else { return Ok(None) };
    let adapters = state.adapters().cloned().ok_or_else(ApiError::internal)?;
    if let Some(adapter) = adapters.in_memory(&info) {
        return Ok(Some(adapter));
    }
    let permit = state.adapter_jobs().acquire_owned().await.map_err(|_| ApiError::internal())?;
    let id = info.id.clone();
    let job = move || {
        let _permit = permit;
        adapters.load(&info)
    };
    let loaded = tokio::task::spawn_blocking(job).await.map_err(|_| ApiError::internal())?;
    loaded.map(Some).map_err(|fault| fault.of(&id))
}
