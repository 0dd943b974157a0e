//! What a compiled grammar takes in memory.
//!
//! The library tells of its lexer's tables; the rules are counted by walking them. What it does not
//! show is reckoned from the length of the source. `tests/sizes.rs` holds the sum against what the
//! allocator counts.

use std::mem::{size_of, size_of_val};

use llguidance::earley::{CGrammar, CSymIdx, ParamCond, ParamExpr, Parser};

/// Symbols are told apart by 16 bits.
const MAX_SYMBOLS: usize = 1 << 16;
/// Of a lexeme's description beside its expression.
const LEXEME_BYTES: usize = 512;
/// Of copies and trees of its texts, for each byte of the source.
pub(crate) const PER_SOURCE_BYTE: usize = 8;

/// Bytes, about, without what comes of the source's texts; `mask_bytes` is what a mask takes.
pub(crate) fn num_bytes(parser: &Parser, mask_bytes: usize) -> usize {
    let grammar = parser.grammar();
    let spec = grammar.lexer_spec();
    let lexer = parser.lexer_stats().num_bytes;
    let expressions = spec.regex_builder.exprset().num_bytes();
    let lexemes = spec.lexemes.len() * LEXEME_BYTES;
    lexer + expressions + lexemes + rules(grammar) + 2 * mask_bytes
}

/// Of all rules that can be reached.
fn rules(grammar: &CGrammar) -> usize {
    let mut is_seen = vec![false; MAX_SYMBOLS];
    let mut open = vec![grammar.start()];
    let mut num_bytes = 0;
    while let Some(symbol) = open.pop() {
        if std::mem::replace(&mut is_seen[symbol.as_index()], true) {
            continue;
        }
        let known = grammar.sym_data(symbol);
        num_bytes += size_of_val(known) + known.name.len();
        for rule in &known.rules {
            let (elements, ..) = grammar.rule_rhs(*rule);
            // Its place, its condition, and each element with its parameter and whose it is.
            num_bytes += size_of::<u32>() + size_of::<ParamCond>();
            num_bytes += (elements.len() + 1) * (2 * size_of::<CSymIdx>() + size_of::<ParamExpr>());
            open.extend(elements.iter().filter(|symbol| !is_seen[symbol.as_index()]));
        }
    }
    num_bytes
}
