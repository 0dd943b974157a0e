//! Which crate may know which: the table of `docs/ARCHITECTURE.md`, held against `cargo metadata`.
//!
//! Invariant: what is not drawn here is not allowed; a new crate starts by drawing its arrows.

use crate::repo::{Metadata, Package};

/// One of our crates, what it may use, and what else its tests may use.
struct Arrow {
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

const fn arrow(
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
) -> Arrow {
    Arrow { name, uses, tests_use }
}

const ARROWS: &[Arrow] = &[
    arrow("kernels", &[], &[]),
    arrow("engine-core", &[], &[]),
    arrow("engine-audio", &[], &[]),
    arrow("engine-text", &[], &[]),
    arrow("engine-grammar", &["engine-core", "engine-text"], &[]),
    arrow("engine-weights", &["kernels"], &[]),
    arrow("engine-llm", &["engine-core", "engine-weights", "kernels"], &["engine-text"]),
    arrow(
        "engine-encoder",
        &["engine-core", "engine-llm", "engine-weights", "kernels"],
        &["engine-text"],
    ),
    arrow(
        "engine-vision",
        &["engine-core", "engine-encoder", "engine-weights", "kernels"],
        &["engine-llm"],
    ),
    arrow(
        "engine-speech",
        &["engine-core", "engine-encoder", "engine-weights", "kernels"],
        &["engine-audio", "engine-text"],
    ),
    arrow("engine-mock", &["engine-core"], &[]),
    arrow("scheduler-batching", &["engine-core"], &["engine-mock"]),
    arrow("model-registry", &[], &[]),
    arrow(
        "server-access",
        &["server-accounts", "server-http", "server-identity", "server-metering", "server-store"],
        &["engine-core", "engine-grammar", "engine-mock", "engine-text", "scheduler-batching"],
    ),
    arrow("server-accounts", &["server-metering"], &[]),
    arrow(
        "server-admin",
        &[
            "server-accounts",
            "server-api",
            "server-http",
            "server-identity",
            "server-metering",
            "server-store",
        ],
        &[],
    ),
    arrow("server-api", &[], &[]),
    arrow("server-billing", &["server-metering"], &[]),
    arrow("server-guard", &[], &[]),
    arrow("server-identity", &[], &[]),
    arrow(
        "server-login",
        &["server-accounts", "server-api", "server-http", "server-identity", "server-store"],
        &[],
    ),
    arrow("server-metering", &[], &[]),
    arrow(
        "server-http",
        &[
            "engine-audio",
            "engine-core",
            "engine-grammar",
            "engine-text",
            "scheduler-batching",
            "server-accounts",
            "server-api",
            "server-guard",
            "server-metering",
            "server-store",
        ],
        &["engine-mock"],
    ),
    arrow("server-store", &["server-accounts", "server-metering"], &[]),
    arrow(
        "server-subscriptions",
        &[
            "server-accounts",
            "server-admin",
            "server-api",
            "server-billing",
            "server-http",
            "server-metering",
            "server-store",
        ],
        &[],
    ),
    arrow(
        "agentbase",
        &[
            "engine-core",
            "engine-grammar",
            "engine-text",
            "engine-encoder",
            "engine-llm",
            "engine-vision",
            "engine-speech",
            "scheduler-batching",
            "model-registry",
            "server-access",
            "server-accounts",
            "server-admin",
            "server-guard",
            "server-http",
            "server-identity",
            "server-login",
            "server-metering",
            "server-store",
            "server-subscriptions",
        ],
        &["engine-mock", "kernels", "loadtests", "server-billing"],
    ),
    arrow("loadtests", &[], &[]),
    arrow("xtask", &["loadtests"], &[]),
];

/// Libraries that only some of our crates may know; tests may use them anywhere.
/// A name that ends in `*` stands for all that begin so.
const GUARDED: &[(&str, &[&str])] = &[
    (
        "axum*",
        &["server-admin", "server-http", "server-login", "server-subscriptions", "agentbase"],
    ),
    ("hyper*", &["server-http", "agentbase"]),
    ("tower*", &["server-http", "agentbase"]),
    (
        "utoipa*",
        &[
            "server-admin",
            "server-api",
            "server-http",
            "server-login",
            "server-subscriptions",
            "agentbase",
        ],
    ),
    ("prometheus", &["server-http", "scheduler-batching", "agentbase"]),
    (
        "tokio*",
        &[
            "scheduler-batching",
            "model-registry",
            "server-access",
            "server-admin",
            "server-billing",
            "server-http",
            "server-identity",
            "server-login",
            "server-store",
            "server-subscriptions",
            "agentbase",
        ],
    ),
    (
        "reqwest",
        &["model-registry", "server-billing", "server-http", "server-identity", "agentbase"],
    ),
    ("argon2", &["server-identity"]),
    ("lettre", &["server-identity"]),
    ("ring", &["server-identity"]),
    ("image", &["engine-vision"]),
    ("hf-hub", &["model-registry"]),
    ("object_store", &["model-registry", "agentbase"]),
    ("sqlx*", &["server-store"]),
    ("candle*", &["engine-llm"]),
    ("ndarray", &[]),
    ("tokenizers", &["engine-text"]),
    ("minijinja*", &["engine-text"]),
    ("safetensors", &["engine-llm"]),
    ("memmap2", &["engine-llm", "engine-weights", "server-metering"]),
    ("clap*", &["agentbase", "xtask"]),
    ("indicatif", &["agentbase", "xtask"]),
    ("anyhow", &["agentbase", "xtask", "loadtests"]),
    ("ureq", &["loadtests"]),
    ("symphonia*", &["engine-audio"]),
    ("rubato", &["engine-audio"]),
];

/// Every arrow that is not drawn, and every library that loads code from data.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let ours: Vec<&str> = metadata.ours().map(|package| package.name.as_str()).collect();
    let mut complaints: Vec<String> =
        metadata.ours().flat_map(|package| check_package(package, &ours)).collect();
    let pickles = metadata.packages.iter().filter(|package| package.name.contains("pickle"));
    complaints.extend(pickles.map(|package| {
        format!("{} reads pickles, which run code when loaded: weights never need it", package.name)
    }));
    complaints
}

