//! Gathers an [`AppState`]: what is not said is left out, or at its default.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use axum::Router;
use server_guard::Guards;
use server_metering::Meters;
use server_store::Store;
use tokio::sync::Semaphore;
use utoipa::openapi::OpenApi;

use super::{AppState, Inner, Slot};
use crate::adapters::Adapters;
use crate::answers::Answers;
use crate::encoding::Moderator;
use crate::images::ImageUrls;
use crate::mounted::Mounted;
use crate::permits::Permits;
use crate::responses::Background;
use crate::served::Served;
use crate::{Authenticate, CorsOrigins, HttpLimits, Metrics, NoAuth};

/// Gathers an [`AppState`].
pub struct AppStateBuilder {
    models: BTreeMap<String, Slot>,
    auth: Arc<dyn Authenticate>,
    limits: HttpLimits,
    metrics: Arc<Metrics>,
    store: Option<Store>,
    cors: CorsOrigins,
    guards: Guards,
    adapters: Option<Arc<dyn Adapters>>,
    moderator: Option<Moderator>,
    image_urls: Option<Arc<ImageUrls>>,
    meters: Option<Meters>,
    mounted: Vec<Mounted>,
}

/// Adapters that are brought into memory at once; those who provide them read one at a time.
const MAX_ADAPTER_JOBS: usize = 4;

impl AppStateBuilder {
    /// No model, and everybody is let in.
    pub(super) fn new() -> Self {
        Self {
            models: BTreeMap::new(),
            auth: Arc::new(NoAuth),
            limits: HttpLimits::default(),
            metrics: Arc::new(Metrics::new()),
            store: None,
            cors: CorsOrigins::default(),
            guards: Guards::default(),
            adapters: None,
            moderator: None,
            image_urls: None,
            meters: None,
            mounted: Vec::new(),
        }
    }

    /// A model that will be [installed](AppState::install) later.
    #[must_use]
    pub fn loading(mut self, id: impl Into<String>) -> Self {
        self.models.insert(id.into(), Slot::Loading);
        self
    }

    /// A model that is loaded.
    #[must_use]
    pub fn model(mut self, model: impl Into<Served>) -> Self {
        let model = model.into();
        self.models.insert(model.id().to_owned(), Slot::Ready(model));
        self
    }

    /// Who may ask; everybody if not called.
    #[must_use]
    pub fn auth(mut self, auth: Arc<dyn Authenticate>) -> Self {
        self.auth = auth;
        self
    }

    /// Limits other than the default.
    #[must_use]
    pub fn limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The metrics whose observers the models' drivers report to.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where what clients ask to be kept is kept; nowhere if not called.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Web pages that may use the server; none if not called.
    #[must_use]
    pub fn cors(mut self, origins: CorsOrigins) -> Self {
        self.cors = origins;
        self
    }

    /// What checks texts; nothing if not called.
    #[must_use]
    pub fn guards(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// Where adapters on top of the models come from; there are none if not called.
    #[must_use]
    pub fn adapters(mut self, adapters: Arc<dyn Adapters>) -> Self {
        self.adapters = Some(adapters);
        self
    }

    /// What answers at `/v1/moderations`; nothing if not called.
    #[must_use]
    pub fn moderator(mut self, moderator: Moderator) -> Self {
        self.moderator = Some(moderator);
        self
    }

    /// What fetches images that clients send as addresses; none are fetched if not called.
    #[must_use]
    pub fn image_urls(mut self, urls: Arc<ImageUrls>) -> Self {
        self.image_urls = Some(urls);
        self
    }

    /// What lets requests in and counts what they use; nothing does if not called.
    #[must_use]
    pub fn meters(mut self, meters: Meters) -> Self {
        self.meters = Some(meters);
        self
    }

    /// Routes of another crate, and what describes them. They check for themselves who asks, and
    /// none may have the path of another.
    #[must_use]
    pub fn mount(mut self, routes: Router, document: OpenApi) -> Self {
        self.mounted.push(Mounted::new(routes, document));
        self
    }

    /// The state.
    #[must_use]
    pub fn build(self) -> AppState {
        let text_jobs = Arc::new(Semaphore::new(self.limits.max_text_jobs.max(1)));
        let HttpLimits { max_grammar_jobs, max_waiting_grammars, .. } = self.limits;
        let grammar_jobs = Permits::new(max_grammar_jobs, max_waiting_grammars);
        let HttpLimits { max_audio_jobs, max_waiting_audio, .. } = self.limits;
        let audio_jobs = Permits::new(max_audio_jobs, max_waiting_audio);
        let background = Background::new(&self.limits);
        let Self { models, auth, limits, metrics, guards, store, cors, adapters, .. } = self;
        let (moderator, image_urls, meters) = (self.moderator, self.image_urls, self.meters);
        let mounted = self.mounted;
        let adapter_jobs = Arc::new(Semaphore::new(MAX_ADAPTER_JOBS));
        let (models, guards) = (RwLock::new(models), Arc::new(guards));
        let (tickets, answers) = (Arc::default(), Answers::new(&limits));
        AppState(Arc::new(Inner {
            models,
            auth,
            limits,
            metrics,
            guards,
            text_jobs,
            grammar_jobs,
            audio_jobs,
            store,
            background,
            tickets,
            answers,
            cors,
            adapters,
            adapter_jobs,
            moderator,
            image_urls,
            meters,
            mounted,
        }))
    }
}
