//! Heavy libraries that must be built only once.
//!
//! Invariant: two semver-incompatible versions of a listed library never build together.

use std::collections::BTreeMap;

use crate::repo::Package;

/// Each costs seconds to build or megabytes to carry.
const HEAVY: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "candle-core",
    "clap",
    "http",
    "hyper",
    "icu_properties",
    "minijinja",
    "object_store",
    "regex-automata",
    "reqwest",
    "ring",
    "rustls",
    "safetensors",
    "serde_json",
    "sqlx",
    "tokenizers",
    "tokio",
    "utoipa",
    "wasmtime",
];

/// One complaint per library that comes twice.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| HEAVY.contains(&package.name.as_str())) {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let twice = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    twice
        .map(|(name, versions)| {
            let versions = versions.join(" and ");
            format!("{name} is built as {versions}: `cargo tree -i {name}` tells who wants it")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::repo::Package;

    fn package(name: &str, version: &str) -> Package {
        serde_json::from_value(serde_json::json!({ "id": format!("{name} {version}"),
            "name": name, "version": version, "license": "MIT", "dependencies": [], }))
        .unwrap()
    }

    #[test]
    fn only_heavy_duplicates_are_named() {
        let light = [package("itoa", "1.0.0"), package("itoa", "2.0.0"), package("tokio", "1.0.0")];
        assert_eq!(check(&light), Vec::<String>::new());
        let heavy = [package("tokenizers", "0.21.4"), package("tokenizers", "0.23.2")];
        assert!(check(&heavy)[0].contains("0.21.4 and 0.23.2"));
    }
}