fn check_package(package: &Package, ours: &[&str]) -> Vec<String> {
    let name = package.name.as_str();
    let Some(arrow) = ARROWS.iter().find(|arrow| arrow.name == name) else {
        return vec![format!(
            "crate {name} is in no arrow table: draw it in docs/ARCHITECTURE.md and in \
             xtask/src/tidy/arrows.rs"
        )];
    };
    let mut complaints = Vec::new();
    for dependency in &package.dependencies {
        let (used, in_tests) =
            (dependency.name.as_str(), dependency.kind.as_deref() == Some("dev"));
        let drawn = arrow.uses.contains(&used) || (in_tests && arrow.tests_use.contains(&used));
        if ours.contains(&used) && !drawn && used != name {
            complaints.push(format!("{name} must not know {used}: that arrow is not drawn"));
        }
        let guard = GUARDED.iter().find(|(pattern, _)| matches(pattern, used));
        if let Some((_, users)) = guard.filter(|(_, users)| !in_tests && !users.contains(&name)) {
            let users = if users.is_empty() { "nobody yet".to_owned() } else { users.join(", ") };
            complaints.push(format!("{name} must not know {used}; it is for {users}"));
        }
    }
    complaints
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name == start || name.starts_with(&format!("{start}-")),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;
    use crate::repo::Metadata;

    /// A crate's name, and the names and kinds of what it uses.
    type Sketch<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    fn metadata(packages: &[Sketch<'_>]) -> Metadata {
        let packages: Vec<_> = packages
            .iter()
            .map(|(name, uses)| {
                let uses: Vec<_> =
                    uses.iter().map(|(n, kind)| json!({ "name": n, "kind": kind })).collect();
                json!({ "id": name, "name": name, "version": "0.1.0", "license": "MIT",
                    "dependencies": uses })
            })
            .collect();
        let ids: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        serde_json::from_value(json!({ "packages": packages, "workspace_members": ids,
            "target_directory": "/t" }))
        .unwrap()
    }

    #[test]
    fn drawn_arrows_pass() {
        let fine = metadata(&[
            ("engine-core", &[("thiserror", None)]),
            ("engine-mock", &[("engine-core", None)]),
            ("scheduler-batching", &[("engine-core", None), ("engine-mock", Some("dev"))]),
            ("engine-text", &[("tokio", Some("dev"))]),
        ]);
        assert_eq!(check(&fine), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_upwards_is_found() {
        let up = metadata(&[("engine-core", &[("server-http", None)]), ("server-http", &[])]);
        assert!(check(&up)[0].contains("engine-core must not know server-http"));
        // What tests may use, the crate itself may not.
        let real =
            metadata(&[("scheduler-batching", &[("engine-mock", None)]), ("engine-mock", &[])]);
        assert_eq!(check(&real).len(), 1);
    }

    #[test]
    fn guarded_libraries_and_unknown_crates_are_found() {
        let bad = metadata(&[("engine-text", &[("tokio", None), ("axum-core", None)])]);
        assert_eq!(check(&bad).len(), 2);
        let sql = metadata(&[("server-http", &[("sqlx", None)])]);
        assert!(check(&sql)[0].contains("it is for server-store"));
        let arrays = metadata(&[("server-http", &[("ndarray", None)])]);
        assert!(check(&arrays)[0].contains("nobody yet"));
        assert!(check(&metadata(&[("helpers", &[])]))[0].contains("no arrow table"));
        assert!(!check(&metadata(&[("serde-pickle", &[])])).is_empty());
    }
}
