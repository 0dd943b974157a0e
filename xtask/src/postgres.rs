//! A PostgreSQL for the tests, from the system's packages: a cluster of its own in a temporary
//! folder, reached by a socket there.
//!
//! Invariant: it ends when the value is dropped and when this process ends, however that ends: it
//! is started by a shell that waits for the end of a pipe that we hold.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::{shell, tools};

const START_LIMIT: Duration = Duration::from_secs(120);

/// Makes the cluster, tells its folder, starts the server, and ends it with standard input. What
/// is lost with the machine is made again, so nothing is synced.
const SCRIPT: &str = r#"
set -eu
cd /
dir=$(mktemp -d "${TMPDIR:-/tmp}/agentbase-postgres-XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1/initdb" --no-sync --auth=trust --encoding=UTF8 --locale=C --username=postgres \
    --pgdata="$dir/data" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 \
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off \
    >>"$dir/log" 2>&1 &
server=$!
echo "$dir"
cat >/dev/null
kill -INT $server
wait $server || true
"#;

/// A server that answers.
pub(crate) struct Postgres {
    shell: Child,
    folder: PathBuf,
}

impl Postgres {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs()?;
        let spinner = shell::spinner("Starting a PostgreSQL for the tests");
        let mut child = as_ordinary_user(SCRIPT, &programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a shell")?;
        let mut folder = String::new();
        let told = child.stdout.take().context("the shell has no standard output")?;
        BufReader::new(told).read_line(&mut folder)?;
        let mut server = Self { shell: child, folder: folder.trim_end().into() };
        server.await_ready(&programs)?;
        spinner.finish_and_clear();
        Ok(server)
    }

    fn await_ready(&mut self, programs: &Path) -> Result<()> {
        let is_ready = programs.join("pg_isready").to_string_lossy().into_owned();
        let folder = self.folder.to_string_lossy().into_owned();
        shell::wait_until("starting PostgreSQL", START_LIMIT, || {
            if let Some(status) = self.shell.try_wait()? {
                bail!("PostgreSQL did not start ({status})");
            }
            Ok(shell::succeeds(&is_ready, &["--quiet", "--host", &folder]))
        })
    }

    /// The URL of its superuser.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.folder.display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nobody is left to hear an error.
        self.shell.wait().ok();
    }
}

/// PostgreSQL refuses to run as root; its packages bring a user for it.
fn as_ordinary_user(script: &str, programs: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", script, "sh"]).arg(programs);
    // A signal from the terminal ends us, and the server with us.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Where `initdb` and `postgres` lie: on the `PATH`, or where Debian has them; the newest.
fn programs() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| has_programs(folder));
    if let Some(folder) = on_path {
        return Ok(folder);
    }
    let mut versions = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let folder = entry?.path();
        let version = folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        versions.extend(version.map(|version| (version, folder.join("bin"))));
    }
    versions.sort();
    let found = versions.into_iter().rev().find(|(_, folder)| has_programs(folder));
    match found {
        Some((_, folder)) => Ok(folder),
        None => bail!("PostgreSQL not found. {}", tools::install_postgres()),
    }
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].iter().all(|program| folder.join(program).is_file())
}
