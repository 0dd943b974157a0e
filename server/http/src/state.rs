//! What the handlers share: the models, who may ask, limits and metrics.
//!
//! Invariant: the set of model ids is fixed when the server starts, but for those of adapters; a
//! model is loading, ready or failed, and the server listens throughout.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use scheduler_batching::Shutdown;
use server_guard::Guards;
use server_metering::Meters;
use server_store::Store;
use tokio::sync::Semaphore;

use crate::adapters::{self, Adapters};
use crate::answers::Answers;
use crate::encoding::Moderator;
use crate::images::ImageUrls;
use crate::mounted::Mounted;
use crate::permits::Permits;
use crate::responses::Background;
use crate::served::{Kind, Purpose, Served, ServedEncoder, ServedModel, wrong_kind};
use crate::ticket::{self, Tickets};
use crate::{ApiError, Authenticate, CorsOrigins, HttpLimits, Metrics};

mod builder;
mod health;

pub use self::builder::AppStateBuilder;

/// Seconds a client is told to wait for a model that is still loading.
const LOADING_RETRY_S: u32 = 2;

/// As much of a name from outside as goes into an answer.
fn clip(id: &str) -> &str {
    id.char_indices().nth(128).map_or(id, |(end, _)| &id[..end])
}

/// Where a model is on its way to being served.
enum Slot {
    Loading,
    Failed(String),
    Ready(Served),
}

/// The shared state; cloning shares it.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    models: RwLock<BTreeMap<String, Slot>>,
    auth: Arc<dyn Authenticate>,
    limits: HttpLimits,
    metrics: Arc<Metrics>,
    guards: Arc<Guards>,
    text_jobs: Arc<Semaphore>,
    grammar_jobs: Arc<Permits>,
    audio_jobs: Arc<Permits>,
    store: Option<Store>,
    background: Background,
    tickets: Arc<Tickets>,
    answers: Arc<Answers>,
    cors: CorsOrigins,
    adapters: Option<Arc<dyn Adapters>>,
    adapter_jobs: Arc<Semaphore>,
    moderator: Option<Moderator>,
    image_urls: Option<Arc<ImageUrls>>,
    meters: Option<Meters>,
    mounted: Vec<Mounted>,
}

impl AppState {
    /// A state with no model that lets everybody in.
    #[must_use]
    pub fn builder() -> AppStateBuilder {
        AppStateBuilder::new()
    }

    /// From now on `model` answers.
    pub fn install(&self, model: impl Into<Served>) {
        let model = model.into();
        self.set(model.id().to_owned(), Slot::Ready(model));
    }

    /// The model could not be loaded; `reason` is shown to whoever asks for it.
    pub fn fail(&self, id: impl Into<String>, reason: impl Into<String>) {
        self.set(id.into(), Slot::Failed(reason.into()));
    }

    fn set(&self, id: String, slot: Slot) {
        self.0.models.write().unwrap_or_else(PoisonError::into_inner).insert(id, slot);
    }

