//! `agentbase serve`: keys, models, HTTP, and an orderly end.
#![allow(clippy::print_stdout, reason = "scripts wait for the address on standard output")]

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use engine_core::TenantId;
use model_registry::ModelName;
use scheduler_batching::{Driver, Handle, PlannerConfig, Shutdown, spawn_with};
use server_http::{
    AppState, AuthError, Authenticate, Caller, HttpLimits, Metrics, NoAuth, ServedModel,
};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    cli::ServeArgs,
    config, data_dir,
    keys::Keys,
    load::{self, EngineOptions, Loaded},
    progress::Spinner,
};

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_MAX_WAITING: usize = 1024;
/// The tenant of the first key.
const DEFAULT_TENANT: &str = "default";

/// A model's driver and the way to stop it.
struct Running {
    handle: Handle,
    driver: Driver,
}

/// Serves until a signal asks for the end, then lets running streams finish.
///
/// # Errors
/// If the address, a key file or every model fails.
pub(super) async fn run(args: ServeArgs, data_dir: &Path) -> Result<()> {
    let args = config::complete(args, data_dir)?;
    let listen = args.listen.unwrap_or(DEFAULT_LISTEN);
    let auth = authentication(&args, listen, data_dir)?;
    let names = model_names(&args, data_dir).await?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another with --listen"))?;
    let address = listener.local_addr()?;
    let metrics = Arc::new(Metrics::new());
    let limits = HttpLimits::default();
    let mut state = AppState::builder().auth(auth).limits(limits).metrics(Arc::clone(&metrics));
    for name in &names {
        state = state.loading(name.as_str());
    }
    let state = state.build();
    println!("listening on http://{address}");

    let (running, mut loaded) = mpsc::unbounded_channel();
    let loading = load_all(names, args, data_dir.to_owned(), state.clone(), running);
    let loading = tokio::spawn(loading);
    let (failed, all_failed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        // The server goes on as long as one model answers.
        if let Ok(Err(error)) = loading.await {
            let _ = failed.send(error);
        }
    });
    let (error_out, mut error_in) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        tokio::select! {
            () = stop_signal() => tracing::info!("stopping: running requests may finish"),
            Ok(error) = all_failed => { let _ = error_out.send(error); }
        }
    };
    let result = server_http::serve(
        listener,
        server_http::router(state.clone()),
        shutdown,
        state.limits().clone(),
    )
    .await;
    loaded.close();
    while let Some(Running { handle, driver }) = loaded.recv().await {
        handle.shutdown(Shutdown::Abort);
        tokio::task::spawn_blocking(move || driver.join()).await?;
    }
    match error_in.try_recv() {
        Ok(error) => Err(error),
        Err(_) => result.context("serving"),
    }
}

/// Who may ask. Makes the first key where there is none, and shows it once.
fn authentication(
    args: &ServeArgs,
    listen: SocketAddr,
    data_dir: &Path,
) -> Result<Arc<dyn Authenticate>> {
    if args.no_auth {
        if !listen.ip().is_loopback() {
            bail!("--no-auth is for loopback addresses only; {listen} can be reached from outside");
        }
        return Ok(Arc::new(NoAuth));
    }
    let mut keys = Keys::open(data_dir)?;
    if keys.is_empty() {
        let key = keys.create(DEFAULT_TENANT)?;
        println!("API key (shown once, keep it): {key}");
    }
    Ok(Arc::new(KeyFile(keys)))
}

/// Keys of the data directory, as the HTTP layer asks for them.
struct KeyFile(Keys);

impl Authenticate for KeyFile {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let owner = self.0.owner(bearer.ok_or(AuthError::Missing)?).ok_or(AuthError::Invalid)?;
        Ok(Caller { tenant: TenantId(owner.tenant.into()), key_id: owner.id.into() })
    }
}

/// The models to serve: those named, or all there are.
async fn model_names(args: &ServeArgs, data_dir: &Path) -> Result<Vec<ModelName>> {
    let registry = data_dir::registry(data_dir)?;
    if args.model.is_empty() {
        let all = registry.list().await?;
        if all.is_empty() {
            bail!(
                "there is no model in {}; import one with `agentbase model import PATH --name \
                 NAME` or `agentbase model pull hf:ORG/REPO`",
                data_dir.display()
            );
        }
        return Ok(all.into_iter().map(|manifest| manifest.name).collect());
    }
    let mut names = Vec::new();
    for name in &args.model {
        let name: ModelName = name.trim().parse()?;
        // A name that is not there is found before the server listens.
        registry.get(&name).await?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Loads one model after another and installs each as soon as it can answer.
async fn load_all(
    names: Vec<ModelName>,
    args: ServeArgs,
    data_dir: std::path::PathBuf,
    state: AppState,
    running: mpsc::UnboundedSender<Running>,
) -> Result<()> {
    let options = EngineOptions::new(&args.engine);
    let mut first_error = None;
    let mut num_ready = 0;
    for name in names {
        let started = std::time::Instant::now();
        let spinner = Spinner::new(format!("loading {name}"));
        let loaded = load::by_name(&data_dir, name.as_str(), options).await;
        drop(spinner);
        match loaded {
            Ok(loaded) => {
                let one = start(loaded, &args, &state);
                let _ = running.send(one);
                num_ready += 1;
                tracing::info!(model = %name, seconds = started.elapsed().as_secs_f32(), "ready");
            }
            Err(error) => {
                tracing::error!(model = %name, error = format!("{error:#}"), "cannot be loaded");
                state.fail(name.as_str(), format!("{error:#}"));
                first_error = first_error.or(Some(error));
            }
        }
    }
    match first_error {
        Some(error) if num_ready == 0 => Err(error),
        _ => Ok(()),
    }
}

/// Starts the model's driver and lets requests in.
fn start(loaded: Loaded, args: &ServeArgs, state: &AppState) -> Running {
    let Loaded { manifest, engine, text } = loaded;
    let max_waiting = args.max_waiting.unwrap_or(DEFAULT_MAX_WAITING);
    let config = PlannerConfig {
        max_waiting,
        max_waiting_per_tenant: max_waiting,
        ..PlannerConfig::default()
    };
    let observer = state.metrics().observer(manifest.name.as_str());
    let (handle, driver) = spawn_with(Box::new(engine), config, observer);
    state.install(ServedModel {
        id: manifest.name.as_str().to_owned(),
        version: manifest.digest.into(),
        created_unix: manifest.created_unix,
        text,
        handle: handle.clone(),
    });
    Running { handle, driver }
}

/// Until Ctrl-C, or the signal that supervisors send.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the default action ends the process, which is an end too.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
