//! Opening models: right ones open, files that lie get an error naming where, and nothing that a
//! file contains makes opening panic.

mod family_lies;
mod fields;
mod gguf_lies;
mod gguf_writer;
mod hugging_face_lies;
mod models;
mod mutations;
mod rope;

use std::{collections::BTreeMap, path::PathBuf};

use engine_llm::{LoadError, weights};

/// Opens a model whose files have these names and contents.
fn open(files: &[(&str, &[u8])]) -> Result<weights::Model, LoadError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut paths = BTreeMap::new();
    for (idx, (name, contents)) in files.iter().enumerate() {
        // As in a content-addressed store: the path says nothing of the name.
        let path = dir.path().join(idx.to_string());
        std::fs::write(&path, contents).expect("a file in the temporary directory");
        paths.insert((*name).to_owned(), path);
    }
    weights::open(&paths)
}

/// What opening these files says is wrong.
fn error_of(files: &[(&str, &[u8])]) -> String {
    match open(files) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

/// A file or folder of `testdata`.
fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}
