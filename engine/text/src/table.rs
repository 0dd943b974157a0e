//! The section of `docs/MODELS.md` on tokenizers and templates, held to what the tests hold.
//!
//! `UPDATE_DOCS=1 cargo test -p engine-text docs` writes it anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Family;
use crate::gguf::rule_names;

const BEGIN: &str = "<!-- engine-text: begin -->";
const END: &str = "<!-- engine-text: end -->";

/// What a tokenizer may be, where it comes from, and what the ids are held to.
const KINDS: [(&str, &str, &str, &str); 6] = [
    ("byte-level BPE", "`ByteLevel`", "`gpt2`", "llama.cpp, `tokenizers`"),
    ("BPE on characters, with bytes", "`byte_fallback`", "`gemma4`", "llama.cpp, `tokenizers`"),
    ("SentencePiece BPE by score", "as merges", "`llama`", "sentencepiece, llama.cpp"),
    ("Unigram", "`Unigram`", "`t5`", "sentencepiece, `tokenizers`"),
    ("WordPiece", "`WordPiece`", "`bert`", "`tokenizers`"),
    ("RWKV, PLaMo 2, others", "—", "refused by name", "—"),
];

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn section() -> String {
    let mut text = format!("{BEGIN}\n");
    text += "| kind | `tokenizer.json` | GGUF | ids held to |\n|---|---|---|---|\n";
    for (kind, json, gguf, reference) in KINDS {
        let _ = writeln!(text, "| {kind} | {json} | {gguf} | {reference} |");
    }
    text += "\nEach row is one rule of `tokenizer.ggml.pre`; other names are refused.\n\n";
    text += "| names of one rule | token ids held to llama.cpp's |\n|---|---|\n";
    let golden = |name: &str| {
        let text = std::fs::read_to_string(folder("testdata").join(name));
        let value: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        value
    };
    let (first, second, gemma) = (golden("smollm2.json"), golden("pre.json"), ["gemma4"]);
    for names in rule_names() {
        let is_held = |name: &&str| {
            !first["ids"][name].is_null() || !second[name].is_null() || gemma.contains(name)
        };
        let held = if names.iter().any(is_held) { "yes" } else { "same steps as others" };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| {} | {held} |", names.join(", "));
    }
    text += "\nChat templates whose prompts are held to transformers':\n\n";
    text += "| template | calls are read as |\n|---|---|\n";
    let files = std::fs::read_dir(folder("testdata/templates")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "jinja")) {
        let source = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let family = Family::of_template(&source);
        let calls = match source.contains("tools") {
            true => format!("{family:?}"),
            false => "no tools".to_owned(),
        };
        let _ = writeln!(text, "| {name} | {calls} |");
    }
    text + END
}

#[test]
fn the_table_in_the_docs_is_what_the_tests_hold() {
    let path = folder("../../docs/MODELS.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = docs.split_once(BEGIN).expect("the section's beginning");
    let (_, after) = rest.split_once(END).expect("the section's end");
    let wanted = format!("{before}{}{after}", section());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(docs == wanted, "docs/MODELS.md is out of date: run with UPDATE_DOCS=1");
}
