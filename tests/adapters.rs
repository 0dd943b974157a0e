//! Adapters from the command line to an answer: the real binary, tiny models, PEFT's own files.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use support::binary::{Server, fail, import, succeed};
use tempfile::TempDir;

fn adapter(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/llm/testdata/adapters");
    folder.join(name).display().to_string()
}

fn import_adapter(data_dir: &Path, folder: &str, name: &str) {
    let folder = adapter(folder);
    succeed(data_dir, &["model", "import", &folder, "--base", "llama", "--name", name]);
}

/// A copy of an adapter with another configuration.
fn changed(dir: &Path, field: &str, value: Value) -> PathBuf {
    let copy = dir.join("changed");
    std::fs::create_dir_all(&copy).expect("a folder");
    let from = PathBuf::from(adapter("llama-attention"));
    let tensors = "adapter_model.safetensors";
    std::fs::copy(from.join(tensors), copy.join(tensors)).expect("it is copied");
    let config = std::fs::read(from.join("adapter_config.json")).expect("it reads");
    let mut config: Value = serde_json::from_slice(&config).expect("it is JSON");
    config[field] = value;
    std::fs::write(copy.join("adapter_config.json"), config.to_string()).expect("a file");
    copy
}

/// Status and body of one request.
fn ask(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
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

/// The tokens that greedy choice appends, as text with their log-probabilities.
fn complete(server: &Server, model: &str) -> (u16, Value) {
    let prompt: Vec<u32> = (2..40).collect();
    let body = json!({"model": model, "prompt": prompt, "max_tokens": 12, "temperature": 0,
        "logprobs": 1, "ignore_eos": true});
    let (status, answer) = ask(server, "/v1/completions", &body);
    let what = if status == 200 { &answer["choices"][0]["logprobs"] } else { &answer["error"] };
    (status, what.clone())
}

fn start(data_dir: &Path, args: &[&str]) -> Server {
    let args = [&["--kv-cache", "8MiB", "--no-auth"], args].concat();
    let server = Server::start_with(data_dir, &args);
    while ask(&server, "/ready", &Value::Null).0 != 200 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server
}

#[test]
fn adapters_are_imported_and_removed_while_the_server_answers() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    import_adapter(dir.path(), "llama-attention", "one");
    let other = [("base_model_name_or_path", "elsewhere/llama"), ("base_model_name_or_path", "x")];
    for ((field, trained_on), is_told) in other.into_iter().zip([false, true]) {
        let folder = changed(dir.path(), field, Value::from(trained_on));
        let folder = folder.display().to_string();
        let import = ["model", "import", &folder, "--base", "llama", "--name", "told"];
        let said = succeed(dir.path(), &import);
        assert_eq!(said.contains("trained on \"x\""), is_told, "{said}");
        succeed(dir.path(), &["model", "rm", "llama:told"]);
    }
    let list = succeed(dir.path(), &["model", "list"]);
    assert!(list.contains("llama:one") && list.contains("adapter"), "{list}");
    let shown = succeed(dir.path(), &["model", "show", "llama:one"]);
    assert!(shown.contains("of llama, version"), "{shown}");
    // Room for one of them at a time.
    let server = start(dir.path(), &["--adapter-memory", "36KiB"]);
    let (_, plain) = complete(&server, "llama");
    let (status, one) = complete(&server, "llama:one");
    assert_eq!(status, 200, "{one}");
    assert_ne!(plain, one);
    assert_eq!(complete(&server, "llama:two").0, 404);
    import_adapter(dir.path(), "llama-rslora", "two");
    let (status, two) = complete(&server, "llama:two");
    assert_eq!(status, 200, "{two}");
    assert!(two != one && two != plain);
    // Each again, the prompt being in the cache.
    for (model, said) in [("llama", &plain), ("llama:one", &one), ("llama:two", &two)] {
        assert_eq!(complete(&server, model), (200, said.clone()), "{model}");
    }
    let (_, models) = ask(&server, "/v1/models", &Value::Null);
    let parents: Vec<_> = models["data"].as_array().expect("a list").iter().collect();
    let parents: Vec<_> = parents.iter().map(|m| (m["id"].clone(), m["parent"].clone())).collect();
    let two_of_it = ["one", "two"].map(|name| (json!(format!("llama:{name}")), json!("llama")));
    assert_eq!(parents[0], (json!("llama"), Value::Null));
    assert_eq!(parents[1..], two_of_it);
    // The name stands for another adapter at once.
    import_adapter(dir.path(), "llama-patterns", "one");
    let (status, other) = complete(&server, "llama:one");
    assert!(status == 200 && other != one, "{other}");
    assert!(fail(dir.path(), &["model", "rm", "llama"]).contains("llama:one"));
    succeed(dir.path(), &["model", "rm", "llama:one"]);
    assert_eq!(complete(&server, "llama:one").0, 404);
    assert_eq!(complete(&server, "llama"), (200, plain));
    server.kill();
}

#[test]
fn an_adapter_of_another_version_of_its_base_is_told_and_the_server_goes_on() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    import_adapter(dir.path(), "llama-attention", "one");
    let other = support::binary::tiny("llama3").display().to_string();
    succeed(dir.path(), &["model", "import", &other, "--name", "llama"]);
    let server = start(dir.path(), &[]);
    let (status, error) = complete(&server, "llama:one");
    assert_eq!(status, 503, "{error}");
    assert!(error["message"].as_str().expect("words").contains("another version"), "{error}");
    assert_eq!(complete(&server, "llama").0, 200);
    server.kill();
    let server = start(dir.path(), &["--no-adapters"]);
    assert_eq!(complete(&server, "llama:one").0, 404);
    server.kill();
}

#[test]
fn what_is_no_adapter_of_the_base_is_refused_by_field_or_tensor() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let refuse = |folder: &str, base: &str, words: &[&str]| {
        let args = ["model", "import", folder, "--base", base, "--name", "x"];
        let error = fail(dir.path(), &args);
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    };
    refuse(&adapter("llama-attention"), "nobody", &["nobody"]);
    refuse(&adapter("phi3"), "llama", &["adapter_model.safetensors", "down_proj", "32", "64"]);
    refuse(&adapter("gpt2"), "llama", &["adapter_model.safetensors", "no module"]);
    refuse(&adapter("granite"), "llama", &["lora_", "32"]);
    let of = |field: &str, value: Value| changed(dir.path(), field, value).display().to_string();
    refuse(&of("r", json!(8)), "llama", &["rank 4", "`r`", "8"]);
    refuse(&of("use_dora", json!(true)), "llama", &["use_dora", "DoRA"]);
    refuse(&of("peft_type", json!("LOHA")), "llama", &["peft_type", "LOHA"]);
    let list = succeed(dir.path(), &["model", "list", "--json"]);
    assert!(!list.contains("llama:x"), "{list}");
    let error = fail(dir.path(), &["model", "import", &adapter("phi3"), "--name", "x"]);
    assert!(error.contains("--base"), "{error}");
    for command in [&["run", "llama:x", "hello"][..], &["serve", "--model", "llama:x"]] {
        let error = fail(dir.path(), command);
        assert!(error.contains("adapter"), "{error}");
    }
}
