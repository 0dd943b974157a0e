//! `agentbase serve` from start to end: keys, kills, signals.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

use support::binary::{Server, fail, import, succeed, text};
use tempfile::TempDir;

#[test]
fn the_first_start_shows_a_key_that_outlives_a_kill() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let first = Server::start(dir.path());
    let key = first.key.clone().expect("the first start shows a key");
    assert!(first.get("/v1/models", &key).starts_with("HTTP/1.1 200"));
    assert!(first.get("/v1/models", "ab-wrong").starts_with("HTTP/1.1 401"));
    first.kill();
    let second = Server::start(dir.path());
    assert_eq!(second.key, None, "a key is made once");
    assert!(second.get("/v1/models", &key).starts_with("HTTP/1.1 200"));
    second.kill();
    for entry in fs::read_dir(dir.path()).expect("it reads") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            assert!(!text(&fs::read(&path).expect("it reads")).contains(&key), "{path:?}");
        }
    }
}

#[test]
fn options_of_http_that_cannot_be_honoured_are_named_at_the_start() {
    let dir = TempDir::new().expect("a folder");
    for (args, named) in [
        (&["--tls-cert", "nowhere.pem", "--tls-key", "k.pem"][..], "cannot read nowhere.pem"),
        (&["--tls-cert", "c.pem"], "--tls-cert needs --tls-key"),
        (&["--tls-key", "k.pem"], "--tls-key needs --tls-cert"),
        (&["--cors-origin", "app.example"], "'app.example' is no origin"),
        (&["--request-timeout", "0"], "--request-timeout"),
    ] {
        let error = fail(dir.path(), &[&["serve"], args].concat());
        assert!(error.contains(named), "{args:?}: {error}");
    }
}

fn signal(server: &Server, name: &str) {
    let pid = server.child.id().to_string();
    let status = Command::new("kill").args([name, &pid]).status().expect("kill runs");
    assert!(status.success());
}

/// Asks the real model for a long answer and reads the stream's beginning.
fn long_stream(server: &Server, key: &str) -> BufReader<TcpStream> {
    let body = r#"{"model": "smollm2", "prompt": "Once", "max_tokens": 4000, "ignore_eos": true,
        "stream": true}"#;
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert!(reader.read_line(&mut line).expect("it streams") > 0, "the stream ended early");
    }
    reader
}

fn real_model(data_dir: &Path, args: &[&str]) -> (Server, String) {
    let gguf = support::smollm2_gguf().display().to_string();
    succeed(data_dir, &["model", "import", &gguf, "--name", "smollm2"]);
    let server = Server::start_with(data_dir, args);
    let key = server.key.clone().expect("the first start shows a key");
    while !server.get("/ready", &key).starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    (server, key)
}

#[test]
fn a_stream_that_outlasts_the_drain_is_told_and_a_second_signal_does_not_wait() {
    let dir = TempDir::new().expect("a folder");
    let (mut server, key) = real_model(dir.path(), &["--drain-timeout", "1"]);
    let mut stream = long_stream(&server, &key);
    signal(&server, "-TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the stream ends in order");
    assert!(rest.contains("\"error\"") && rest.contains("shutting down"), "{rest}");
    assert!(server.child.wait().expect("it ends").success());

    let mut server = Server::start_with(dir.path(), &["--drain-timeout", "3600"]);
    while !server.get("/ready", &key).starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _stream = long_stream(&server, &key);
    signal(&server, "-INT");
    std::thread::sleep(std::time::Duration::from_millis(200));
    signal(&server, "-INT");
    assert_eq!(server.child.wait().expect("it ends at once").code(), Some(130));
}

/// The driver's thread computes too, so there is one worker fewer than threads.
#[cfg(target_os = "linux")]
#[test]
fn as_many_threads_compute_as_were_asked_for() {
    for threads in ["1", "3"] {
        let dir = TempDir::new().expect("a folder");
        import(dir.path(), "llama");
        let server = Server::start_with(dir.path(), &["--threads", threads]);
        let key = server.key.clone().expect("the first start shows a key");
        while !server.get("/ready", &key).starts_with("HTTP/1.1 200") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).expect("it runs");
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let workers = names.filter(|name| name.starts_with("cpu-")).count();
        assert_eq!((workers + 1).to_string(), threads);
        server.kill();
    }
}

/// `ulimit -f` counts blocks of 512 bytes or of 1 KiB, as the shell has it.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_the_size_of_files_is_an_error_and_no_signal() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 1000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_agentbase")])
        .arg("--data-dir")
        .arg(dir.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--kv-cache", "8MiB"])
        .env_remove("AGENTBASE_DATA_DIR")
        .env_remove("DATABASE_URL")
        .output()
        .expect("the binary starts");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{:?}: {error}", output.status);
    assert!(error.contains("error: ") && !error.contains("panicked"), "{error}");
    assert!(error.contains("store.db") && error.contains("disk I/O error"), "{error}");
}
