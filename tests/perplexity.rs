//! `agentbase perplexity` as its users call it. How close the number is to others' is held by
//! `engine/llm/tests/fidelity.rs`; here it is that the command scores the same tokens.

mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{
    binary::{agentbase, fail, import, succeed, text, tiny},
    smollm2_gguf,
};
use tempfile::TempDir;

const EXCERPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/engine/llm/testdata/wikitext/excerpt.txt");

fn report(data_dir: &Path, model: &str, extra: &[&str]) -> Value {
    let args = ["perplexity", model, "--file", EXCERPT, "--json"];
    serde_json::from_str(&succeed(data_dir, &[&args, extra].concat())).expect("it is JSON")
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"))
}

#[test]
fn a_report_says_what_was_scored() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let all = report(dir.path(), "llama", &["--context", "64"]);
    let two = report(dir.path(), "llama", &["--context", "64", "--chunks", "2", "--threads", "1"]);
    assert_eq!((number(&two, "chunks"), number(&two, "tokens")), (2.0, 62.0), "{two}");
    assert_eq!(number(&all, "tokens"), 31.0 * number(&all, "chunks"), "{all}");
    assert!(number(&all, "chunks") > 100.0, "{all}");
    // Random weights predict about as well as a guess among the 300 tokens, or worse.
    assert!(number(&all, "perplexity") > 250.0 && number(&all, "error") > 0.0, "{all}");
    assert!((number(&two, "mean_nll").exp() / number(&two, "perplexity") - 1.0).abs() < 1e-9);
    let args = ["perplexity", "llama", "--file", EXCERPT, "--context", "64", "--chunks", "2"];
    let told = succeed(dir.path(), &args);
    let line = format!("perplexity {:.4} ± ", number(&two, "perplexity"));
    assert!(told.contains(&line) && told.contains("2 chunks of 64 tokens"), "{told}");
}

#[test]
fn the_default_model_scores_the_tokens_that_transformers_scored() {
    let dir = TempDir::new().expect("a folder");
    let gguf = smollm2_gguf().display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "smollm2"]);
    // So many that the rounding of activations, which moves a chunk's mean by a hundredth on each
    // instruction set in its own way, evens out.
    const CHUNKS: usize = 8;
    let got = report(dir.path(), "smollm2", &["--chunks", &CHUNKS.to_string()]);
    let golden = Path::new(EXCERPT).with_file_name("golden.json");
    let golden = fs::read_to_string(golden).expect("it reads");
    let golden: Value = serde_json::from_str(&golden).expect("it is JSON");
    let nll = |chunk: usize| golden["transformers"]["nll"][chunk].as_f64().expect("a number");
    assert_eq!(number(&got, "tokens"), 255.0 * CHUNKS as f64, "{got}");
    let want = (0..CHUNKS).map(nll).sum::<f64>() / number(&got, "tokens");
    assert!((number(&got, "mean_nll") - want).abs() < 0.01, "{got}, by transformers {want}");
}

#[test]
fn without_simd_the_number_is_the_same() {
    let dir = TempDir::new().expect("a folder");
    let gguf = smollm2_gguf().display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "smollm2"]);
    let mean_nll = |isa: Option<&str>| {
        let mut command = agentbase(dir.path());
        command.env_remove("AGENTBASE_ISA").envs(isa.map(|isa| ("AGENTBASE_ISA", isa)));
        command.args(["perplexity", "smollm2", "--file", EXCERPT, "--json"]);
        // One form of the cache: each instruction set has a default of its own.
        command.args(["--context", "128", "--chunks", "2", "--kv-cache-dtype", "bf16"]);
        let output = command.output();
        let output = output.expect("the binary starts");
        assert!(output.status.success(), "{isa:?}: {}", text(&output.stderr));
        number(&serde_json::from_slice(&output.stdout).expect("it is JSON"), "mean_nll")
    };
    let fastest = mean_nll(None);
    // Sums in another order round otherwise, which over so few tokens is a hundredth.
    let mut others = vec!["portable"];
    #[cfg(target_arch = "x86_64")]
    others.extend(std::arch::is_x86_feature_detected!("avx2").then_some("avx2"));
    for isa in others {
        let got = mean_nll(Some(isa));
        assert!((got - fastest).abs() < 0.015, "{isa}: {got}, otherwise {fastest}");
    }
}

#[test]
fn instructions_that_there_are_not_are_refused() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let mut command = agentbase(dir.path());
    command.env("AGENTBASE_ISA", "avx3").args(["bench", "llama", "--prompt", "16"]);
    let output = command.output().expect("the binary starts");
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("`avx3`"), "{error}");
    assert!(error.contains("portable"), "{error}");
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let gguf = tiny("gguf").join("model.gguf").display().to_string();
    let short = dir.path().join("short.txt");
    fs::write(&short, "A few words.").expect("it writes");
    let short = short.display().to_string();
    for (args, reason) in [
        (["llama", "--file", "/nowhere/at/all.txt", "--context", "64"], "cannot read /nowhere"),
        (["llama", "--file", &gguf, "--context", "64"], "no UTF-8"),
        (["llama", "--file", &short, "--context", "64"], "less than one context of 64"),
        (["llama", "--file", EXCERPT, "--context", "512"], "over the 256"),
        (["llama", "--file", EXCERPT, "--context", "2"], "too short"),
        (["llama", "--file", EXCERPT, "--chunks", "0"], "--chunks"),
        (["nobody", "--file", EXCERPT, "--context", "64"], "nobody"),
    ] {
        let error = fail(dir.path(), &[&["perplexity"], &args[..]].concat());
        assert!(error.contains("error: ") && error.contains(reason), "{args:?}: {error}");
    }
}
