//! Settings of `serve`: command line and `AGENTBASE_*` variables first, then the settings file,
//! then defaults.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    cli::{KvCacheDtype, ServeArgs, Speculation},
    guard::GuardArgs,
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
    kv_cache_dtype: Option<KvCacheDtype>,
    max_model_len: Option<usize>,
    speculation: Option<Speculation>,
    max_waiting: Option<usize>,
    drain_timeout: Option<u32>,
    #[serde(default)]
    no_auth: bool,
    #[serde(default)]
    guard: GuardArgs,
}

/// Fills what the command line leaves open from the settings file.
///
/// # Errors
/// If a file named on the command line is missing, or any file does not parse.
pub(crate) fn complete(mut args: ServeArgs, data_dir: &Path) -> Result<ServeArgs> {
    let usual = data_dir.join("agentbase.toml");
    let path = match &args.config {
        Some(path) => path.as_path(),
        None if usual.exists() => &usual,
        None => return Ok(args),
    };
    let shown = path.display();
    let size = path.metadata().with_context(|| format!("cannot read settings {shown}"))?.len();
    if size > MAX_FILE_BYTES {
        bail!("settings {shown}: {size} bytes are more than the {MAX_FILE_BYTES} allowed");
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read settings {shown}"))?;
    let mut file: File = toml::from_str(&text).with_context(|| format!("settings {shown}"))?;
    if let (Some(list), Some(folder)) = (&mut file.guard.deny_list, path.parent()) {
        *list = folder.join(&*list);
    }
    if file.threads == Some(0) {
        bail!("settings {shown}: `threads` must be at least 1");
    }
    args.listen = args.listen.or(file.listen);
    if args.model.is_empty() {
        args.model = file.model;
    }
    args.engine.threads = args.engine.threads.or(file.threads);
    args.engine.kv_cache = args.engine.kv_cache.or(file.kv_cache);
    args.engine.kv_cache_dtype = args.engine.kv_cache_dtype.or(file.kv_cache_dtype);
    args.engine.max_model_len = args.engine.max_model_len.or(file.max_model_len);
    args.engine.speculation = args.engine.speculation.or(file.speculation);
    args.max_waiting = args.max_waiting.or(file.max_waiting);
    args.drain_timeout = args.drain_timeout.or(file.drain_timeout);
    args.no_auth |= file.no_auth;
    args.guard = args.guard.or(file.guard);
    Ok(args)
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
                    max_waiting = 7\nspeculation = \"off\"\n";
        let args = completed(file, args).expect("parses");
        assert_eq!(args.listen, "127.0.0.1:9".parse().ok());
        assert_eq!(args.model, ["a", "b"]);
        assert_eq!(args.engine.kv_cache, Some(ByteSize(2 << 20)));
        assert_eq!(args.max_waiting, Some(3));
        assert_eq!(args.engine.speculation, Some(Speculation::Off));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        for (file, named) in [
            ("lisen = \"127.0.0.1:9\"", "lisen"),
            ("kv_cache = \"much\"", "much"),
            ("threads = 0", "threads"),
            ("speculation = \"sometimes\"", "sometimes"),
        ] {
            let error = completed(file, ServeArgs::default()).expect_err(file);
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
