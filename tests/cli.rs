//! The command line as its users call it, on tiny models: the real binary, real files.

mod support;

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;
use support::binary::{agentbase, fail, import, succeed, text, tiny};
use tempfile::TempDir;

#[test]
fn models_are_imported_listed_shown_and_removed() {
    let dir = TempDir::new().expect("a folder");
    assert!(succeed(dir.path(), &["model", "list"]).contains("no models"));
    import(dir.path(), "llama");
    let gguf = tiny("gguf").join("model.gguf").display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "from-gguf"]);
    let list: Value = serde_json::from_str(&succeed(dir.path(), &["model", "list", "--json"]))
        .expect("it is JSON");
    assert_eq!(list[0]["name"], "from-gguf");
    assert_eq!(list[1]["format"], "safetensors");
    let table = succeed(dir.path(), &["model", "list"]);
    let source = table.find("SOURCE").expect("a heading");
    assert!(table.lines().skip(1).all(|line| line[source..].starts_with("file:")), "{table}");
    let shown = succeed(dir.path(), &["model", "show", "llama"]);
    assert!(shown.contains("layers") && shown.contains("context"), "{shown}");
    succeed(dir.path(), &["model", "rm", "llama"]);
    let error = fail(dir.path(), &["model", "show", "llama"]);
    assert!(error.contains("llama"), "{error}");
}

#[test]
fn a_key_is_shown_as_awss_clients_take_it() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = support::binary::Server::start(dir.path());
    let key = server.key.clone().expect("the first start shows a key");
    let shown = succeed(dir.path(), &["key", "aws", &key]);
    let names: Vec<_> = shown.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!([names[0].0, names[1].0], ["aws_access_key_id", "aws_secret_access_key"]);
    let by_variable = agentbase(dir.path())
        .args(["key", "aws"])
        .env("AGENTBASE_API_KEY", &key)
        .output()
        .expect("the binary starts");
    assert_eq!(text(&by_variable.stdout), shown);
    let mut by_input = agentbase(dir.path())
        .args(["key", "aws"])
        .env_remove("AGENTBASE_API_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = by_input.stdin.take().expect("piped");
    writeln!(input, "{key}").expect("it reads");
    drop(input);
    let by_input = by_input.wait_with_output().expect("it ends");
    assert_eq!(text(&by_input.stdout), shown);
    let error = fail(dir.path(), &["key", "aws", "ab-wrong"]);
    assert!(error.contains("not in") && !error.contains("ab-wrong"), "{error}");
    server.kill();
}

#[test]
fn the_data_directory_may_come_after_the_subcommand() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let after = Command::new(env!("CARGO_BIN_EXE_agentbase"))
        .args(["model", "list", "--data-dir"])
        .arg(dir.path())
        .output()
        .expect("the binary starts");
    assert!(text(&after.stdout).contains("llama"), "{}", text(&after.stderr));
}

#[test]
fn a_file_that_lies_is_refused_by_name_and_not_stored() {
    let dir = TempDir::new().expect("a folder");
    let whole = fs::read(tiny("gguf").join("model.gguf")).expect("it reads");
    let cut = dir.path().join("cut.gguf");
    fs::write(&cut, &whole[..whole.len() - 100]).expect("it writes");
    let cut = cut.display().to_string();
    let error = fail(dir.path(), &["model", "import", &cut, "--name", "cut"]);
    assert!(error.contains("tensor"), "{error}");
    assert!(succeed(dir.path(), &["model", "list"]).contains("no models"));
    for args in [
        ["model", "import", "/nowhere/at/all.gguf", "--name", "x"],
        ["model", "import", &cut, "--name", "../x"],
        ["model", "pull", "hf:not-a-repository", "--name", "x"],
    ] {
        let error = fail(dir.path(), &args);
        assert!(error.starts_with("error: "), "{args:?}");
        assert!(error.matches("No such file").count() <= 1, "said twice: {error}");
    }
}

#[test]
fn a_model_answers_in_the_terminal_and_is_measured() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let ask = ["run", "llama", "hello", "--max-tokens", "8", "--seed", "1"];
    let answer = succeed(dir.path(), &ask);
    assert!(!answer.trim().is_empty());
    assert_eq!(answer, succeed(dir.path(), &ask), "the same seed");
    let report = succeed(
        dir.path(),
        &[
            "bench",
            "llama",
            "--prompt",
            "16",
            "--batch",
            "1,2",
            "--depth",
            "8",
            "--generate",
            "4",
            "--repeat",
            "1",
            "--json",
            "--threads",
            "1",
        ],
    );
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(3));
    assert!(report["rows"][0]["tokens_per_second"].as_f64() > Some(0.0));
    let error = fail(dir.path(), &["bench", "llama", "--depth", "100000000"]);
    assert!(error.contains("context"), "{error}");
    for (size, named) in [("1000TiB", "no memory"), ("1", "one block"), ("much", "512MiB")] {
        let error = fail(dir.path(), &["run", "llama", "hello", "--kv-cache", size]);
        assert!(error.contains(named), "{size}: {error}");
    }
}

#[test]
fn serving_without_keys_is_for_loopback_only() {
    let dir = TempDir::new().expect("a folder");
    let error = fail(dir.path(), &["serve", "--listen", "0.0.0.0:0", "--no-auth"]);
    assert!(error.contains("loopback"), "{error}");
    let error = fail(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("model import"), "{error}");
    import(dir.path(), "llama");
    let error = fail(dir.path(), &["serve", "--model", "lama", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("lama") && error.contains("llama"), "{error}");
}

#[test]
fn a_reader_that_has_had_enough_ends_a_command_quietly() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let mut child = agentbase(dir.path())
        .args(["model", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn variables_win_over_the_settings_file_and_arguments_over_both() {
    let dir = TempDir::new().expect("a folder");
    let settings = dir.path().join("elsewhere.toml");
    fs::write(&settings, "model = [\"from-file\"]").expect("it writes");
    let asks_for = |command: &mut Command| {
        let output = command.env("AGENTBASE_CONFIG", &settings).output().expect("it starts");
        text(&output.stderr)
    };
    let serve = || {
        let mut command = agentbase(dir.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command
    };
    assert!(asks_for(&mut serve()).contains("called from-file"));
    let error = asks_for(serve().env("AGENTBASE_MODEL", "from-variable"));
    assert!(error.contains("called from-variable"), "{error}");
    let error = asks_for(serve().env("AGENTBASE_MODEL", "x").args(["--model", "from-argument"]));
    assert!(error.contains("called from-argument"), "{error}");
    let error = asks_for(serve().env("AGENTBASE_THREADS", "none"));
    assert!(error.contains("1 to 1024"), "{error}");
}
