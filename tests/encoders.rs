//! A tiny encoder by the command line: imported, measured, and its rows printed.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::binary::{fail, succeed};
use tempfile::TempDir;

fn import(dir: &Path) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/engine/encoder/testdata/bert-classifier");
    succeed(dir, &["model", "import", folder, "--name", "tiny"]);
}

/// The command line of a short measurement, and more.
fn bench<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let args = ["bench", "tiny", "--repeat", "1", "--threads", "1"];
    args.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn an_encoder_is_measured_by_batches() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path());
    let report = succeed(dir.path(), &bench(&["--inputs", "1x8,2x4", "--json"]));
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[1]["texts"], &rows[1]["tokens"]), (&json!(2), &json!(8)));
    assert!(rows.iter().all(|row| row["tokens_per_second"].as_f64() > Some(0.0)));
    assert_eq!(report.get("vectors"), None);

    let file = dir.path().join("tokens.json");
    let path = file.display().to_string();
    // A batch of two texts, and one of the second alone, which has the same row.
    std::fs::write(&file, "[[[2, 7, 3], [2, 9, 9, 3]], [[2, 9, 9, 3]]]").expect("a file");
    let report = succeed(dir.path(), &bench(&["--tokens", &path, "--json"]));
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["rows"][0]["tokens"], 11);
    let vectors = report["vectors"].as_array().expect("one for each text");
    assert_eq!(vectors.len(), 3);
    assert!(vectors.iter().all(|row| row.as_array().is_some_and(|row| row.len() == 3)));
    assert!(vectors[1] == vectors[2] && vectors[0] != vectors[1], "{vectors:?}");
    assert!(succeed(dir.path(), &bench(&["--inputs", "1x8"])).contains("tokens/s"));

    for (text, named) in [("[]", "no text"), ("[[7]]", "batches"), ("[[[2, 999]]]", "token 999")] {
        std::fs::write(&file, text).expect("a file");
        let error = fail(dir.path(), &bench(&["--tokens", &path]));
        assert!(error.contains(named), "{text}: {error}");
    }
    let error = fail(dir.path(), &bench(&["--inputs", "1x100000"]));
    assert!(error.contains("100000 tokens"), "{error}");
}
