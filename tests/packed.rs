//! Packed weights are kept from one start to the next, made again when their header or length is
//! not what it must be, and go with the model.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::binary::{import, succeed};
use tempfile::TempDir;

fn answer(data_dir: &Path) -> String {
    let args = ["run", "gguf", "Once upon a time", "--temperature", "0", "--max-tokens", "12"];
    succeed(data_dir, &args)
}

fn packed(data_dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data_dir.join("packed")).expect("the folder is there");
    files.map(|file| file.expect("a file").path()).collect()
}

#[test]
fn packed_weights_are_made_once_checked_and_removed() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "gguf");
    let first = answer(dir.path());
    let files = packed(dir.path());
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    let made = fs::metadata(file).expect("it is there").modified().expect("a time");
    let bytes = fs::read(file).expect("it reads");
    assert_eq!(answer(dir.path()), first);
    assert_eq!(fs::metadata(file).expect("it is there").modified().expect("a time"), made);

    // Cut short, of another layout, or no file at all: made anew.
    let mut other = bytes.clone();
    other[0] ^= 1;
    for damaged in [bytes[..bytes.len() / 2].to_vec(), other, Vec::new()] {
        fs::write(file, damaged).expect("it writes");
        assert_eq!(answer(dir.path()), first);
        assert_eq!(fs::read(file).expect("it reads"), bytes);
    }
    // What a process that was killed while it made them left: it is not used, and goes.
    fs::remove_file(file).expect("it goes");
    let left = file.with_extension("0123456789abcdef.unfinished");
    fs::write(&left, &bytes[..bytes.len() / 2]).expect("it writes");
    assert_eq!(answer(dir.path()), first);
    assert_eq!(fs::read(file).expect("it reads"), bytes);
    assert_eq!(packed(dir.path()).len(), 1);
    // Where nothing can be kept, it works all the same.
    fs::remove_file(file).expect("it goes");
    fs::remove_dir(dir.path().join("packed")).expect("it is empty");
    fs::write(dir.path().join("packed"), "in the way").expect("it writes");
    assert_eq!(answer(dir.path()), first);
    fs::remove_file(dir.path().join("packed")).expect("it goes");

    answer(dir.path());
    assert_eq!(packed(dir.path()).len(), 1);
    succeed(dir.path(), &["model", "rm", "gguf"]);
    assert_eq!(packed(dir.path()).len(), 0);
}
