//! What was used, through kills at random moments: nothing that a client was told is lost, and
//! nothing is billed twice. On SQLite, and on PostgreSQL where there is one.
//!
//! `AGENTBASE_SOAK_ROUNDS` says how many kills; `cargo xtask soak` sets it.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use support::binary::{Server, import, naming, postgres, succeed};
use tempfile::TempDir;

const CLIENTS: u64 = 6;
const DEFAULT_ROUNDS: u64 = 3;
/// More than the prompt and the answer of the test come to.
const MAX_TOKENS: u64 = 60;

/// What a client knows of a request: tokens of its prompt and its answer, if it was told.
type Told = Option<(u64, u64)>;

/// A request under a tag of its own; whatever cuts it off, what is known of it is told.
fn ask(address: &str, key: &str, tag: &str, rng: &mut StdRng) -> Told {
    let (stream, max_tokens) = (rng.random_bool(0.5), rng.random_range(1..MAX_TOKENS));
    let n = rng.random_range(1..3);
    let body = format!(
        r#"{{"model": "llama", "messages": [{{"role": "user", "content": "{tag}"}}], "n": {n},
            "max_tokens": {max_tokens}, "stream": {stream}, "ignore_eos": true,
            "stream_options": {options}}}"#,
        options = if stream { r#"{"include_usage": true}"# } else { "null" },
    );
    let mut connection = TcpStream::connect(address).ok()?;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\nX-Agentbase-Tag: {tag}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).ok()?;
    // Some clients go away in the middle.
    if rng.random_bool(0.2) {
        let mut some = [0; 400];
        let _some_bytes = connection.read(&mut some).ok()?;
        return None;
    }
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (_, rest) = answer.rsplit_once("\"usage\":{")?;
    let (usage, _) = rest.split_once('}')?;
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = usage.split_once(&format!("\"{name}\":"))?;
        let digits = rest.trim_start().split(|it: char| !it.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some((number("prompt_tokens")?, number("completion_tokens")?))
}

/// Clients that ask until the server is killed, and what each was told.
fn round(server: Server, key: &str, number: u64) -> BTreeMap<String, Told> {
    let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let told = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (address, is_over, told, count) = (&server.address, &is_over, &told, &count);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(number * CLIENTS + client);
                while !is_over.load(Ordering::Relaxed) {
                    let tag =
                        format!("r{number}c{client}n{}", count.fetch_add(1, Ordering::Relaxed));
                    let known = ask(address, key, &tag, &mut rng);
                    told.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, known);
                }
            });
        }
        let mut rng = StdRng::seed_from_u64(number);
        std::thread::sleep(Duration::from_millis(rng.random_range(30..700)));
        let pid = server.child.id().to_string();
        let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.expect("kill runs").success());
        is_over.store(true, Ordering::Relaxed);
    });
    server.kill();
    told.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn kills_lose_and_double_nothing(url: Option<&str>) {
    let rounds = std::env::var("AGENTBASE_SOAK_ROUNDS").ok();
    let rounds = rounds.map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().expect("a number"));
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let run = |args: &[&str]| succeed(dir.path(), &[args, &naming(url)].concat());
    let key: Value =
        serde_json::from_str(&run(&["key", "create", "--name", "k", "--json"])).expect("JSON");
    let secret = key["secret"].as_str().expect("a secret");
    run(&["price", "set", "llama", "--input", "1", "--output", "3"]);
    let serve = || {
        let args = [&["--kv-cache", "8MiB"], &*naming(url)].concat();
        let server = Server::start_with(dir.path(), &args);
        server.await_ready();
        server
    };
    let (mut num_told, mut total) = (0, 0);
    for number in 0..rounds {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
        let told = round(serve(), secret, number);
        // What the next start settles is in the ledger when it listens.
        let next = serve();
        let since = format!("{}ms", since);
        let lines: Vec<Value> =
            serde_json::from_str(&run(&["usage", "--by", "tag", "--since", &since, "--json"]))
                .expect("JSON");
        let lines: BTreeMap<&str, &Value> =
            lines.iter().map(|line| (line["tag"].as_str().unwrap_or(""), line)).collect();
        for (tag, line) in &lines {
            assert_eq!(line["requests"], 1, "billed twice: {line}");
            assert!(told.contains_key(*tag), "nobody asked this: {line}");
        }
        for (tag, known) in &told {
            let Some((prompt, completion)) = known else { continue };
            let line = lines.get(tag.as_str()).unwrap_or_else(|| panic!("{tag} is lost"));
            assert_eq!(line["input_tokens"], *prompt, "{tag}: {line}");
            assert_eq!(line["output_tokens"], *completion, "{tag}: {line}");
            num_told += 1;
        }
        total += lines.len() as u64;
        next.kill();
    }
    assert!(num_told >= rounds, "only {num_told} answers came to their end");
    // What later rounds wrote has changed nothing of earlier ones.
    let usage: Value = serde_json::from_str(&run(&["usage", "--json"])).expect("JSON");
    assert_eq!(usage["requests"], total);
}

#[test]
fn kills_lose_and_double_nothing_on_sqlite() {
    kills_lose_and_double_nothing(None);
}

#[test]
fn kills_lose_and_double_nothing_on_postgresql() {
    let Some(url) = postgres("books") else { return };
    kills_lose_and_double_nothing(Some(&url));
}
