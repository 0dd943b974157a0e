//! Reading GBNF.

use super::{Node, Rules, invalid};
use crate::CompileError;
use crate::source::quote;

/// Brackets inside each other.
const MAX_DEPTH: usize = 64;
/// Rules lead to one another, and all that each leads to is looked at.
const MAX_RULES: usize = 1000;

/// A place in a grammar's text.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// All rules by their names.
    pub(super) fn rules(mut self) -> Result<Rules, CompileError> {
        let mut rules = Rules::new();
        loop {
            self.skip_space(true);
            if self.rest().is_empty() {
                return Ok(rules);
            }
            let name = self.name()?;
            self.skip_space(false);
            self.expect("::=")?;
            let node = self.choice(0)?;
            if rules.len() >= MAX_RULES {
                let message = format!("there are more than {MAX_RULES} rules");
                return Err(CompileError::TooLarge(message));
            }
            if rules.insert(name.clone(), node).is_some() {
                return Err(invalid(&format!("the rule '{name}' is there twice")));
            }
        }
    }

    fn choice(&mut self, depth: usize) -> Result<Node, CompileError> {
        if depth > MAX_DEPTH {
            return Err(invalid("brackets are nested too deep"));
        }
        let mut choices = vec![self.sequence(depth)?];
        while self.take('|') {
            choices.push(self.sequence(depth)?);
        }
        Ok(if choices.len() == 1 { choices.remove(0) } else { Node::Choice(choices) })
    }

    /// What stands between `|`, closing brackets and the ends of lines (outside of brackets).
    fn sequence(&mut self, depth: usize) -> Result<Node, CompileError> {
        let mut nodes = Vec::new();
        // A line may end after `::=` and after `|`.
        self.skip_space(true);
        loop {
            let node = match self.rest().chars().next() {
                Some('"') => {
                    let text: String = self.quoted('"')?.into_iter().map(|(c, _)| c).collect();
                    Node::Text(quote(&text))
                }
                Some('[') => self.class()?,
                Some('.') => {
                    self.at += 1;
                    Node::Text("/(.|\\n)/".to_owned())
                }
                Some('(') => {
                    self.at += 1;
                    let node = self.choice(depth + 1)?;
                    self.expect(")")?;
                    node
                }
                Some(c) if is_name(c) && !self.begins_rule() => Node::Rule(self.name()?),
                _ => break,
            };
            let node = self.repeated(node)?;
            nodes.push(node);
            self.skip_space(depth > 0);
        }
        // `|` and `)` may stand on the next line.
        let here = self.at;
        self.skip_space(true);
        if !self.rest().starts_with(['|', ')']) {
            self.at = here;
        }
        if depth == 0 && !self.rest().starts_with(['|', '\n', '\r']) && !self.rest().is_empty() {
            return Err(self.unexpected());
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Sequence(nodes) })
    }

    /// At most one repetition: of several, each would be a level more to go down.
    fn repeated(&mut self, node: Node) -> Result<Node, CompileError> {
        let times = match self.rest().chars().next() {
            Some(c @ ('*' | '+' | '?')) => {
                self.at += 1;
                c.to_string()
            }
            Some('{') => {
                let end = self.rest().find('}').ok_or_else(|| self.unexpected())?;
                let times: String = self.rest()[..=end].split_whitespace().collect();
                let inner = times[1..times.len() - 1].chars();
                if !inner.into_iter().all(|c| c.is_ascii_digit() || c == ',') {
                    return Err(self.unexpected());
                }
                self.at += end + 1;
                times
            }
            _ => return Ok(node),
        };
        if self.rest().starts_with(['*', '+', '?', '{']) {
            return Err(self.unexpected());
        }
        Ok(Node::Repeat(Box::new(node), times))
    }

    /// Characters in square brackets, as a regular expression.
    fn class(&mut self) -> Result<Node, CompileError> {
        let is_negated = self.rest().starts_with("[^");
        self.at += usize::from(is_negated);
        let mut class = String::from(if is_negated { "/[^" } else { "/[" });
        for (c, is_escaped) in self.quoted(']')? {
            match c {
                // What makes a range; escaped it is a dash.
                '-' if !is_escaped => class.push('-'),
                c if c.is_ascii_alphanumeric() || !c.is_ascii() => class.push(c),
                c => class += &format!("\\x{:02x}", u32::from(c)),
            }
        }
        class += "]/";
        Ok(Node::Text(class))
    }

    /// From an opening character to `close`: characters, and whether they were escaped.
    fn quoted(&mut self, close: char) -> Result<Vec<(char, bool)>, CompileError> {
        let mut chars = self.rest().char_indices().skip(1);
        let mut text = Vec::new();
        while let Some((at, c)) = chars.next() {
            if c == close {
                self.at += at + 1;
                return Ok(text);
            }
            if c != '\\' {
                text.push((c, false));
                continue;
            }
            let Some((_, escaped)) = chars.next() else { break };
            let num_digits = match escaped {
                'n' => Err('\n'),
                'r' => Err('\r'),
                't' => Err('\t'),
                'x' => Ok(2),
                'u' => Ok(4),
                'U' => Ok(8),
                other => Err(other),
            };
            let c = match num_digits {
                Err(c) => c,
                Ok(num) => {
                    let digits: String = chars.by_ref().take(num).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    code.ok_or_else(|| self.unexpected())?
                }
            };
            text.push((c, true));
        }
        Err(invalid(&format!("a '{close}' is missing in line {}", self.line())))
    }

    fn name(&mut self) -> Result<String, CompileError> {
        let rest = self.rest();
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.unexpected());
        }
        let name = rest[..end].to_owned();
        self.at += end;
        Ok(name)
    }

    /// Whether a name and `::=` come next: the next rule.
    fn begins_rule(&self) -> bool {
        self.rest().trim_start_matches(is_name).trim_start_matches([' ', '\t']).starts_with("::=")
    }

    /// Skips spaces and comments, and ends of lines if wanted.
    fn skip_space(&mut self, lines: bool) {
        loop {
            let rest = self.rest();
            let is_space = |c: char| matches!(c, ' ' | '\t') || (lines && matches!(c, '\n' | '\r'));
            let trimmed = rest.trim_start_matches(is_space);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, text: &str) -> Result<(), CompileError> {
        if !self.rest().starts_with(text) {
            return Err(self.unexpected());
        }
        self.at += text.len();
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    fn unexpected(&self) -> CompileError {
        let found: String = self.rest().chars().take(10).collect();
        invalid(&format!("line {} has an unexpected {found:?}", self.line()))
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}
