//! What the binary has acknowledged is there after it was killed.

mod support;

use std::{sync::Mutex, time::Duration};

use support::binary::{Server, id, import, send, succeed};
use tempfile::TempDir;

const STORES: &[&str] = &["--kv-cache", "8MiB", "--store-prompts", "when-asked"];

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let first = Server::start_with(dir.path(), STORES);
    let key = first.key.clone().expect("the first start shows a key");
    let acknowledged = Mutex::new(Vec::new());
    let made = send(&first.address, &key, "POST", "/v1/conversations", "{}").expect("it is made");
    let items = format!("/v1/conversations/{}/items", id(&made));
    let (address, pid) = (first.address.clone(), first.child.id().to_string());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (address, key, items, acknowledged) = (&address, &key, &items, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    let text = format!("writer {writer}, number {number}");
                    let body = format!(r#"{{"items": [{{"role": "user", "content": "{text}"}}]}}"#);
                    match send(address, key, "POST", items, &body) {
                        Some(_) => acknowledged.lock().expect("no panic").push(text),
                        None => return,
                    }
                }
            });
        }
        while acknowledged.lock().expect("no panic").len() < 40 {
            std::thread::sleep(Duration::from_millis(5));
        }
        // While all of them write.
        let killed = std::process::Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.expect("kill runs").success());
    });
    first.kill();
    let second = Server::start_with(dir.path(), STORES);
    let acknowledged = acknowledged.into_inner().expect("no panic");
    let mut kept = String::new();
    let mut after = String::new();
    loop {
        let path = format!("{items}?order=asc&limit=100{after}");
        let page = send(&second.address, &key, "GET", &path, "").expect("it lists");
        kept += &page;
        if !page.contains("\"has_more\":true") {
            break;
        }
        let (_, last) = page.split_once("\"last_id\":\"").expect("a last id");
        after = format!("&after={}", last.split('"').next().expect("its end"));
    }
    for text in acknowledged {
        assert!(kept.contains(&format!("\"{text}\"")), "lost: {text}");
    }
    second.kill();
}

#[test]
fn a_background_response_that_a_kill_cut_off_has_failed() {
    let dir = TempDir::new().expect("a folder");
    let gguf = support::smollm2_gguf().display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "smollm2"]);
    let first = Server::start_with(dir.path(), STORES);
    let key = first.key.clone().expect("the first start shows a key");
    while !first.get("/ready", &key).starts_with("HTTP/1.1 200") {
        std::thread::sleep(Duration::from_millis(50));
    }
    let body = r#"{"model": "smollm2", "input": "Count from 1 to 5000.", "background": true}"#;
    let made = send(&first.address, &key, "POST", "/v1/responses", body).expect("it is queued");
    let path = format!("/v1/responses/{}", id(&made));
    first.kill();
    let second = Server::start_with(dir.path(), STORES);
    let body = send(&second.address, &key, "GET", &path, "").expect("it is there");
    assert!(body.contains("\"status\":\"failed\"") && body.contains("server stopped"), "{body}");
    second.kill();
}

#[test]
fn nothing_is_stored_until_the_project_says_so() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = Server::start(dir.path());
    let key = server.key.clone().expect("the first start shows a key");
    let make = || send(&server.address, &key, "POST", "/v1/conversations", "{}");
    assert!(make().is_none());
    let command =
        |args: &[&str]| succeed(dir.path(), &[&["project", "privacy", "default"], args].concat());
    let said = command(&["--store-prompts", "when-asked", "--retention-days", "7"]);
    assert!(said.contains("when_asked") && said.contains('7'), "{said}");
    std::thread::sleep(Duration::from_secs(1));
    assert!(make().is_some());
    let list = succeed(dir.path(), &["project", "list"]);
    assert!(list.contains("when_asked"), "{list}");
    command(&["--store-prompts", "default"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(make().is_none());
    server.kill();
    // What a server has by default a project can refuse.
    let server = Server::start_with(dir.path(), STORES);
    assert!(send(&server.address, &key, "POST", "/v1/conversations", "{}").is_some());
    command(&["--store-prompts", "never"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(send(&server.address, &key, "POST", "/v1/conversations", "{}").is_none());
    server.kill();
}
