//! Whether a dependency's licence lets us distribute the whole under GPL-3.0-or-later.
//!
//! Invariant: a licence not listed here is refused until someone has read it.

use spdx::{Expression, LicenseReq, ParseMode};

use crate::repo::Package;

/// Compatible with GPL-3.0-or-later when linked into it.
/// <https://www.gnu.org/licenses/license-list.html> says why for each.
const ALLOWED: [&str; 18] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0", // root certificates: data, not code
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1-or-later",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Packages whose licence cannot be satisfied.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    packages.iter().filter_map(complaint).collect()
}

fn complaint(package: &Package) -> Option<String> {
    let (name, version) = (&package.name, &package.version);
    let Some(licence) = &package.license else {
        return Some(format!("{name} {version} names no licence"));
    };
    // Older packages write "MIT/Apache-2.0" for "MIT OR Apache-2.0".
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Err(error) => Some(format!("{name} {version}: {licence:?} is no SPDX term: {error}")),
        Ok(terms) if terms.evaluate(is_allowed) => None,
        Ok(_) => Some(format!("{name} {version} is under {licence}, which is not allowed here")),
    }
}

/// An exception (`WITH …`) only adds permissions, so the licence alone decides.
fn is_allowed(term: &LicenseReq) -> bool {
    let Some(id) = term.license.id() else { return false };
    let or_later = match &term.license {
        spdx::LicenseItem::Spdx { or_later, .. } => *or_later,
        spdx::LicenseItem::Other(_) => false,
    };
    let name =
        if or_later && id.is_gnu() { format!("{}-or-later", id.name) } else { id.name.into() };
    ALLOWED.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::complaint;
    use crate::repo::Package;

    fn package(licence: Option<&str>) -> Package {
        serde_json::from_value(serde_json::json!({ "id": "x", "name": "x", "version": "1.0.0",
            "license": licence, "dependencies": [] }))
        .unwrap()
    }

    #[test]
    fn terms_that_can_be_satisfied_pass() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 / MIT",
            "GPL-2.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-3.0-or-later",
            "LGPL-2.1-or-later",
        ] {
            assert_eq!(complaint(&package(Some(fine))), None, "{fine}");
        }
    }

    #[test]
    fn others_are_refused() {
        for bad in [
            "GPL-2.0-only",
            "MIT AND GPL-2.0-only",
            "AGPL-3.0-only",
            "BUSL-1.1",
            "CC-BY-NC-4.0",
            "SSPL-1.0",
            "OpenSSL",
            "LicenseRef-proprietary",
            "see LICENSE",
        ] {
            assert!(complaint(&package(Some(bad))).is_some(), "{bad}");
        }
        assert!(complaint(&package(None)).unwrap().contains("names no licence"));
    }
}
