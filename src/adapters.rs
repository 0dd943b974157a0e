//! Adapters of the registry, for the models that are served.
//!
//! Invariant: an adapter is read for the very base that runs: what it is held against comes from
//! the files that the base's weights came from.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, bail};
use clap::{Args, builder::FalseyValueParser};
use engine_core::Adapter;
use engine_llm::adapters::{AdapterBase, AdapterError, AdapterStore, Kept};
use model_registry::{Manifest, ModelName, Registry, RegistryError};
use server_http::{AdapterFault, AdapterInfo, Adapters};

use crate::{load::named, size::ByteSize};

const DEFAULT_MEMORY: ByteSize = ByteSize(1 << 30);

/// The model that an adapter says it was trained on.
pub(crate) fn trained_on(files: &BTreeMap<String, PathBuf>) -> Option<String> {
    // It was parsed when it was imported, and found small enough.
    let config = std::fs::read(files.get("adapter_config.json")?).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&config).ok()?;
    config["base_model_name_or_path"].as_str().map(str::to_owned)
}

/// Which adapters there are.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AdapterArgs {
    /// Memory for adapters, of all models together [default: 1GiB]
    #[arg(long, value_name = "SIZE", env = "AGENTBASE_ADAPTER_MEMORY")]
    pub(crate) adapter_memory: Option<ByteSize>,

    /// Serve models without their adapters, and do without the memory that these need
    #[arg(long, env = "AGENTBASE_NO_ADAPTERS", value_parser = FalseyValueParser::new())]
    pub(crate) no_adapters: bool,
}

impl AdapterArgs {
    /// The adapters of `registry`, unless there are to be none.
    pub(crate) fn adapters(&self, registry: Registry) -> Option<Arc<RegistryAdapters>> {
        let ByteSize(limit) = self.adapter_memory.unwrap_or(DEFAULT_MEMORY);
        (!self.no_adapters).then(|| Arc::new(RegistryAdapters::new(registry, limit)))
    }
}

/// All adapters there are, and those in memory.
pub(crate) struct RegistryAdapters {
    registry: Registry,
    store: AdapterStore,
    /// What adapters of each model that runs are held against, by the model's digest.
    bases: Mutex<BTreeMap<String, AdapterBase>>,
}

impl RegistryAdapters {
    /// Those of `registry`, of which at most `limit` bytes are in memory.
    fn new(registry: Registry, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let store = AdapterStore::new(limit, Kept::Bf16);
        Self { registry, store, bases: Mutex::default() }
    }

    /// From now on adapters of this model can be loaded.
    pub(crate) fn add_base(&self, digest: &str, base: AdapterBase) {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        bases.insert(digest.to_owned(), base);
    }

    fn base(&self, digest: &str) -> Option<AdapterBase> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// The files of the version that `info` names.
    fn files(&self, info: &AdapterInfo) -> Result<BTreeMap<String, PathBuf>> {
        let name: ModelName = info.id.parse()?;
        let manifest = self.registry.adapter_blocking(&name)?;
        let Some(manifest) = manifest.filter(|found| *found.digest == *info.version) else {
            bail!("it was removed or replaced meanwhile");
        };
        // On a thread for what blocks, beside the runtime.
        let files = self.registry.files(&manifest);
        Ok(tokio::runtime::Handle::try_current()?.block_on(files)?)
    }
}

/// What is kept in memory under: the same files on top of another base are another adapter.
fn id(info: &AdapterInfo) -> Arc<str> {
    format!("{}+{}", info.base_version, info.version).into()
}

fn info(manifest: Manifest) -> Option<AdapterInfo> {
    let of = manifest.adapter_of?;
    Some(AdapterInfo {
        id: manifest.name.as_str().to_owned(),
        base: of.name.as_str().to_owned(),
        version: manifest.digest.into(),
        base_version: of.digest.into(),
        created_unix: manifest.created_unix,
    })
}

fn broken(error: &anyhow::Error) -> AdapterFault {
    AdapterFault::Broken(format!("{error:#}"))
}

impl Adapters for RegistryAdapters {
    fn find(&self, base: &str, name: &str) -> Result<Option<AdapterInfo>, AdapterFault> {
        let name = base.parse::<ModelName>().and_then(|base| base.with_adapter(name));
        let Ok(name) = name else { return Ok(None) };
        match self.registry.adapter_blocking(&name) {
            Ok(manifest) => Ok(manifest.and_then(info)),
            Err(error @ RegistryError::Damaged { .. }) => Err(broken(&error.into())),
            Err(error) => {
                tracing::error!(adapter = %name, error = format!("{error:#}"), "not found");
                Err(AdapterFault::Broken("its manifest cannot be read".to_owned()))
            }
        }
    }

    fn all(&self) -> Vec<AdapterInfo> {
        match self.registry.adapters_blocking() {
            Ok(manifests) => manifests.into_iter().filter_map(info).collect(),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "adapters cannot be listed");
                Vec::new()
            }
        }
    }

    fn in_memory(&self, info: &AdapterInfo) -> Option<Adapter> {
        self.store.find(&id(info))
    }

    fn load(&self, info: &AdapterInfo) -> Result<Adapter, AdapterFault> {
        let started = std::time::Instant::now();
        let base = self.base(&info.base_version);
        let base = base.ok_or_else(|| AdapterFault::Broken("its base is not served".to_owned()))?;
        let files = self.files(info).map_err(|error| broken(&error))?;
        let loaded = self.store.get(&id(info), || base.open(&files)).map_err(|error| match error {
            AdapterError::NoRoom { .. } => AdapterFault::Full(error.to_string()),
            error => match named::<(), _>(&files, Err(error)) {
                Err(error) => broken(&error),
                Ok(()) => AdapterFault::Broken(String::new()),
            },
        });
        let (num_adapters, bytes) = self.store.in_memory();
        let seconds = started.elapsed().as_secs_f32();
        let is_loaded = loaded.is_ok();
        tracing::info!(adapter = info.id, is_loaded, seconds, num_adapters, bytes, "adapter");
        loaded
    }
}
