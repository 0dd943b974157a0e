//! The tables in `docs/MODELS.md` are what the tests compare: families, the numbers that their
//! weights are stored in, adapters, and quantised formats.
//!
//! Invariant: a cell is read off the files that `families.rs`, `golden.rs`, `quantised.rs` and
//! `adapters.rs` hold to their references; each of these takes all that there are.

#[path = "support/adapters.rs"]
mod adapters;
#[path = "support/golden.rs"]
mod golden;

use std::collections::{BTreeMap, BTreeSet};

use engine_llm::weights::Model;
use kernels::quant::DType;
use serde_json::Value;

type Names = BTreeSet<String>;

/// What is not there.
const NONE: &str = "\u{2014}";

/// What is compared, by the name of the architecture in its files.
#[derive(Default)]
struct Compared {
    /// The types of matrices.
    types: BTreeMap<String, Names>,
    /// Those with adapters.
    adapted: Names,
}

/// The types of a model's matrices.
fn types(model: &Model) -> impl Iterator<Item = DType> {
    let tensors = model.weights.names().filter_map(|name| model.weights.get(name));
    tensors.filter(|tensor| tensor.shape().len() > 1).map(|tensor| tensor.dtype())
}

impl Compared {
    fn new() -> Self {
        let mut compared = Self::default();
        let tiny = golden::TINY.iter().map(|name| golden::tiny(name).0);
        let families = golden::families();
        let folders = families.iter().map(|name| golden::family(name).0);
        let files = families.iter().filter_map(|name| Some(golden::family_gguf(name)?.0));
        for model in tiny.chain(folders).chain(files) {
            let names = types(&model).map(|dtype| dtype.name().to_owned());
            compared.types.entry(model.architecture.clone()).or_default().extend(names);
        }
        for name in adapters::names() {
            match adapters::golden(&name).base.split_once('/').expect("a folder") {
                ("tiny", base) => compared.adapt(golden::tiny(base).0),
                (_, base) => {
                    compared.adapt(golden::family(base).0);
                    compared.adapt(golden::family_gguf(base).expect("a GGUF file").0);
                }
            }
        }
        compared
    }

    fn adapt(&mut self, model: Model) {
        self.adapted.insert(model.architecture);
    }

    /// Names of one family, and what of each is compared.
    fn cells(&self, architectures: &[&str]) -> [String; 3] {
        if architectures.is_empty() {
            return [NONE; 3].map(str::to_owned);
        }
        let join = |cell: &dyn Fn(&str) -> String| {
            architectures.iter().map(|name| cell(name)).collect::<Vec<_>>().join("; ")
        };
        let types = |name: &str| match self.types.get(name) {
            Some(types) => list(types),
            None => "not compared".to_owned(),
        };
        let adapted = |name: &str| {
            if self.adapted.contains(name) { "yes".to_owned() } else { NONE.to_owned() }
        };
        [join(&|name| format!("`{name}`")), join(&types), join(&adapted)]
    }

    fn families(&self) -> String {
        let mut text = "| `config.json` | weights | adapters | GGUF | weights | adapters |\n\
                        |---|---|---|---|---|---|\n"
            .to_owned();
        for (architectures, gguf) in engine_llm::known_architectures() {
            let cells = [self.cells(architectures), self.cells(gguf)].concat();
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    /// GGUF's types, and in which models logits are compared.
    fn formats(&self) -> String {
        let gguf: Names = engine_llm::known_architectures()
            .flat_map(|(_, gguf)| gguf.iter().map(|name| (*name).to_owned()))
            .collect();
        let mut text =
            "| GGUF type | numbers compared | logits compared |\n|---|---|---|\n".to_owned();
        for dtype in DType::ALL.into_iter().filter(|dtype| dtype.ggml_id().is_some()) {
            let has = |name: &&String| {
                self.types.get(*name).is_some_and(|types| types.contains(dtype.name()))
            };
            let held: Names = gguf.iter().filter(has).map(|name| format!("`{name}`")).collect();
            let held = if held.is_empty() { NONE.to_owned() } else { list(&held) };
            text += &format!("| {} | yes | {held} |\n", dtype.name());
        }
        text
    }
}

fn list(names: &Names) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Quantised folders, what their configurations say, and what their experts or feed-forward
/// matrices become.
fn quantised() -> String {
    let mut text = "| `quantization_config` | architecture | becomes |\n|---|---|---|\n".to_owned();
    for name in golden::quantised_names() {
        let config = golden::quantised_config(&name);
        let mut said = Vec::new();
        flatten(&config["quantization_config"], &mut said);
        let (model, _) = golden::quantised(&name);
        let becomes: Names = ["gate", "gate.0"]
            .iter()
            .filter_map(|role| model.weights.get(&format!("blk.0.ffn_{role}.weight")))
            .map(|tensor| tensor.dtype().name().to_owned())
            .collect();
        assert!(!becomes.is_empty(), "{name} has no feed-forward matrix");
        let (said, becomes) = (said.join(", "), list(&becomes));
        text += &format!("| {said} | `{}` | {becomes} |\n", model.architecture);
    }
    text
}

/// Fields that decide how numbers are stored, wherever they are.
fn flatten(value: &Value, said: &mut Vec<String>) {
    const SKIPPED: [&str; 5] =
        ["activation_scheme", "ignore", "modules_to_not_convert", "quantization_status", "targets"];
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            _ if SKIPPED.contains(&name.as_str()) => {}
            Value::Object(_) => flatten(value, said),
            Value::String(text) => said.push(format!("`{name}` {text}")),
            other => said.push(format!("`{name}` {other}")),
        }
    }
}

#[test]
fn the_tables_in_the_docs_are_what_the_tests_hold() {
    let compared = Compared::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/MODELS.md");
    let docs = std::fs::read_to_string(path).expect("docs/MODELS.md");
    let mut wanted = docs.clone();
    for (name, table) in [
        ("families", compared.families()),
        ("formats", compared.formats()),
        ("quantised", quantised()),
    ] {
        let marks = [format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->")];
        let (before, rest) = wanted.split_once(&marks[0]).expect("the section's beginning");
        let (_, after) = rest.split_once(&marks[1]).expect("the section's end");
        wanted = format!("{before}{}{table}{}{after}", marks[0], marks[1]);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).expect("it can be written");
    }
    assert!(docs == wanted, "docs/MODELS.md is out of date: run with UPDATE_DOCS=1");
}
