//! Every bound of this crate, in one place. Invariant: no input, template or file makes this crate
//! work or allocate beyond what these numbers allow.

/// Longest text that [`encode`](crate::TextModel::encode) takes, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 20;
/// Longest run of characters of one class (whitespace, word, other) in a text, in characters.
///
/// The regex engine backtracks once for each of them and gives up, silently for the tokenizer
/// library, at a million; and no real text comes near.
pub const MAX_RUN_CHARS: usize = 200_000;
/// Largest prompt that a chat template may render, in bytes.
pub const MAX_RENDERED_BYTES: usize = MAX_TEXT_BYTES;
/// Largest chat template source, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 128 << 10;
/// Work that one rendering may do: one unit is an instruction, or 64 bytes of data made.
pub const MAX_TEMPLATE_FUEL: u64 = 4_000_000;
/// Depth of nested macros, loops and blocks while rendering.
pub const MAX_TEMPLATE_RECURSION: usize = 100;
/// Stack of the thread that renders a template, in bytes.
pub(crate) const TEMPLATE_STACK_BYTES: usize = 16 << 20;
/// Longest stop string, in bytes.
pub const MAX_STOP_BYTES: usize = 1024;
/// Largest `tokenizer.json`, in bytes.
pub const MAX_TOKENIZER_JSON_BYTES: usize = 128 << 20;
/// Largest token id plus one.
pub const MAX_VOCAB_SIZE: usize = 4 << 20;
/// Longest text of one token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;
