//! The real binary, called as its users call it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

pub(crate) fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/llm/testdata/tiny").join(name)
}

pub(crate) fn agentbase(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentbase"));
    command.arg("--data-dir").arg(data_dir).env_remove("AGENTBASE_DATA_DIR");
    command.env_remove("DATABASE_URL");
    command
}

/// The same, ended by the system where it would write a file of more than some megabytes.
pub(crate) fn limited(data_dir: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 65536; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_agentbase")]);
    command.arg("--data-dir").arg(data_dir).env_remove("AGENTBASE_DATA_DIR");
    command
}

pub(crate) fn run(data_dir: &Path, args: &[&str]) -> Output {
    agentbase(data_dir).args(args).output().expect("the binary starts")
}

pub(crate) fn succeed(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out
}

pub(crate) fn fail(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    let err = text(&output.stderr);
    assert!(!output.status.success(), "{args:?} succeeded: {}", text(&output.stdout));
    assert!(!err.contains("panicked"), "{err}");
    err
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn import(data_dir: &Path, name: &str) {
    succeed(data_dir, &["model", "import", &tiny(name).display().to_string(), "--name", name]);
}

/// Made at once by several processes, it fails in all but one of them.
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE agentbase_test LOGIN NOSUPERUSER NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// A database of PostgreSQL for one test, as the ordinary role that owns it: row-level security
/// binds that one. `None`, and a word of it, without a PostgreSQL.
#[allow(clippy::print_stderr, reason = "who runs the tests is told")]
pub(crate) fn postgres(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("AGENTBASE_TEST_POSTGRES") else {
        eprintln!("SKIPPED: AGENTBASE_TEST_POSTGRES names no PostgreSQL; `cargo xtask test` does");
        return None;
    };
    let name = format!("{name}_{}", std::process::id());
    for sql in [
        MAKE_ROLE.to_owned(),
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name} OWNER agentbase_test"),
    ] {
        let made = Command::new("psql").args(["--quiet", "--command", &sql, &url]).status();
        assert!(made.expect("psql is there").success());
    }
    let (_, place) = url.split_once('@').expect("a user");
    let place = place.replace("/postgres?", &format!("/{name}?"));
    Some(format!("postgres://agentbase_test@{place}"))
}

/// Arguments that name a database; none for the file in the data directory.
pub(crate) fn naming(url: Option<&str>) -> Vec<&str> {
    url.map(|url| vec!["--database-url", url]).unwrap_or_default()
}

/// A server and what it printed when it started.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) key: Option<String>,
}

impl Server {
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &["--kv-cache", "8MiB"])
    }

    pub(crate) fn start_with(data_dir: &Path, args: &[&str]) -> Self {
        Self::start_by(agentbase(data_dir), args)
    }

    /// The same of a command of whatever environment.
    pub(crate) fn start_by(mut command: Command, args: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut server = Self { child, address: String::new(), key: None };
        for line in lines.map_while(Result::ok) {
            if let Some(at) = line.find("ab-") {
                server.key = Some(line[at..].trim().to_owned());
            }
            if let Some((_, address)) = line.split_once("listening on http://") {
                server.address = address.trim().to_owned();
                return server;
            }
        }
        server.kill();
        panic!("the server ended before it listened");
    }

    /// One request over a connection of its own; the whole answer.
    pub(crate) fn get(&self, path: &str, key: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// Waits until its model answers.
    pub(crate) fn await_ready(&self) {
        while !self.get("/ready", "").starts_with("HTTP/1.1 200") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is gone");
    }
}

/// A test that fails, or forgets it, leaves no server behind.
impl Drop for Server {
    fn drop(&mut self) {
        // Most are gone by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request over a connection of its own; the body of a success.
pub(crate) fn send(
    address: &str,
    key: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The first id in a body.
pub(crate) fn id(body: &str) -> String {
    let (_, rest) = body.split_once("\"id\":\"").expect("an id");
    rest.split('"').next().expect("its end").to_owned()
}
