//! Known vulnerabilities of dependencies, from a list in the repository and, where there is one,
//! from a checkout of RustSec's advisory database.
//!
//! Invariant: it says which source it used and of which date; an old list is never taken for a
//! clean bill. Sources: `.ci/advisories.toml`; `$RUSTSEC_DB` or `~/.cargo/advisory-db`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::repo::Package;

const HEAD: &str = "# Known vulnerabilities of crates: which versions are patched or were never \
affected.\n# Facts from RustSec's advisory database (CC0-1.0), written by\n# `cargo xtask licences \
--refresh-advisories CHECKOUT`; every other version counts as vulnerable.\n\n";

#[derive(Deserialize)]
struct List {
    /// The day of the database's last change.
    date: String,
    advisory: Vec<Advisory>,
}

/// One known vulnerability.
#[derive(Clone, Debug, Deserialize)]
struct Advisory {
    id: String,
    package: String,
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// All vulnerable versions among `packages`; prints what it was held against.
pub(crate) fn check(packages: &[Package], listed: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(listed)
        .with_context(|| format!("cannot read {}", listed.display()))?;
    let list: List = toml::from_str(&text).context(".ci/advisories.toml")?;
    let (num_listed, date) = (list.advisory.len(), &list.date);
    println!("advisories: {num_listed} of .ci/advisories.toml, as known on {date}");
    let mut known = list.advisory;
    match database() {
        Some(checkout) => {
            let found = read_database(&checkout)?;
            let (path, date) = (checkout.display(), date_of(&checkout));
            println!("advisories: {} of {path}, as known on {date}", found.len());
            known.extend(found);
        }
        None => println!("advisories: no checkout of the database here (set RUSTSEC_DB)"),
    }
    let mut complaints: Vec<String> = Vec::new();
    for package in packages {
        for advisory in known.iter().filter(|advisory| advisory.package == package.name) {
            if advisory.hits(&package.version)? {
                complaints.push(complaint(package, advisory));
            }
        }
    }
    complaints.sort();
    complaints.dedup();
    Ok(complaints)
}

fn complaint(package: &Package, advisory: &Advisory) -> String {
    let patched = if advisory.patched.is_empty() {
        "no version is patched".to_owned()
    } else {
        format!("patched in {}", advisory.patched.join(" or "))
    };
    format!("{} {} is hit by {}; {patched}", package.name, package.version, advisory.id)
}

impl Advisory {
    fn hits(&self, version: &str) -> Result<bool> {
        let version = Version::parse(version)?;
        for range in self.patched.iter().chain(&self.unaffected) {
            let range = VersionReq::parse(range)
                .with_context(|| format!("{} has the range {range:?}", self.id))?;
            if range.matches(&version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One line of the list.
    fn to_toml(&self) -> String {
        let mut text = format!("id = {:?}, package = {:?}", self.id, self.package);
        for (name, ranges) in [("patched", &self.patched), ("unaffected", &self.unaffected)] {
            if !ranges.is_empty() {
                text.push_str(&format!(", {name} = {ranges:?}"));
            }
        }
        format!("    {{ {text} }},\n")
    }
}

/// Writes the list from a checkout; returns its length.
pub(crate) fn refresh(checkout: &Path, listed: &Path) -> Result<usize> {
    let mut advisories = read_database(checkout)?;
    advisories.sort_by(|a, b| (&a.package, &a.id).cmp(&(&b.package, &b.id)));
    let lines: String = advisories.iter().map(Advisory::to_toml).collect();
    let text = format!("{HEAD}date = {:?}\nadvisory = [\n{lines}]\n", date_of(checkout));
    std::fs::write(listed, text)?;
    Ok(advisories.len())
}

fn database() -> Option<PathBuf> {
    let named = std::env::var_os("RUSTSEC_DB").map(PathBuf::from);
    let usual = std::env::home_dir().map(|home| home.join(".cargo/advisory-db"));
    named.or(usual).filter(|checkout| checkout.join("crates").is_dir())
}

fn date_of(checkout: &Path) -> String {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%cs"]).current_dir(checkout);
    let output = git.output().ok().filter(|output| output.status.success());
    let date = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    date.unwrap_or_else(|| "an unknown day".to_owned())
}

/// `crates/NAME/RUSTSEC-….md`: Markdown that begins with a block of TOML.
fn read_database(checkout: &Path) -> Result<Vec<Advisory>> {
    let mut advisories = Vec::new();
    for folder in std::fs::read_dir(checkout.join("crates"))? {
        for file in std::fs::read_dir(folder?.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path)?;
                let advisory = parse(&text).with_context(|| format!("{}", path.display()))?;
                advisories.extend(advisory);
            }
        }
    }
    ensure!(!advisories.is_empty(), "{} holds no advisories", checkout.display());
    Ok(advisories)
}

/// `None` for what is no vulnerability (unmaintained, notices) or was withdrawn.
fn parse(markdown: &str) -> Result<Option<Advisory>> {
    #[derive(Deserialize)]
    struct Front {
        advisory: Head,
        versions: Versions,
    }
    #[derive(Deserialize)]
    struct Head {
        id: String,
        package: String,
        informational: Option<String>,
        withdrawn: Option<String>,
    }
    #[derive(Deserialize)]
    struct Versions {
        #[serde(default)]
        patched: Vec<String>,
        #[serde(default)]
        unaffected: Vec<String>,
    }
    let block = markdown.split_once("```toml").and_then(|(_, rest)| rest.split_once("```"));
    let (front, _) = block.context("it does not begin with a block of TOML")?;
    let Front { advisory, versions } = toml::from_str(front)?;
    if advisory.informational.is_some() || advisory.withdrawn.is_some() {
        return Ok(None);
    }
    let Versions { patched, unaffected } = versions;
    Ok(Some(Advisory { id: advisory.id, package: advisory.package, patched, unaffected }))
}

#[cfg(test)]
mod tests {
    use super::{Advisory, List, parse, read_database};

