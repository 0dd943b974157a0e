//! Where a JSON value ends, character by character.

/// Follows one value. What it says of text that is no JSON is not to be relied on: arguments are
/// the model's, and clients parse them.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Container,
    Text,
    Other,
}

/// What a character is to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// White space before it.
    Before,
    Within,
    /// Its last character.
    Last,
    /// The value ended before this one.
    After,
}

impl ValueEnd {
    /// Whether it is a string.
    pub(super) fn is_text(&self) -> bool {
        self.kind == Some(Kind::Text)
    }

    pub(super) fn push(&mut self, c: char) -> Place {
        let Some(kind) = self.kind else {
            if c.is_whitespace() {
                return Place::Before;
            }
            self.kind = Some(match c {
                '{' | '[' => Kind::Container,
                '"' => Kind::Text,
                _ => Kind::Other,
            });
            self.depth = 1;
            self.in_string = c == '"';
            return Place::Within;
        };
        if self.in_string {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => {
                    self.in_string = false;
                    return if kind == Kind::Text { Place::Last } else { Place::Within };
                }
                _ => {}
            }
            return Place::Within;
        }
        match (kind, c) {
            (Kind::Other, ',' | '}' | ']') => Place::After,
            (Kind::Other, c) if c.is_whitespace() => Place::After,
            (Kind::Container, '{' | '[') => {
                self.depth += 1;
                Place::Within
            }
            (Kind::Container, '}' | ']') => {
                self.depth -= 1;
                if self.depth == 0 { Place::Last } else { Place::Within }
            }
            (Kind::Container, '"') => {
                self.in_string = true;
                Place::Within
            }
            _ => Place::Within,
        }
    }
}
