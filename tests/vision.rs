//! From a folder of a model that sees to an answer about an image: the real binary, a tiny model.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use support::binary::{Server, fail, succeed};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/vision/testdata")
}

fn image(name: &str) -> Value {
    let bytes = std::fs::read(testdata().join("images").join(name)).expect("an image");
    let url = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn ask(server: &Server, content: Value) -> (u16, Value) {
    let body = json!({"model": "smolvlm", "max_tokens": 4, "temperature": 0, "logprobs": true,
        "messages": [{"role": "user", "content": content}]})
    .to_string();
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn a_model_that_sees_answers_about_an_image() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = testdata().join("smolvlm");
    let from = folder.display().to_string();
    succeed(dir.path(), &["model", "import", &from, "--name", "smolvlm"]);
    let shown = succeed(dir.path(), &["model", "show", "smolvlm"]);
    assert!(shown.contains("preprocessor_config.json"), "{shown}");
    let server = Server::start_with(dir.path(), &["--kv-cache", "8MiB", "--no-auth"]);
    // It listens before the model is loaded.
    let is_ready = (0..1500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        ask(&server, json!("Hi")).0 == 200
    });
    assert!(is_ready, "the model is loaded");
    let golden = std::fs::read(folder.join("golden.json")).expect("golden.json");
    let golden: Value = serde_json::from_slice(&golden).expect("JSON");
    let prompt = &golden["prompts"][0];
    let question = json!({"type": "text", "text": "what is this?"});
    let (status, answer) = ask(&server, json!([image("photo.png"), question]));
    assert_eq!(status, 200, "{answer}");
    let num_tokens = prompt["tokens"].as_array().expect("tokens").len();
    assert_eq!(answer["usage"]["prompt_tokens"], num_tokens, "as transformers' processor has it");
    // The reference's log-probability of the token that was chosen, in users' arithmetic.
    let row = prompt["logits"].as_array().and_then(|rows| rows.last()).expect("logits");
    let row: Vec<f64> = serde_json::from_value(row.clone()).expect("numbers");
    let sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
    let best = row.iter().copied().fold(f64::MIN, f64::max) - sum;
    let first = &answer["choices"][0]["logprobs"]["content"][0]["logprob"];
    let first = first.as_f64().expect("a number");
    assert!((first - best).abs() < 0.05, "{first}, but the reference's best is {best}");
    // The same image again is in the cache; another one is not taken for it.
    let (_, again) = ask(&server, json!([image("photo.png"), question]));
    assert!(again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() > Some(16));
    assert_eq!(again["choices"], answer["choices"]);
    let (_, other) = ask(&server, json!([image("palette.png"), question]));
    let cached = &other["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert!(cached.as_u64() < Some(32), "{other}");
    assert_ne!(other["choices"], answer["choices"]);
    let (status, refused) = ask(
        &server,
        json!([{"type": "image_url",
        "image_url": {"url": "http://127.0.0.1/"}}]),
    );
    assert_eq!(status, 400);
    assert_eq!(refused["error"]["param"], "messages[0].content[0].image_url.url");
}

#[test]
fn a_folder_without_its_rules_for_images_is_not_imported() {
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).expect("a folder");
    for entry in std::fs::read_dir(testdata().join("smolvlm")).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "preprocessor_config.json" {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
        }
    }
    let data_dir = dir.path().join("data");
    let from = copy.display().to_string();
    let error = fail(&data_dir, &["model", "import", &from, "--name", "x"]);
    assert!(error.contains("preprocessor_config.json is missing"), "{error}");
}
