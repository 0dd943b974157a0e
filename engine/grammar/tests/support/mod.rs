//! Walking through grammars.

mod schemas;

use std::sync::{Arc, LazyLock};

use engine_core::Grammar;
use engine_grammar::Compiler;
use engine_text::TextModel;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
pub(crate) use schemas::random_schema;

/// The ends of a sequence in the byte-level vocabulary.
const EOS: [u32; 2] = [257, 259];

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ended,
    Cut,
    /// The grammar gave up, as its limits make it.
    Failed,
}

/// A compiler for the vocabulary of bytes.
pub(crate) fn compiler() -> &'static Compiler {
    static COMPILER: LazyLock<Compiler> =
        LazyLock::new(|| Compiler::new(Arc::new(TextModel::byte_level()), 0));
    &COMPILER
}

/// A text of tokens chosen by chance, at most so many; ends and closings are likelier than their
/// share.
pub(crate) fn walk(grammar: &dyn Grammar, rng: &mut StdRng, most: usize) -> (String, End) {
    let mut constraint = grammar.start();
    let mut bytes = Vec::new();
    for _ in 0..most {
        let Ok(mask) = constraint.mask().wait() else {
            return (String::from_utf8_lossy(&bytes).into_owned(), End::Failed);
        };
        let allowed: Vec<u32> = (0..300).filter(|token| mask.allows(*token)).collect();
        assert!(!allowed.is_empty(), "nothing may follow {:?}", String::from_utf8_lossy(&bytes));
        assert!(!allowed.iter().any(|token| *token > 255 && !EOS.contains(token)), "{allowed:?}");
        let closing = [EOS[0], u32::from(b'"'), u32::from(b'}'), u32::from(b']'), u32::from(b')')];
        let closing: Vec<u32> = closing.into_iter().filter(|c| allowed.contains(c)).collect();
        let token = match closing.choose(rng) {
            Some(token) if rng.random_bool(0.4) => *token,
            _ => *allowed.choose(rng).expect("not empty"),
        };
        if EOS.contains(&token) {
            return (String::from_utf8(bytes).expect("whole characters"), End::Ended);
        }
        bytes.push(token as u8);
        constraint.accept(token);
    }
    (String::from_utf8_lossy(&bytes).into_owned(), End::Cut)
}
