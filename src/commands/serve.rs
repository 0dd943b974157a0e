//! `agentbase serve`: keys, models, HTTP, and an orderly end.

mod billing;
mod loading;
mod people;
mod tenants;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use model_registry::ModelName;
use scheduler_batching::PlannerConfig;
use server_http::{AppState, AppStateBuilder, HttpLimits};
use server_store::{Limits, Store};
use tokio::{net::TcpListener, sync::oneshot};

use self::loading::{Drivers, Loading};
use self::tenants::Tenants;
use crate::{
    cli::ServeArgs,
    config, data_dir, http_options,
    load::{self, EngineOptions},
};

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_MAX_WAITING: usize = 1024;

/// Serves until a signal asks for the end, then lets running streams finish.
///
/// # Errors
/// If the address, a key file or every model fails.
pub(super) async fn run(args: ServeArgs, data_dir: &Path) -> Result<()> {
    fail_at_file_limit();
    let args = config::complete(args, data_dir)?;
    let listen = args.listen.unwrap_or(DEFAULT_LISTEN);
    if args.no_auth && !listen.ip().is_loopback() {
        bail!("--no-auth is for loopback addresses only; {listen} can be reached from outside");
    }
    let tls = args.http.tls()?;
    let mut state = builder(&args)?;
    let names = model_names(&args, data_dir).await?;
    let moderator = args.moderation.moderator(&names)?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another with --listen"))?;
    let address = listener.local_addr()?;
    let database = args.database.database(data_dir)?;
    let store = Store::open(&database, store_limits(&args)).await.with_context(|| {
        format!("cannot open the store of responses and conversations, {database}")
    })?;
    let mut tenants = Tenants::open(&args, data_dir, &store).await?;
    let limits = http_limits(&args);
    let sweeper = tokio::spawn(store.clone().sweep_forever());
    state = tenants.guard(state.limits(limits.clone()).store(store.clone()));
    let mut options = EngineOptions::new(&args.engine);
    let adapters = args.adapters.adapters(data_dir::registry(data_dir)?);
    if let Some(adapters) = adapters.clone() {
        state = state.adapters(adapters);
        options = options.with_adapters();
    }
    state = names.iter().fold(state, |state, name| state.loading(name.as_str()));
    if let Some(moderator) = moderator {
        state = state.moderator(moderator);
    }
    let state = state.build();
    tenants.watch(Arc::clone(state.metrics()));
    outln!("listening on {}://{address}", http_options::scheme(tls.as_ref()))?;
    let drivers = Drivers::default();
    let loading = Loading {
        options,
        planner: planner_config(&args, tenants.num()),
        encoding: load::encoding_config(args.max_waiting, tenants.num()),
        image_cache: args.http.image_cache(),
        speech: load::speech_config(args.max_waiting, tenants.num()),
        data_dir: data_dir.to_owned(),
        state: state.clone(),
        adapters,
        drivers: drivers.clone(),
    };
    // The server goes on as long as one model answers.
    let (failed, mut all_failed) = oneshot::channel();
    let loading = tokio::spawn(loading.run(names, failed));
    let router = server_http::router(state.clone());
    let listen = http_options::listen(listener, tls);
    // Streams that are still open when the drain ends are told so.
    let on_deadline = move || state.abort();
    tokio::select! {
        served = server_http::serve(listen, router, stop_signal(), limits, on_deadline) => {
            served.context("serving")?;
        }
        Ok(error) = &mut all_failed => return Err(error),
    }
    loading.abort();
    sweeper.abort();
    drivers.stop().await?;
    tenants.close().await;
    store.close().await;
    Ok(())
}

/// How long a drain takes, and what connections may.
fn http_limits(args: &ServeArgs) -> HttpLimits {
    let mut limits = HttpLimits::default();
    if let Some(seconds) = args.drain_timeout {
        limits.drain_timeout = Duration::from_secs(seconds.into());
    }
    args.http.set(&mut limits);
    limits
}

/// What the arguments alone say of the server.
fn builder(args: &ServeArgs) -> Result<AppStateBuilder> {
    let state = AppState::builder().cors(args.http.cors()?).guards(args.guard.guards()?);
    Ok(match args.http.image_urls()? {
        Some(urls) => state.image_urls(urls),
        None => state,
    })
}

/// How long, and how much of each tenant, things are kept.
fn store_limits(args: &ServeArgs) -> Limits {
    let mut limits = Limits::default();
    if let Some(days) = args.keep.retention_days {
        limits.retention = Duration::from_secs(u64::from(days) * 86_400);
    }
    let days = args.keep.ledger_retention_days;
    limits.ledger_retention = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    if let Some(size) = args.keep.max_stored {
        limits.max_bytes = size.0;
    }
    limits
}

/// Queue bounds; where there are several tenants, none can fill the whole queue.
fn planner_config(args: &ServeArgs, num_tenants: usize) -> PlannerConfig {
    let max_waiting = args.max_waiting.unwrap_or(DEFAULT_MAX_WAITING);
    let max_waiting_per_tenant =
        if num_tenants > 1 { max_waiting.div_ceil(2) } else { max_waiting };
    PlannerConfig { max_waiting, max_waiting_per_tenant, ..load::planner_config(&args.engine) }
}

/// The models to serve: those named, or all there are.
async fn model_names(args: &ServeArgs, data_dir: &Path) -> Result<Vec<ModelName>> {
    let registry = data_dir::registry(data_dir)?;
    if args.model.is_empty() {
        let mut all = registry.list().await?;
        // Adapters come with their bases.
        all.retain(|manifest| manifest.adapter_of.is_none());
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
        if let Some((base, _)) = name.adapter() {
            bail!("{name} is an adapter: it is served with its base, `--model {base}`");
        }
        // A name that is not there is found before the server listens.
        registry.get(&name).await?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Until the first signal to stop. The second ends the process at once.
async fn stop_signal() {
    signal().await;
    tracing::info!("stopping: running answers may finish; a second signal ends them");
    tokio::spawn(async {
        signal().await;
        std::process::exit(130);
    });
}

/// Has a write fail that would make a file larger than `ulimit -f` allows. Without a handler the
/// system ends the process there, and nobody learns why.
fn fail_at_file_limit() {
    #[cfg(target_os = "linux")]
    {
        use tokio::signal::unix::{SignalKind, signal};
        /// Its number on all machines but those of MIPS.
        const SIGXFSZ: i32 = 25;
        // The handler stays when nobody listens any more.
        if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
            tracing::warn!(%error, "a file over the limit of its size ends the server");
        }
    }
}

/// Until Ctrl-C, or the signal that supervisors send.
pub(super) async fn signal() {
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
