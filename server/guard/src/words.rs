//! Where words begin and end.
//!
//! Invariant: letters, digits and their accents hold a word together; nothing else does, and in
//! scripts that put no spaces between words, every character stands by itself.

use unicode_normalization::char::canonical_combining_class;

/// Whether a word goes on from `before` to `after`.
pub(crate) fn joins(before: Option<char>, after: Option<char>) -> bool {
    before.is_some_and(is_word) && after.is_some_and(is_word)
}

/// Whether it is part of a word that spaces part from others.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    (c.is_alphanumeric() || is_mark(c)) && !is_unspaced(c)
}

/// Whether it belongs to the character before it.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && canonical_combining_class(c) != 0
}

/// Thai, Lao, Burmese, Khmer, Chinese and Japanese; and Korean, which puts endings to its words.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1100..=0x11FF | 0x1780..=0x17FF | 0x2E80..=0xD7FF
        | 0xF900..=0xFAFF | 0xFF66..=0xFFDC | 0x20000..=0x3FFFF)
}
