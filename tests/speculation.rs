//! Guessing ahead, on the real model through the real server: the same text in fewer steps where
//! it repeats what was said, and none of it where it is switched off.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use support::binary::{Server, succeed};
use tempfile::TempDir;

const TEXT: &str = "The old harbour lies in the north of the town. In spring, fishing boats come \
    in at six in the morning, and the market opens at seven. In winter, the boats stay out until \
    noon, and the market is closed on Mondays and Tuesdays.";

/// To be answered with what was said, and with something new; greedily and by the seed.
fn bodies() -> [Value; 3] {
    let repeat = format!("Repeat this text word for word:\n\n{TEXT}");
    let body = |content: &str, temperature: f32| {
        json!({
            "model": "smollm2",
            "messages": [{"role": "user", "content": content}],
            "temperature": temperature,
            "max_tokens": 70,
            "seed": 7,
            "logprobs": true,
            "frequency_penalty": if temperature > 0.0 { 0.1 } else { 0.0 },
        })
    };
    [body(&repeat, 0.0), body("Tell me of the sea.", 0.0), body(&repeat, 0.7)]
}

fn start(data_dir: &Path, speculation: &str) -> Server {
    let args = ["--kv-cache", "64MiB", "--speculation", speculation];
    let server = Server::start_with(data_dir, &args);
    while !server.get("/ready", "").starts_with("HTTP/1.1 200") {
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

/// What a chat is answered with, but for what differs from one answer to the next.
fn ask(server: &Server, key: &str, body: &Value) -> (Value, Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let mut body: Value = serde_json::from_str(body).expect("it is JSON");
    (body["choices"].take(), body["usage"]["completion_tokens"].take())
}

/// Tokens guessed, and those that were right.
fn counts(server: &Server) -> [u64; 2] {
    let metrics = server.get("/metrics", "");
    ["agentbase_draft_tokens_total{", "agentbase_accepted_draft_tokens_total{"].map(|name| {
        let line = metrics.lines().find(|line| line.starts_with(name)).expect("it is counted");
        line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count")
    })
}

#[test]
fn the_text_is_the_same_with_and_without_guesses() {
    let dir = TempDir::new().expect("a folder");
    let gguf = support::smollm2_gguf().display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "smollm2"]);
    let off = start(dir.path(), "off");
    let key = off.key.clone().expect("the first start shows a key");
    let plain = bodies().map(|body| ask(&off, &key, &body));
    assert_eq!(counts(&off), [0, 0]);
    off.kill();

    let on = start(dir.path(), "auto");
    for (body, plain) in bodies().into_iter().zip(&plain) {
        let mut unwilling = body.clone();
        unwilling["speculation"] = json!(false);
        let before = counts(&on);
        assert_eq!(ask(&on, &key, &unwilling), *plain);
        assert_eq!(counts(&on), before);
        assert_eq!(ask(&on, &key, &body), *plain);
        if body == bodies()[0] {
            let [drafts, right] = counts(&on);
            assert!(right > 20 && right <= drafts, "{right} of {drafts} were right");
        }
    }
    on.kill();
}
