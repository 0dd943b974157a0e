//! Models on their way to being served, and their drivers.
//!
//! Invariant: each model answers as soon as it can, whatever becomes of the others.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use engine_grammar::Compiler;
use model_registry::ModelName;
use scheduler_batching::{
    Driver, EncoderDriver, EncoderHandle, EncodingConfig, Handle, NoObserver, PlannerConfig,
    Shutdown, SpeechConfig, SpeechDriver, SpeechHandle, spawn_encoder, spawn_speech, spawn_with,
};
use server_http::{AppState, ServedEncoder, ServedModel, ServedSpeech, Vision};
use tokio::sync::oneshot;

use crate::{
    adapters::RegistryAdapters,
    load::{self, EngineOptions, Loaded, LoadedEncoder, LoadedSpeech, LoadedVision, ToServe},
    progress::Spinner,
};

/// Threads of each model that compute masks for grammars.
const MAX_GRAMMAR_WORKERS: usize = 4;

/// A model's driver and the way to stop it.
enum Running {
    Generator(Handle, Driver),
    Encoder(EncoderHandle, EncoderDriver),
    Speech(SpeechHandle, SpeechDriver),
}

/// All drivers that were started.
#[derive(Clone, Default)]
pub(super) struct Drivers(Arc<Mutex<Vec<Running>>>);

impl Drivers {
    fn all(&self) -> MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, running: Running) {
        self.all().push(running);
    }

    /// Ends all and waits for their threads.
    pub(super) async fn stop(&self) -> Result<()> {
        for running in self.all().iter() {
            match running {
                Running::Generator(handle, _) => handle.shutdown(Shutdown::Abort),
                Running::Encoder(handle, _) => handle.shutdown(Shutdown::Abort),
                Running::Speech(handle, _) => handle.shutdown(Shutdown::Abort),
            }
        }
        let drivers = std::mem::take(&mut *self.all());
        let join = |running| match running {
            Running::Generator(_, driver) => driver.join(),
            Running::Encoder(_, driver) => driver.join(),
            Running::Speech(_, driver) => driver.join(),
        };
        Ok(tokio::task::spawn_blocking(move || drivers.into_iter().for_each(join)).await?)
    }
}

/// What loading a model takes, and where it goes.
pub(super) struct Loading {
    pub(super) options: EngineOptions,
    pub(super) planner: PlannerConfig,
    pub(super) encoding: EncodingConfig,
    /// Bytes of rows of images that are kept for each model that sees.
    pub(super) image_cache: usize,
    pub(super) speech: SpeechConfig,
    pub(super) data_dir: PathBuf,
    pub(super) state: AppState,
    pub(super) adapters: Option<Arc<RegistryAdapters>>,
    pub(super) drivers: Drivers,
}

impl Loading {
    /// Loads one model after another and lets requests in to each as soon as it can answer.
    /// Tells `all_failed` if none can.
    pub(super) async fn run(
        self,
        names: Vec<ModelName>,
        all_failed: oneshot::Sender<anyhow::Error>,
    ) {
        let mut first_error = None;
        let mut num_ready = 0;
        for name in names {
            let started = std::time::Instant::now();
            let spinner = Spinner::new(format!("loading {name}"));
            let loaded = load::to_serve(&self.data_dir, name.as_str(), self.options).await;
            drop(spinner);
            match loaded {
                Ok(loaded) => {
                    match loaded {
                        ToServe::Generator(loaded) => self.start(*loaded),
                        ToServe::Encoder(loaded) => self.start_encoder(*loaded),
                        ToServe::Speech(loaded) => self.start_speech(*loaded),
                    }
                    num_ready += 1;
                    let seconds = started.elapsed().as_secs_f32();
                    tracing::info!(model = %name, seconds, "ready");
                }
                Err(error) => {
                    tracing::error!(model = %name, error = format!("{error:#}"), "not loaded");
                    self.state.fail(name.as_str(), format!("{error:#}"));
                    first_error = first_error.or(Some(error));
                }
            }
        }
        if let (0, Some(error)) = (num_ready, first_error) {
            let _ = all_failed.send(error);
        }
    }

    /// Starts the model's driver and lets requests in.
    fn start(&self, loaded: Loaded) {
        let Loaded { manifest, engine, base, text, vision } = loaded;
        if let Some(adapters) = &self.adapters {
            adapters.add_base(&manifest.digest, base);
        }
        let observer = self.state.metrics().observer(manifest.name.as_str());
        let (handle, driver) = spawn_with(Box::new(engine), self.planner.clone(), observer);
        // Only on cores that the engine leaves: taken from it, they would slow every sequence.
        let num_workers =
            load::cores().saturating_sub(self.options.threads).min(MAX_GRAMMAR_WORKERS);
        self.drivers.add(Running::Generator(handle.clone(), driver));
        self.state.install(ServedModel {
            id: manifest.name.as_str().to_owned(),
            version: manifest.digest.into(),
            created_unix: manifest.created_unix,
            grammars: Arc::new(Compiler::new(Arc::clone(&text), num_workers)),
            text,
            handle,
            adapter: None,
            vision: vision.map(|vision| self.start_vision(vision)),
        });
    }

    /// Starts the driver of what a model sees with.
    fn start_vision(&self, loaded: LoadedVision) -> Arc<Vision> {
        let LoadedVision { reader, encoder } = loaded;
        let config = load::seeing_config(self.encoding);
        // Its images are counted with the requests that they belong to.
        let (handle, driver) = spawn_encoder(encoder, config, Box::new(NoObserver));
        self.drivers.add(Running::Encoder(handle.clone(), driver));
        Arc::new(Vision::new(reader, handle, self.image_cache))
    }

    /// The same of an encoder.
    fn start_encoder(&self, loaded: LoadedEncoder) {
        let LoadedEncoder { manifest, encoder, text, prompts } = loaded;
        let observer = self.state.metrics().observer(manifest.name.as_str());
        let (handle, driver) = spawn_encoder(encoder, self.encoding, observer);
        self.drivers.add(Running::Encoder(handle.clone(), driver));
        self.state.install(ServedEncoder {
            id: manifest.name.as_str().to_owned(),
            version: manifest.digest.into(),
            created_unix: manifest.created_unix,
            text,
            prompts: Arc::new(prompts),
            handle,
        });
    }

    /// The same of a transcriber.
    fn start_speech(&self, loaded: LoadedSpeech) {
        let LoadedSpeech { manifest, transcriber, text } = loaded;
        let observer = self.state.metrics().observer(manifest.name.as_str());
        let (handle, driver) = spawn_speech(transcriber, self.speech, observer);
        self.drivers.add(Running::Speech(handle.clone(), driver));
        self.state.install(ServedSpeech {
            id: manifest.name.as_str().to_owned(),
            version: manifest.digest.into(),
            created_unix: manifest.created_unix,
            text,
            handle,
        });
    }
}
