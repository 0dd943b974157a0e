//! The command line as its users call it, on tiny models: the real binary, real files.

mod support;

use std::{
    fs,
    io::Write,
    path::Path,
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
    assert!(error.contains("nobody has") && !error.contains("ab-wrong"), "{error}");
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
    for (size, named) in [("1000TiB", "no memory"), ("1", "holds nothing"), ("much", "512MiB")] {
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

/// What lies in the registry's folder for what is half done.
fn staged(data_dir: &Path) -> usize {
    fs::read_dir(data_dir.join("models/staging")).expect("the folder is there").count()
}

#[test]
fn quantize_stores_a_model_that_runs_and_says_what_it_cost() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let quantize = ["model", "quantize", "llama", "--to"];
    let report = succeed(dir.path(), &[&quantize[..], &["q8_0", "--json"]].concat());
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let number = |of: &str, when: &str, field: &str| {
        report[of][when][field].as_f64().unwrap_or_else(|| panic!("{of} {when} {field}: {report}"))
    };
    let [before, after] = ["before", "after"].map(|when| number("perplexity", when, "value"));
    assert!(before > 200.0, "random weights know nothing: {report}");
    assert!(before != after && (after / before - 1.0).abs() < 0.02, "{report}");
    assert!(number("perplexity", "after", "chunks") > 20.0, "{report}");
    assert!(report["bytes"]["after"].as_u64() < report["bytes"]["before"].as_u64(), "{report}");
    let source = report["manifest"]["source"].as_str().expect("a source");
    assert!(source.starts_with("model:llama@") && source.ends_with("Q8_0"), "{source}");
    assert!(!succeed(dir.path(), &["run", "llama-q8_0", "hello", "--max-tokens", "4"]).is_empty());

    // From GGUF to GGUF, under another name, without measuring; what is quantised already says so.
    let gguf = tiny("gguf-formats").join("model.gguf").display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "formats"]);
    let args = ["model", "quantize", "formats", "--to", "Q4_0", "--name", "four"];
    let output = support::binary::run(dir.path(), &[&args[..], &["--no-perplexity"]].concat());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && err.contains("quantised already"), "{out}{err}");
    assert!(out.contains("four") && !out.contains("perplexity"), "{out}");
    assert!(succeed(dir.path(), &["model", "list"]).contains("four"));
    assert_eq!(staged(dir.path()), 0);
}

#[test]
fn quantize_refuses_what_it_cannot_do_and_leaves_all_as_it_was() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    // A number that is none, in a matrix.
    let damaged = dir.path().join("damaged");
    fs::create_dir(&damaged).expect("a folder");
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(tiny("llama").join(name), damaged.join(name)).expect("it is copied");
    }
    let path = damaged.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("it reads");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..header]).expect("a header");
    let tensor = "model.layers.1.mlp.up_proj.weight";
    let at = header + json[tensor]["data_offsets"][0].as_u64().expect("a place") as usize;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("it writes");
    let from = damaged.display().to_string();
    succeed(dir.path(), &["model", "import", &from, "--name", "damaged"]);
    let short = dir.path().join("short.txt").display().to_string();
    fs::write(&short, "Too little.").expect("it writes");
    let list = || succeed(dir.path(), &["model", "list", "--json"]);
    let before = list();
    for (args, reason) in [
        (&["llama", "--to", "q4_k_m"][..], "q4_k, q5_k, q6_k"),
        (&["llama", "--to", "iq2_xs"], "q8_0"),
        (&["llama", "--to", "q8_0", "--name", "damaged"], "--force"),
        (&["llama", "--to", "q8_0", "--name", "../x"], "not a model name"),
        (&["llama", "--to", "q8_0", "--text", &short], "less than one context"),
        (&["lama", "--to", "q8_0"], "did you mean llama"),
        (&["damaged", "--to", "q8_0", "--no-perplexity"], tensor),
    ] {
        let error = fail(dir.path(), &[&["model", "quantize"], args].concat());
        assert!(error.contains("error: ") && error.contains(reason), "{args:?}: {error}");
        assert_eq!((list(), staged(dir.path())), (before.clone(), 0), "{args:?}");
    }
    let force = ["model", "quantize", "llama", "--to", "q8_0", "--name", "llama", "--force"];
    succeed(dir.path(), &[&force[..], &["--no-perplexity"]].concat());
    assert!(list().contains("in Q8_0"), "{}", list());
}

#[cfg(unix)]
#[test]
fn quantize_that_is_stopped_or_killed_leaves_all_as_it_was() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let long = dir.path().join("long.txt");
    fs::write(&long, "All work and no play. ".repeat(150_000)).expect("it writes");
    let list = || succeed(dir.path(), &["model", "list", "--json"]);
    let before = list();
    for (signal, left) in [("-INT", 0), ("-TERM", 0), ("-KILL", 1)] {
        let mut child = agentbase(dir.path())
            .args(["model", "quantize", "llama", "--to", "q8_0", "--text"])
            .arg(&long)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        // It measures once weights are packed.
        let packed = dir.path().join("packed");
        while !fs::read_dir(&packed).is_ok_and(|files| files.count() > 0) {
            assert!(child.try_wait().expect("it can be asked").is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), (signal != "-KILL").then_some(130), "{signal}");
        assert_eq!(staged(dir.path()), left, "{signal}");
        assert_eq!((list(), staged(dir.path())), (before.clone(), 0), "{signal}");
        fs::remove_dir_all(packed).expect("it goes");
    }
}
