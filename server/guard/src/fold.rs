//! One form for texts that read the same.
//!
//! Invariant: a character folds the same whatever stands around it, but for its own accents.

use unicode_normalization::UnicodeNormalization;

/// Characters that do not show.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}')
}

/// A character with its accents: without case, width and other forms of the same letters (NFKD).
pub(crate) fn fold(cluster: &str, mut each: impl FnMut(char)) {
    if let [byte] = cluster.as_bytes() {
        return each(if byte.is_ascii_whitespace() {
            ' '
        } else {
            byte.to_ascii_lowercase().into()
        });
    }
    for c in cluster.nfkd().flat_map(char::to_lowercase) {
        match c {
            'ß' => "ss".chars().for_each(&mut each),
            'ς' => each('σ'),
            c if c.is_whitespace() => each(' '),
            c => each(c),
        }
    }
}
