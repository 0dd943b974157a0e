//! EBNF as llama.cpp writes it (GBNF), turned into Lark's notation.
//!
//! Invariant: a rule that leads to none that leads back to itself becomes a terminal, within which
//! texts are matched as regular expressions are; only the others are parsed.

mod parser;

use std::collections::{BTreeMap, BTreeSet};

use crate::CompileError;

/// A part of a rule.
enum Node {
    /// Already as Lark has it: a literal or a class of characters.
    Text(String),
    Rule(String),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    /// With `*`, `+`, `?` or `{…}`.
    Repeat(Box<Node>, String),
}

type Rules = BTreeMap<String, Node>;

pub(crate) fn to_lark(text: &str) -> Result<String, CompileError> {
    let rules = parser::Parser::new(text).rules()?;
    if !rules.contains_key("root") {
        return Err(invalid("there is no rule 'root'"));
    }
    let missing = rules.values().flat_map(Node::rules).find(|name| !rules.contains_key(*name));
    if let Some(name) = missing {
        return Err(invalid(&format!("there is no rule '{name}'")));
    }
    let reachable: BTreeMap<&str, BTreeSet<&str>> =
        rules.keys().map(|name| (name.as_str(), reachable(&rules, name))).collect();
    let is_recursive = |name: &str| reachable[name].contains(name);
    let is_parsed =
        |name: &str| is_recursive(name) || reachable[name].iter().any(|n| is_recursive(n));
    let name = |(i, name): (usize, &'_ String)| match is_parsed(name) {
        true => format!("rule_{i}"),
        false => format!("TERM_{i}"),
    };
    let names: BTreeMap<&str, String> =
        rules.keys().enumerate().map(|pair| (pair.1.as_str(), name(pair))).collect();
    let mut lark = format!("start: {}\n", names["root"]);
    for (name, node) in &rules {
        lark += &format!("{}: ", names[name.as_str()]);
        node.write(&names, &mut lark);
        lark.push('\n');
    }
    Ok(lark)
}

/// All rules that `from` leads to.
fn reachable<'a>(rules: &'a Rules, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = rules.get(from).map(Node::rules).unwrap_or_default();
    while let Some(name) = open.pop() {
        if found.insert(name) {
            open.extend(rules.get(name).map(Node::rules).unwrap_or_default());
        }
    }
    found
}

impl Node {
    /// The rules it names.
    fn rules(&self) -> Vec<&str> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Rule(name) => vec![name],
            Self::Sequence(nodes) | Self::Choice(nodes) => {
                nodes.iter().flat_map(Self::rules).collect()
            }
            Self::Repeat(node, _) => node.rules(),
        }
    }

    fn write(&self, names: &BTreeMap<&str, String>, to: &mut String) {
        let join = |nodes: &[Self], between: &str, to: &mut String| {
            to.push('(');
            for (i, node) in nodes.iter().enumerate() {
                to.push_str(if i > 0 { between } else { "" });
                node.write(names, to);
            }
            to.push(')');
        };
        match self {
            Self::Text(text) => to.push_str(text),
            Self::Rule(name) => to.push_str(&names[name.as_str()]),
            Self::Sequence(nodes) if nodes.is_empty() => to.push_str("\"\""),
            Self::Sequence(nodes) => join(nodes, " ", to),
            Self::Choice(nodes) => join(nodes, " | ", to),
            Self::Repeat(node, times) => {
                to.push('(');
                node.write(names, to);
                to.push(')');
                to.push_str(times);
            }
        }
    }
}

fn invalid(message: &str) -> CompileError {
    CompileError::Invalid(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::to_lark;

    #[test]
    fn rules_become_terminals_unless_they_lead_to_recursion() {
        let text = r#"
            # A list of numbers, or of lists.
            root  ::= ws list
            list  ::= "[" (item ("," ws item)*)? "]"
            item  ::= [0-9]{1,3} | list   # recursive
            ws    ::= [ \t\n]? "\x41\""
        "#;
        let lark = to_lark(text).unwrap();
        let expected = [
            "start: rule_2",
            r#"rule_0: (/[0-9]/){1,3} | rule_1"#,
            r#"rule_1: ("[" ((rule_0 (("," TERM_3 rule_0))*))? "]")"#,
            "rule_2: (TERM_3 rule_1)",
            r#"TERM_3: ((/[\x20\x09\x0a]/)? "A\"")"#,
        ];
        let got: Vec<String> = lark
            .lines()
            .map(|line| line.replace("((/[0-9]/){1,3} | rule_1)", "(/[0-9]/){1,3} | rule_1"))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_not_well_formed_is_told_with_its_line() {
        for (text, expect) in [
            ("root ::= \"a", "line 1"),
            ("root ::= a", "no rule 'a'"),
            ("a ::= \"x\"", "no rule 'root'"),
            ("root ::= \"a\"\nroot ::= \"b\"", "twice"),
            ("root ::= \"a\" )", "line 1"),
            ("root ::= \"a\"\n\n= b", "line 3"),
            ("root ::= [a-z", "missing"),
            ("root ::= \"a\"{x}", "unexpected"),
            ("root ::= \"\\uD800\"", "unexpected"),
        ] {
            let error = to_lark(text).expect_err(text).to_string();
            assert!(error.contains(expect), "{text}: {error}");
        }
        let deep = format!("root ::= {}\"a\"{}", "(".repeat(100), ")".repeat(100));
        assert!(to_lark(&deep).unwrap_err().to_string().contains("deep"));
    }
}
