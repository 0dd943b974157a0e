//! Names that users chose, in letters to others.
//!
//! Invariant: one line of bounded length that no mail program makes a link of.

/// Longer ones are cut.
const MAX_CHARS: usize = 80;

/// A name of a person, an organization or a project, fit to be put into a sentence or a header.
pub(super) fn of_person(text: &str) -> String {
    let mut name = String::new();
    let mut chars = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).peekable();
    while let Some(c) = chars.next() {
        if name.chars().count() >= MAX_CHARS {
            name.push('…');
            break;
        }
        match c {
            ' ' if name.is_empty() || name.ends_with(' ') => {}
            // "example.org" would be made a link, "example. org" is not.
            '.' if chars.peek().is_some_and(|next| next.is_alphanumeric()) => name.push_str(". "),
            '-' | '_' | '.' | ',' | '&' | '\'' | '(' | ')' | '+' | '#' | '!' | '’' | ' ' => {
                name.push(c);
            }
            c if c.is_alphanumeric() => name.push(c),
            // Accents of their own: they follow a letter.
            '\u{300}'..='\u{36f}' if !name.is_empty() => name.push(c),
            _ => {}
        }
    }
    name.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::of_person;

    #[test]
    fn names_stay_and_what_is_none_goes() {
        let cases = [
            ("Ada Lovelace", "Ada Lovelace"),
            ("O’Neil & Söhne (Nürnberg) Inc.", "O’Neil & Söhne (Nürnberg) Inc."),
            ("李小龙", "李小龙"),
            ("  a \t\r\n b  ", "a b"),
            ("x\r\nBcc: a@b.org", "x Bcc ab. org"),
            ("Win! https://evil.example/x?y", "Win! httpsevil. examplexy"),
            ("<b>\"quoted\"</b>\u{0}\u{202e}", "bquotedb"),
            ("", ""),
        ];
        for (text, name) in cases {
            assert_eq!(of_person(text), name);
        }
    }

    #[test]
    fn long_names_are_cut() {
        let cut = of_person(&"é".repeat(500));
        assert_eq!(cut.chars().count(), 81);
        assert!(cut.ends_with("é…"));
    }
}
