//! The table of encoders in `docs/MODELS.md` is what the tests compare.
//!
//! Invariant: a cell is read off the files that `families.rs` and `decoders.rs` hold to
//! transformers and sentence-transformers; both take all that there are.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use engine_core::EncoderOutput;
use engine_encoder::known_architectures;
use engine_weights::Weights;
use support::{DECODERS, decoder, model, names};

const BEGIN: &str = "<!-- encoders: begin -->\n";
const END: &str = "<!-- encoders: end -->";
const NONE: &str = "\u{2014}";

/// What is compared of one class of transformers.
#[derive(Default)]
struct Row {
    gives: BTreeSet<String>,
    weights: BTreeSet<String>,
    gguf: BTreeSet<String>,
    goldens: BTreeSet<String>,
}

fn gives(meaning: &EncoderOutput) -> &'static str {
    match meaning {
        EncoderOutput::Embedding { .. } | EncoderOutput::Rows { .. } => "embeddings",
        EncoderOutput::Logits { labels, .. } if labels.len() == 1 => "a score",
        EncoderOutput::Logits { .. } => "labels",
    }
}

fn types(weights: &Weights) -> impl Iterator<Item = String> {
    let tensors = weights.names().filter_map(|name| weights.get(name));
    let matrices = tensors.filter(|tensor| tensor.shape().len() > 1);
    matrices.map(|tensor| tensor.dtype().name().to_owned())
}

fn rows() -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for name in names() {
        let (opened, _) = model(&name);
        match name.strip_suffix("-gguf") {
            // It stands in the row of the folder that it was made of.
            Some(folder) => {
                let row = rows.entry(model(folder).0.architecture).or_default();
                row.gguf.insert(format!("`{}`", opened.architecture));
            }
            None => {
                let row = rows.entry(opened.architecture.clone()).or_default();
                row.gives.insert(gives(&opened.meaning).to_owned());
                row.weights.extend(types(&opened.weights));
                row.goldens.insert(format!("`{name}`"));
            }
        }
    }
    for name in DECODERS {
        let (opened, _) = decoder(name);
        let row = rows.entry(opened.decoder.architecture.clone()).or_default();
        row.gives.insert(gives(&opened.meaning).to_owned());
        row.weights.extend(types(&opened.decoder.weights));
        row.goldens.insert(format!("`{name}`"));
    }
    rows
}

fn list(names: &BTreeSet<String>) -> String {
    match names.is_empty() {
        true => NONE.to_owned(),
        false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn table() -> String {
    let mut rows = rows();
    let mut text =
        "| `config.json` | gives | weights | GGUF | compared on |\n|---|---|---|---|---|\n"
            .to_owned();
    let mut line = |class: &str, row: Option<Row>| {
        let cells = match row {
            Some(Row { gives, weights, gguf, goldens }) => {
                [gives, weights, gguf, goldens].map(|names| list(&names)).join(" | ")
            }
            None => format!("{NONE} | {NONE} | {NONE} | not compared"),
        };
        text += &format!("| `{class}` | {cells} |\n");
    };
    for class in known_architectures() {
        line(class, rows.remove(class));
    }
    // What is left are decoders.
    rows.into_iter().for_each(|(class, row)| line(&class, Some(row)));
    text
}

#[test]
fn the_table_in_the_docs_is_what_the_tests_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/MODELS.md");
    let docs = std::fs::read_to_string(path).expect("docs/MODELS.md");
    let (before, rest) = docs.split_once(BEGIN).expect("the section's beginning");
    let (_, after) = rest.split_once(END).expect("the section's end");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).expect("it can be written");
    }
    assert!(docs == wanted, "docs/MODELS.md is out of date: run with UPDATE_DOCS=1");
}
