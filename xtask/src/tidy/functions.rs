//! Sizes of functions, and macros that must not stay.
//!
//! Invariant: the source is parsed, so nothing in a string or comment is taken for code.

use anyhow::{Context, Result};
use syn::visit::{self, Visit};

use super::Finding;

const MAX_LINES: usize = 70;
const MAX_PARAMETERS: usize = 5;
const FORBIDDEN: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Functions over the limits, and forbidden macros.
pub(crate) fn check(name: &str, source: &str) -> Result<Vec<Finding>> {
    let file = syn::parse_file(source).with_context(|| format!("{name} does not parse"))?;
    let mut visitor = Visitor { name, findings: Vec::new() };
    visitor.visit_file(&file);
    Ok(visitor.findings)
}

struct Visitor<'a> {
    name: &'a str,
    findings: Vec<Finding>,
}

impl Visitor<'_> {
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines =
            body.brace_token.span.close().end().line + 1 - signature.ident.span().start().line;
        let typed = |input: &&syn::FnArg| matches!(input, syn::FnArg::Typed(_));
        let parameters = signature.inputs.iter().filter(typed).count();
        let key = format!("{}::{}", self.name, signature.ident);
        let measures = [
            ("lines", lines, MAX_LINES, key.clone()),
            ("parameters", parameters, MAX_PARAMETERS, format!("{key}()")),
        ];
        for (what, size, limit, key) in measures {
            if size > limit {
                self.findings.push(Finding::TooLarge { key, what, size, limit });
            }
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let last = item.path.segments.last().map(|segment| &segment.ident);
        if let Some(last) = last.filter(|last| FORBIDDEN.iter().any(|name| last == name)) {
            let line = last.span().start().line;
            self.findings.push(Finding::Wrong(format!("{}:{line}: `{last}!` must go", self.name)));
        }
        visit::visit_macro(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, check};

    #[test]
    fn small_functions_pass_and_strings_are_no_code() {
        let fine = "fn f(a: u8) -> &'static str { \"todo!() dbg!(x)\" }";
        assert_eq!(check("a.rs", fine).unwrap(), []);
        let limit = format!("impl X {{ fn f(&self) {{{}}} }}", "\n".repeat(69));
        assert_eq!(check("a.rs", &limit).unwrap(), []);
    }

    #[test]
    fn long_functions_and_many_parameters_are_found() {
        let long = format!("impl X {{ fn f(&self) {{{}}} }}", "\n".repeat(70));
        let found = check("a.rs", &long).unwrap();
        let key = "a.rs::f".to_owned();
        assert_eq!(found, [Finding::TooLarge { key, what: "lines", size: 71, limit: 70 }]);
        let wide = "fn g(a: A, b: B, c: C, d: D, e: E, f: F) {}";
        assert!(matches!(check("a.rs", wide).unwrap()[..], [Finding::TooLarge { size: 6, .. }]));
    }

    #[test]
    fn unfinished_work_is_found() {
        let unfinished = "fn f() {\n    todo!()\n}\nfn g() { std::dbg!(1); }";
        let found = check("a.rs", unfinished).unwrap();
        assert_eq!(found.len(), 2);
        assert!(matches!(&found[0], Finding::Wrong(text) if text.starts_with("a.rs:2: `todo!`")));
        assert!(check("a.rs", "fn f( {").is_err());
    }
}
