//! Files that lie are told by the names that they have themselves: of fields, of tensors, and of
//! the fields that decide on a tensor.
//!
//! A line of the cases is a golden family, what its file is made to say, and what the error has.

use serde_json::{Map, Value};

use crate::{error_of, family_lies, testdata};

/// Family, changes, and parts of the error.
fn cases(text: &str) -> impl Iterator<Item = (&str, Vec<(&str, &str)>, Vec<&str>)> {
    text.lines().map(|line| {
        let [family, changes, says] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let change = |change| str::split_once(change, " = ").expect("a field and its value");
        (family, changes.split(" & ").map(change).collect(), says.split("; ").collect())
    })
}

fn failed(error: &str, says: &[&str]) -> bool {
    says.iter().any(|part| !error.contains(part))
}

#[test]
fn a_folder_is_told_in_its_familys_words() {
    for (family, changes, says) in cases(include_str!("fields/config.txt")) {
        let value = |json| serde_json::from_str(json).expect("JSON");
        let object = changes.iter().map(|(field, json)| ((*field).to_owned(), value(json)));
        let changes = Value::Object(object.collect::<Map<_, _>>());
        let error = family_lies::error(family, &changes);
        assert!(!failed(&error, &says), "{family} {changes}: {error}\nlacks one of {says:?}");
    }
}

#[test]
fn a_gguf_file_is_told_by_its_keys() {
    for (family, changes, says) in cases(include_str!("fields/gguf.txt")) {
        let path = testdata("families").join(family).join("model.gguf");
        let mut bytes = std::fs::read(path).expect("a golden file");
        for (key, value) in &changes {
            let is_key = |window: &[u8]| window == key.as_bytes();
            let at = bytes.windows(key.len()).position(is_key).expect("the key");
            let value = match value.contains('.') {
                true => value.parse::<f32>().expect("a number").to_le_bytes(),
                false => value.parse::<u32>().expect("a size").to_le_bytes(),
            };
            // Behind its name is the type of the value.
            bytes[at + key.len() + 4..][..4].copy_from_slice(&value);
        }
        let error = error_of(&[("model.gguf", &bytes)]);
        assert!(!failed(&error, &says), "{family} {changes:?}: {error}\nlacks one of {says:?}");
    }
}