    const MARKDOWN: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2000-0001\"\npackage = \"x\"\n\
        date = \"2000-01-01\"\n[versions]\npatched = [\">= 1.2.3, < 2.0.0\", \">= 2.1.0\"]\n\
        unaffected = [\"< 0.5.0\"]\n```\n# Title\nText.\n";

    #[test]
    fn a_vulnerable_version_is_caught() {
        let advisory = parse(MARKDOWN).unwrap().unwrap();
        for (version, hit) in [
            ("0.4.9", false),
            ("0.5.0", true),
            ("1.2.2", true),
            ("1.2.3", false),
            ("1.9.0", false),
            ("2.0.0", true),
            ("2.1.0", false),
        ] {
            assert_eq!(advisory.hits(version).unwrap(), hit, "{version}");
        }
        let nothing_patched = Advisory { patched: vec![], unaffected: vec![], ..advisory };
        assert!(nothing_patched.hits("99.0.0").unwrap());
    }

    #[test]
    fn only_vulnerabilities_that_stand_are_read() {
        let unmaintained = MARKDOWN.replace("date", "informational = \"unmaintained\"\ndate");
        assert!(parse(&unmaintained).unwrap().is_none());
        let withdrawn = MARKDOWN.replace("date", "withdrawn = \"2001-01-01\"\ndate");
        assert!(parse(&withdrawn).unwrap().is_none());
        assert!(parse("no front matter").is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let advisory = parse(MARKDOWN).unwrap().unwrap();
        let text = format!("date = \"2000-01-02\"\nadvisory = [\n{}]\n", advisory.to_toml());
        let list: List = toml::from_str(&text).unwrap();
        assert!(list.advisory[0].hits("1.0.0").unwrap());
        assert!(!list.advisory[0].hits("2.1.0").unwrap());
    }

    #[test]
    fn a_checkout_is_read() {
        let checkout = tempfile::tempdir().unwrap();
        let folder = checkout.path().join("crates/x");
        std::fs::create_dir_all(&folder).unwrap();
        assert!(read_database(checkout.path()).is_err());
        std::fs::write(folder.join("RUSTSEC-2000-0001.md"), MARKDOWN).unwrap();
        assert_eq!(read_database(checkout.path()).unwrap()[0].id, "RUSTSEC-2000-0001");
    }
}
