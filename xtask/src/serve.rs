//! `cargo xtask serve`: from a clean clone to a `curl` that works.
//!
//! Invariant: started again, nothing is fetched, built or imported that is there already.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::{Launch, Server};
use crate::{repo, server, shell, tools, weights};

const LISTEN: &str = "127.0.0.1:8080";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, default_value = LISTEN)]
    listen: String,
    /// Build and run the debug profile: slower answers, faster builds
    #[arg(long)]
    debug: bool,
    /// Further arguments of `agentbase serve`
    #[arg(last = true)]
    extra: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(ours) = args.extra.iter().find(|arg| is_ours(arg)) {
        bail!(
            "{ours} is set by this habit; choose the address with `cargo xtask serve --listen \
             ADDR`, or run the binary itself: target/release/agentbase serve --help"
        );
    }
    tools::require_c_compiler()?;
    // First the download, which can fail; the build takes longer.
    weights::obtain()?;
    let binary = server::build(if args.debug { "dev" } else { "release" })?;
    let data_dir = repo::scratch();
    server::import_model(&binary, &data_dir)?;
    let launch = Launch {
        binary,
        data_dir,
        listen: args.listen.clone(),
        extra: args.extra.clone(),
        show_log: true,
    };
    let spinner = shell::spinner("Loading the model");
    let started = launch.start();
    spinner.finish_and_clear();
    let mut server = started?;
    let key = if args.extra.iter().any(|arg| arg == "--no-auth") {
        Key::NotNeeded
    } else {
        keep_key(&launch.data_dir.join("dev-key"), server.first_key.as_deref())?
    };
    println!("{}", greeting(&server.base_url, &key));
    pass_signals_on(&server)?;
    let status = server.wait()?;
    // A server that was asked to stop and drained has succeeded.
    if !status.success() {
        bail!("the server ended with {status}");
    }
    Ok(())
}

/// Whether an argument for `agentbase serve` is one that the habit passes itself: said before the
/// build, not after it.
fn is_ours(arg: &str) -> bool {
    let name = arg.split('=').next().unwrap_or(arg);
    matches!(name, "--listen" | "--model" | "--data-dir")
}

/// What a client must send.
#[derive(Debug, PartialEq)]
enum Key {
    NotNeeded,
    Known(String),
    /// The folder has a key, made by another start than ours.
    Unknown,
}

/// The server stores only the key's hash, so for this folder's developer we keep the key itself,
/// readable by its owner alone.
fn keep_key(path: &Path, first_key: Option<&str>) -> Result<Key> {
    if let Some(key) = first_key {
        // Made anew, so that the mode holds from the first byte on.
        std::fs::remove_file(path).ok();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file =
            options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(file, "{key}")?;
        return Ok(Key::Known(key.to_owned()));
    }
    let kept = std::fs::read_to_string(path).ok();
    Ok(kept.map_or(Key::Unknown, |key| Key::Known(key.trim().to_owned())))
}

fn greeting(base_url: &str, key: &Key) -> String {
    let kept = repo::scratch().join("dev-key");
    let kept = kept.display();
    let (sent, about_key) = match key {
        Key::NotNeeded => (None, "No key is needed: --no-auth, on this machine only.".to_owned()),
        Key::Known(key) => {
            (Some(key.as_str()), format!("The key is kept in {kept}, readable by you alone."))
        }
        Key::Unknown => (
            Some("YOUR_KEY"),
            format!("The key was shown when this folder was first served; write it to {kept}."),
        ),
    };
    let header =
        sent.map_or_else(String::new, |key| format!("  -H 'Authorization: Bearer {key}' \\\n"));
    // So small a model rambles when it is sampled at the API's default temperature, and to the
    // end of its context unless told when to stop.
    let body = format!(
        r#"{{"model": "{}", "max_tokens": 100, "temperature": 0, "messages":
      [{{"role": "user", "content": "What is the capital of France? Answer in one sentence."}}]}}"#,
        weights::MODEL_NAME
    );
    format!(
        "\nReady on {base_url}. Try it:\n\n\
         curl {base_url}/v1/chat/completions \\\n{header}  \
         -H 'Content-Type: application/json' \\\n  -d '{body}'\n\n\
         Any OpenAI client works with the base URL {base_url}/v1. {about_key}\n\
         Stop it with Ctrl-C: running answers are finished first.\n"
    )
}

/// The first signal asks the server to drain, the second ends it.
fn pass_signals_on(server: &Server) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let pid = server.pid();
    std::thread::spawn(move || {
        let how = std::iter::once(Signal::TERM).chain(std::iter::repeat(Signal::KILL));
        for (_, how) in signals.forever().zip(how) {
            server::signal(pid, how);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Key, greeting, is_ours, keep_key};

    #[test]
    fn arguments_that_the_habit_sets_are_known() {
        assert!(is_ours("--listen") && is_ours("--model=x"));
        assert!(!is_ours("--kv-cache") && !is_ours("127.0.0.1:1"));
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev-key");
        assert_eq!(keep_key(&path, None).unwrap(), Key::Unknown);
        keep_key(&path, Some("ab-old")).unwrap();
        keep_key(&path, Some("ab-new")).unwrap();
        assert_eq!(keep_key(&path, None).unwrap(), Key::Known("ab-new".to_owned()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn the_curl_carries_the_key() {
        let text = greeting("http://127.0.0.1:1", &Key::Known("ab-key".to_owned()));
        assert!(text.contains("curl http://127.0.0.1:1/v1/chat/completions"));
        assert!(text.contains("Bearer ab-key"));
        assert!(!greeting("http://127.0.0.1:1", &Key::NotNeeded).contains("Bearer"));
    }
}
