//! Settings of `serve`: command line and `AGENTBASE_*` variables first, then the settings file,
//! then defaults.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use server_accounts::StorePrompts;

use crate::{
    cli::{AlertArgs, KvCacheDtype, LoginArgs, ServeArgs, Speculation},
    guard::GuardArgs,
    http_options::HttpArgs,
    moderation::ModerationArgs,
    size::ByteSize,
};

/// The settings file is small; anything larger is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings file. Unknown names are refused, so that a typing error is noticed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    #[serde(default)]
    model: Vec<String>,
    threads: Option<usize>,
    kv_cache: Option<ByteSize>,
    adapter_memory: Option<ByteSize>,
    #[serde(default)]
    no_adapters: bool,
    kv_cache_dtype: Option<KvCacheDtype>,
    max_model_len: Option<usize>,
    speculation: Option<Speculation>,
    max_waiting: Option<usize>,
    drain_timeout: Option<u32>,
    store_prompts: Option<StorePrompts>,
    retention_days: Option<u32>,
    ledger_retention_days: Option<u32>,
    max_stored: Option<ByteSize>,
    currency: Option<String>,
    #[serde(default)]
    no_auth: bool,
    #[serde(default)]
    no_metering: bool,
    #[serde(default)]
    sync_usage: bool,
    database_url: Option<String>,
    request_timeout: Option<u32>,
    stream_keep_alive: Option<u32>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(default)]
    cors_origin: Vec<String>,
    #[serde(default)]
    allow_image_urls: bool,
    image_cache: Option<ByteSize>,
    #[serde(default)]
    alerts: AlertArgs,
    #[serde(default)]
    login: LoginArgs,
    #[serde(default)]
    guard: GuardArgs,
    #[serde(default)]
    moderation: ModerationArgs,
}

/// Fills what the command line leaves open from the settings file.
///
/// # Errors
/// If a file named on the command line is missing, or any file does not parse.
pub(crate) fn complete(mut args: ServeArgs, data_dir: &Path) -> Result<ServeArgs> {
    let usual = usual(data_dir);
    let path = match &args.config {
        Some(path) => path.as_path(),
        None if usual.exists() => &usual,
        None => return Ok(args),
    };
    let shown = path.display();
    let mut file = read(path)?;
    if let (Some(list), Some(folder)) = (&mut file.guard.deny_list, path.parent()) {
        *list = folder.join(&*list);
    }
    let counts = [
        ("threads", file.threads.map(|count| count as u64)),
        ("request_timeout", file.request_timeout.map(u64::from)),
        ("stream_keep_alive", file.stream_keep_alive.map(u64::from)),
        ("retention_days", file.retention_days.map(u64::from)),
    ];
    if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
        bail!("settings {shown}: `{name}` must be at least 1");
    }
    args.listen = args.listen.or(file.listen);
    if args.model.is_empty() {
        args.model = file.model;
    }
    args.engine.threads = args.engine.threads.or(file.threads);
    args.adapters.adapter_memory = args.adapters.adapter_memory.or(file.adapter_memory);
    args.adapters.no_adapters |= file.no_adapters;
    args.engine.kv_cache = args.engine.kv_cache.or(file.kv_cache);
    args.engine.kv_cache_dtype = args.engine.kv_cache_dtype.or(file.kv_cache_dtype);
    args.engine.max_model_len = args.engine.max_model_len.or(file.max_model_len);
    args.engine.speculation = args.engine.speculation.or(file.speculation);
    args.max_waiting = args.max_waiting.or(file.max_waiting);
    args.drain_timeout = args.drain_timeout.or(file.drain_timeout);
    args.keep.store_prompts = args.keep.store_prompts.or(file.store_prompts);
    args.keep.retention_days = args.keep.retention_days.or(file.retention_days);
    let days = args.keep.ledger_retention_days.or(file.ledger_retention_days);
    if days.is_some_and(|days| days < 7) {
        bail!("settings {shown}: `ledger_retention_days` must be at least 7");
    }
    args.keep.ledger_retention_days = days;
    if args.currency.is_none() {
        let currency = file.currency.map(|code| code.parse()).transpose();
        args.currency = currency.with_context(|| format!("settings {shown}"))?;
    }
    args.keep.max_stored = args.keep.max_stored.or(file.max_stored);
    args.no_auth |= file.no_auth;
    args.no_metering |= file.no_metering;
    args.sync_usage |= file.sync_usage;
    args.database.database_url = args.database.database_url.or(file.database_url);
    args.http = args.http.or(HttpArgs {
        request_timeout: file.request_timeout,
        stream_keep_alive: file.stream_keep_alive,
        tls_cert: file.tls_cert,
        tls_key: file.tls_key,
        cors_origin: file.cors_origin,
        allow_image_urls: file.allow_image_urls,
        image_cache: file.image_cache,
    });
    args.alerts = args.alerts.or(file.alerts);
    args.login = args.login.or(file.login);
    args.guard = args.guard.or(file.guard);
    args.moderation = args.moderation.or(file.moderation);
    Ok(args)
}

/// The database that the usual settings file names, for commands beside a server.
///
/// # Errors
/// If there is a file that does not parse.
pub(crate) fn database_url(data_dir: &Path) -> Result<Option<String>> {
    let usual = usual(data_dir);
    if usual.exists() { Ok(read(&usual)?.database_url) } else { Ok(None) }
}

fn usual(data_dir: &Path) -> PathBuf {
    data_dir.join("agentbase.toml")
}

fn read(path: &Path) -> Result<File> {
    let shown = path.display();
    let size = path.metadata().with_context(|| format!("cannot read settings {shown}"))?.len();
    if size > MAX_FILE_BYTES {
        bail!("settings {shown}: {size} bytes are more than the {MAX_FILE_BYTES} allowed");
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read settings {shown}"))?;
    toml::from_str(&text).with_context(|| format!("settings {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(file: &str, args: ServeArgs) -> Result<ServeArgs> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("agentbase.toml"), file)?;
        complete(args, dir.path())
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let args = ServeArgs { max_waiting: Some(3), ..Default::default() };
        let file = "listen = \"127.0.0.1:9\"\nmodel = [\"a\", \"b\"]\nkv_cache = \"2MiB\"\n\
                    max_waiting = 7\nspeculation = \"off\"\nrequest_timeout = 60\n\
                    cors_origin = [\"https://app.example\"]\n";
        let args = completed(file, args).expect("parses");
        assert_eq!(args.listen, "127.0.0.1:9".parse().ok());
        assert_eq!(args.model, ["a", "b"]);
        assert_eq!(args.engine.kv_cache, Some(ByteSize(2 << 20)));
        assert_eq!(args.max_waiting, Some(3));
        assert_eq!(args.engine.speculation, Some(Speculation::Off));
        assert_eq!(args.http.request_timeout, Some(60));
        assert_eq!(args.http.cors_origin, ["https://app.example"]);
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        for (file, named) in [
            ("lisen = \"127.0.0.1:9\"", "lisen"),
            ("kv_cache = \"much\"", "much"),
            ("threads = 0", "threads"),
            ("retention_days = 0", "retention_days"),
            ("request_timeout = 0", "request_timeout"),
            ("speculation = \"sometimes\"", "sometimes"),
        ] {
            let error = completed(file, ServeArgs::default()).expect_err(file);
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
