//! `docs/OPERATORS.md`: its commands run as they stand there, in their order, beside a server.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::binary::{Server, import, succeed, text};
use tempfile::TempDir;

/// The address that the page has, and the server of the test has not.
const ADDRESS: &str = "127.0.0.1:8080";

/// All blocks of shell commands of the page, one after another.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATORS.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match (is_inside, line) {
            (false, "```sh") => is_inside = true,
            (true, "```") => is_inside = false,
            (true, line) => lines.push(line),
            _ => {}
        }
    }
    assert!(lines.len() > 40, "the page has {} lines of commands", lines.len());
    lines.join("\n")
}

#[test]
fn the_operators_page_runs_as_it_stands() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = Server::start(dir.path());
    while !server.get("/ready", "").starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_agentbase")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new("sh")
        .args(["-euc", &script().replace(ADDRESS, &server.address)])
        .current_dir(dir.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("AGENTBASE_DATA_DIR", dir.path())
        .env_remove("DATABASE_URL")
        .output()
        .expect("a shell");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("This API key is not allowed to use /v1/completions"),
        "the first request: {out}"
    );
    assert!(out.contains("\"chat.completion\""), "the second request: {out}");
    assert!(out.contains("unbroken"), "{out}");
    // The chat is billed by the prices that the page sets.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let usage = succeed(dir.path(), &["usage", "--json"]);
    let usage: Value = serde_json::from_str(&usage).expect("JSON");
    let number = |name: &str| usage[name].as_f64().expect("a number");
    assert_eq!(number("requests"), 1.0, "{usage}");
    let output = number("output_tokens");
    assert!((1.0..=8.0).contains(&output), "{usage}");
    let uncached = number("input_tokens") - number("cached_input_tokens");
    let picos =
        uncached * 150_000.0 + number("cached_input_tokens") * 75_000.0 + output * 600_000.0;
    assert_eq!(number("cost"), (picos / 1e6).ceil() / 1e6, "{usage}");
}
