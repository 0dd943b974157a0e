//! `agentbase serve` with guards: from the options and the settings file to what clients see.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use support::binary::{Server, fail, import};
use tempfile::TempDir;

/// One request; the whole answer.
fn complete(server: &Server, key: &str, prompt: &str) -> String {
    let body = format!(
        "{{\"model\": \"llama\", \"prompt\": \"{prompt}\", \"echo\": true, \"max_tokens\": 1}}"
    );
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn guards_come_from_options_and_from_the_settings_file() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    fs::write(dir.path().join("words.txt"), "# not these\nblue cheese\n").expect("it is written");
    let settings = "[guard]\ndeny_list = \"words.txt\"\npii = \"stop\"\npii_kinds = [\"email\"]\n";
    fs::write(dir.path().join("agentbase.toml"), settings).expect("it is written");
    // The command line wins over the file.
    let args = ["--kv-cache", "8MiB", "--guard-pii", "mask"];
    let server = Server::start_with(dir.path(), &args);
    let key = server.key.clone().expect("the first start shows a key");
    while !server.get("/ready", &key).starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let answer = complete(&server, &key, "write to ann@example.com");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("write to [EMAIL]") && !answer.contains("ann@"), "{answer}");
    let answer = complete(&server, &key, "a Blue  CHEESE");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("\"content_filter\"") && !answer.contains("CHEESE"), "{answer}");
    let metrics = server.get("/metrics", &key);
    for line in [
        "agentbase_guard_actions_total{action=\"mask\",guard=\"pii\",side=\"input\"} 1",
        "agentbase_guard_actions_total{action=\"stop\",guard=\"deny_list\",side=\"input\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    server.kill();
}

#[test]
fn mistakes_are_told_when_the_server_starts() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let missing = dir.path().join("missing.txt").display().to_string();
    for (args, named) in [
        (["serve", "--guard-deny-list", &missing].as_slice(), "missing.txt"),
        (&["serve", "--guard-pii", "hide"], "hide"),
        (&["serve", "--guard-pii", "mask", "--guard-pii-kinds", "email,age"], "age"),
        (&["serve", "--guard-deny", "mask"], "--guard-deny-list"),
    ] {
        let error = fail(dir.path(), args);
        assert!(error.contains(named), "{error}");
    }
}
