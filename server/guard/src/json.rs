//! Where in JSON a text is, if it is JSON: what may be written there.
//!
//! Invariant: exact where the text is JSON, or holds JSON after text without brackets. A line break
//! in a string shows that it was no JSON after all; then a new one may begin.

/// A place in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Brackets that are open.
    depth: u32,
    in_string: bool,
    /// The last character outside strings that is no white space.
    last: Option<char>,
}

impl Place {
    /// Goes on by a character, or past an escape by any of its own.
    pub(crate) fn advance(&mut self, c: char) {
        match c {
            '"' if self.in_string => self.in_string = false,
            c if self.in_string => {
                if c < ' ' {
                    *self = Self::default();
                }
                return;
            }
            '"' if self.depth > 0 => self.in_string = true,
            '{' | '[' => self.depth = self.depth.saturating_add(1),
            '}' | ']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if !c.is_ascii_whitespace() {
            self.last = Some(c);
        }
    }

    /// Whether a backslash begins an escape here.
    pub(crate) fn in_string(self) -> bool {
        self.in_string
    }

    /// What stands for `found` here, where `mask` does elsewhere: a number or a word of JSON that
    /// stands by itself stays one.
    pub(crate) fn mask(self, found: &str, mask: &'static str) -> &'static str {
        let is_value = self.depth > 0
            && !self.in_string
            && matches!(self.last, Some(':' | ',' | '[' | '-' | '+' | '.'));
        if !is_value {
            return mask;
        }
        if found.bytes().all(|b| b.is_ascii_digit() || b" ,.".contains(&b)) {
            return "0";
        }
        let mut words = found.split([' ', ',']).filter(|word| !word.is_empty());
        if words.all(|word| matches!(word, "true" | "false" | "null")) { "null" } else { mask }
    }
}

/// The bytes of the escape that `rest` begins with; `None` if that is not known yet.
pub(crate) fn escape_len(rest: &str, is_end: bool) -> Option<usize> {
    let kind = rest[1..].chars().next();
    let len = match kind {
        Some('u') => {
            let digits = rest[2..].bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
            if 2 + digits == rest.len() && digits < 4 && !is_end {
                return None;
            }
            2 + digits
        }
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => 2,
        // It is none.
        Some(_) => 1,
        None if is_end => 1,
        None => return None,
    };
    Some(len)
}
