//! Answers of the real binary to many schemas, held to them by another library: generated and
//! picked ones, at temperatures from 0 to 2, cut by `max_tokens` or not.

#[path = "../engine/grammar/tests/support/schemas.rs"]
mod schemas;
mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use support::binary::{Server, import};
use tempfile::TempDir;

/// Beside those that were picked.
const NUM_GENERATED: u64 = 480;
const TEMPERATURES: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
/// The first cuts nearly all answers, the others few.
const MAX_TOKENS: [u64; 4] = [5, 60, 120, 200];

fn post(server: &Server, key: &str, body: &Value) -> (bool, Value) {
    let body = body.to_string();
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
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let body = serde_json::from_str(body).expect("JSON");
    (head.starts_with("HTTP/1.1 200"), body)
}

/// Asks for answers to a schema and holds them to it; how many were whole and how many cut.
fn hold((server, key): (&Server, &str), idx: usize, schema: &Value) -> (usize, usize) {
    let (temperature, max_tokens) = (TEMPERATURES[idx % 5], MAX_TOKENS[idx % 4]);
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body = json!({"model": "llama", "prompt": "x", "n": 2, "seed": idx,
        "max_tokens": max_tokens, "temperature": temperature, "response_format": format});
    let (is_ok, answer) = post(server, key, &body);
    if !is_ok {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("Unsatisfiable"), "{answer}\nfor {schema}");
        return (0, 0);
    }
    let validator = jsonschema::options().should_validate_formats(true).build(schema);
    let validator = validator.expect("a schema");
    let (mut num_whole, mut num_cut) = (0, 0);
    for choice in answer["choices"].as_array().expect("choices") {
        if choice["finish_reason"] == "length" {
            num_cut += 1;
            continue;
        }
        assert_eq!(choice["finish_reason"], "stop", "{answer}\nfor {schema}");
        num_whole += 1;
        let text = choice["text"].as_str().expect("a text");
        let value = serde_json::from_str::<Value>(text);
        // JSON has numbers that no float holds.
        if value.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            continue;
        }
        let value = value.unwrap_or_else(|error| panic!("{error}\n{text}\nfor {schema}"));
        let valid = validator.validate(&value);
        assert!(valid.is_ok(), "{text} at temperature {temperature}\nfor {schema}");
    }
    let most = max_tokens * (num_whole + num_cut) as u64;
    assert!(answer["usage"]["completion_tokens"].as_u64() <= Some(most), "{answer}");
    (num_whole, num_cut)
}

#[test]
fn whatever_is_answered_to_a_schema_is_valid_or_says_that_it_was_cut() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = Server::start_with(dir.path(), &["--kv-cache", "8MiB"]);
    let key = server.key.clone().expect("the first start shows a key");
    while !server.get("/ready", &key).starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let picked = include_str!("../engine/grammar/tests/schemas.json");
    let mut all: Vec<Value> = serde_json::from_str(picked).expect("the file is well-formed");
    let generated = (0..NUM_GENERATED)
        .map(|seed| schemas::random_schema(&mut StdRng::seed_from_u64(10_000 + seed), 3));
    all.extend(generated);
    assert!(all.len() >= 500, "{}", all.len());
    let (mut whole, mut cut) = (0, 0);
    for (idx, schema) in all.iter().enumerate() {
        let (num_whole, num_cut) = hold((&server, &key), idx, schema);
        (whole, cut) = (whole + num_whole, cut + num_cut);
    }
    assert!(whole > all.len() / 2 && cut > all.len() / 4, "{whole} were whole, {cut} were cut");
    server.kill();
}