    fn slots<R>(&self, read: impl FnOnce(&BTreeMap<String, Slot>) -> R) -> R {
        read(&self.0.models.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is a model of this id, in whatever state, or an adapter of one.
    pub(crate) fn has_model(&self, id: &str) -> bool {
        self.has_base(id) || !matches!(self.adapter(id), Ok(None))
    }

    /// Whether there is a model of this id that is no adapter.
    pub(crate) fn has_base(&self, id: &str) -> bool {
        self.slots(|slots| slots.contains_key(id))
    }

    /// The model that a request names, of whatever kind.
    pub(crate) fn served(&self, id: &str) -> Result<Served, ApiError> {
        if !ticket::allows_model(id) {
            return Err(ApiError::model_not_found(clip(id)));
        }
        if !self.has_base(id)
            && let Some(info) = self.adapter(id)?
        {
            let adapted = adapters::on_top_of(&*self.base(&info.base)?.generator()?, info)?;
            tracing::Span::current().record("model", id);
            return Ok(Served::Generator(adapted));
        }
        self.base(id)
    }

    fn base(&self, id: &str) -> Result<Served, ApiError> {
        self.slots(|slots| match slots.get(id) {
            Some(Slot::Ready(model)) => {
                // Only now: what names no model may be anything.
                tracing::Span::current().record("model", id);
                Ok(model.clone())
            }
            Some(Slot::Loading) => {
                let message = format!("The model `{id}` is still loading.");
                Err(ApiError::unavailable("model_loading", message, LOADING_RETRY_S))
            }
            Some(Slot::Failed(reason)) => {
                let message = format!("The model `{id}` could not be loaded: {reason}");
                Err(ApiError::unavailable("model_failed", message, 60))
            }
            None => Err(ApiError::model_not_found(clip(id))),
        })
    }

    /// The generating model that a request names.
    pub(crate) fn model(&self, id: &str) -> Result<Arc<ServedModel>, ApiError> {
        self.served(id)?.generator()
    }

    /// The same; without a name the only one there is.
    pub(crate) fn model_or_only(&self, id: Option<&str>) -> Result<Arc<ServedModel>, ApiError> {
        self.model(&self.name_or_only(id, &Served::is_generator)?)
    }

    /// The model of whatever kind that a request names; without a name the only one that
    /// generates, or the only one there is.
    pub(crate) fn served_or_only(&self, id: Option<&str>) -> Result<Served, ApiError> {
        let name = self.name_or_only(id, &Served::is_generator);
        self.served(&name.or_else(|_| self.name_or_only(id, &|_| true))?)
    }

    /// The encoder that a request names, if it is of a kind that serves the purpose; without a name
    /// the only one there is.
    pub(crate) fn encoder_or_only(
        &self,
        id: Option<&str>,
        purpose: Purpose,
    ) -> Result<Arc<ServedEncoder>, ApiError> {
        let id = self.name_or_only(id, &|model| purpose.suits(model))?;
        match self.served(&id)? {
            Served::Encoder(encoder) if purpose.kinds().contains(&encoder.kind()) => Ok(encoder),
            other => {
                let asked = purpose.kinds().first().copied().unwrap_or(Kind::Embedder);
                Err(wrong_kind(&id, other.kind(), asked))
            }
        }
    }

    /// The name in a request; if there is none, that of the only model that may be meant.
    fn name_or_only(
        &self,
        id: Option<&str>,
        may_be_meant: &dyn Fn(&Served) -> bool,
    ) -> Result<String, ApiError> {
        if let Some(id) = id {
            return Ok(id.to_owned());
        }
        self.slots(|slots| {
            let may_be = |slot: &Slot| match slot {
                Slot::Ready(model) => may_be_meant(model),
                Slot::Loading | Slot::Failed(_) => true,
            };
            let mut names = slots.iter().filter(|(_, slot)| may_be(slot)).map(|(name, _)| name);
            match (names.next(), names.next()) {
                (Some(name), None) => Ok(name.clone()),
                // Of one that is of another kind it is said what it is.
                (None, _) if slots.len() == 1 => Ok(slots.keys().cloned().collect()),
                _ => Err(ApiError::missing("model")),
            }
        })
    }

    /// Ends all requests with an error that says that the server stops, and takes no more.
    pub fn abort(&self) {
        for model in self.ready_models() {
            model.shutdown(Shutdown::Abort);
        }
    }

    /// All models that answer, by id.
    pub(crate) fn ready_models(&self) -> Vec<Served> {
        let ready = |slot: &Slot| match slot {
            Slot::Ready(model) => Some(model.clone()),
            Slot::Loading | Slot::Failed(_) => None,
        };
        self.slots(|slots| slots.values().filter_map(ready).collect())
    }

    /// Those of them that generate.
    pub(crate) fn ready_generators(&self) -> Vec<Arc<ServedModel>> {
        self.ready_models().into_iter().filter_map(|model| model.generator().ok()).collect()
    }

    pub(crate) fn auth(&self) -> &dyn Authenticate {
        &*self.0.auth
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &HttpLimits {
        &self.0.limits
    }

    /// The metrics in use.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    pub(crate) fn background(&self) -> &Background {
        &self.0.background
    }

    pub(crate) fn cors(&self) -> &CorsOrigins {
        &self.0.cors
    }

    pub(crate) fn moderator(&self) -> Option<&Moderator> {
        self.0.moderator.as_ref()
    }

    pub(crate) fn image_urls(&self) -> Option<&Arc<ImageUrls>> {
        self.0.image_urls.as_ref()
    }

    pub(crate) fn meters(&self) -> Option<&Meters> {
        self.0.meters.as_ref()
    }

    pub(crate) fn mounted(&self) -> &[Mounted] {
        &self.0.mounted
    }

    pub(crate) fn tickets(&self) -> &Arc<Tickets> {
        &self.0.tickets
    }

    pub(crate) fn answers(&self) -> &Arc<Answers> {
        &self.0.answers
    }

    pub(crate) fn guards(&self) -> &Arc<Guards> {
        &self.0.guards
    }

    pub(crate) fn grammar_jobs(&self) -> &Arc<Permits> {
        &self.0.grammar_jobs
    }

    pub(crate) fn audio_jobs(&self) -> &Arc<Permits> {
        &self.0.audio_jobs
    }

    pub(crate) fn adapters(&self) -> Option<&Arc<dyn Adapters>> {
        self.0.adapters.as_ref()
    }

    pub(crate) fn adapter_jobs(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.adapter_jobs)
    }

    pub(crate) fn text_jobs(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.text_jobs)
    }
}
