//! The rules that split text into words before byte-pair encoding, by the name in
//! `tokenizer.ggml.pre`. Invariant: the splits equal llama.cpp's for the same name; a name that is
//! not in the table is an error.

use super::patterns::*;
use crate::split::{self, Split};

/// How one family splits and merges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Applied one after the other, each to the pieces that the one before left.
    pub(super) steps: &'static [Step],
    /// A word that is a token is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Whether texts begin with BOS.
    pub(super) bos: Bos,
    /// The vocabulary is of characters, with `▁` for a space and bytes for what it lacks.
    pub(super) is_sentencepiece: bool,
    /// `<mask>` takes the white space before it.
    pub(super) mask_strips: bool,
}

/// Whether texts begin with BOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bos {
    /// If the file says so.
    Asked,
    /// Unless the file says otherwise.
    Usual,
    /// Whatever the file says: published ones are wrong.
    Always,
}

/// One step of splitting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Matches are pieces of their own.
    Pattern(&'static str),
    /// Digits in threes from the right.
    Thousands,
    /// The same for ASCII digits only.
    AsciiThousands,
}

use Step::{AsciiThousands, Pattern, Thousands};

impl Rule {
    /// The steps, compiled.
    pub(super) fn splits(&self) -> Result<Vec<Split>, Box<fancy_regex::Error>> {
        let split = |step: &Step| match *step {
            Pattern(pattern) => {
                split::Pattern::new(pattern).map(|pattern| Split::Pattern(Box::new(pattern)))
            }
            Thousands => Ok(Split::Thousands { is_digit: char::is_numeric }),
            AsciiThousands => Ok(Split::Thousands { is_digit: |c| c.is_ascii_digit() }),
        };
        self.steps.iter().map(split).collect()
    }
}

const PLAIN: Rule = Rule {
    steps: &[Pattern(GPT2)],
    ignore_merges: false,
    bos: Bos::Asked,
    is_sentencepiece: false,
    mask_strips: false,
};
/// Gemma 4: nothing but line ends parts words.
pub(super) const GEMMA4: Rule =
    Rule { steps: &[Pattern(LINES)], is_sentencepiece: true, bos: Bos::Always, ..PLAIN };

/// Names, and their rule.
type Entry = (&'static [&'static str], Rule);

const fn steps(steps: &'static [Step]) -> Rule {
    Rule { steps, ..PLAIN }
}

const fn ignoring_merges(rule: Rule) -> Rule {
    Rule { ignore_merges: true, ..rule }
}

const fn with_bos(rule: Rule) -> Rule {
    Rule { bos: Bos::Usual, ..rule }
}

const LLAMA: Rule = steps(&[Pattern(LLAMA3)]);
const V3: Rule = steps(&[Pattern(UP_TO_THREE_DIGITS), Pattern(CJK), Pattern(DEEPSEEK3)]);

/// Every name that llama.cpp knows, but for those of vocabularies that are not by byte-pairs or
/// belong to no language model.
pub(super) const RULES: &[Entry] = &[
    (
        &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "exaone4",
            "modern-bert",
            "jina-es",
            "jina-de",
            "jina-v1-en",
            "roberta-bpe",
        ],
        PLAIN,
    ),
    (&["jina-v2-es", "jina-v2-de", "jina-v2-code"], Rule { mask_strips: true, ..PLAIN }),
    // The pieces of punctuation and of three digits of llama.cpp's fallback.
    (
        &["default"],
        steps(&[Pattern(DEFAULT_MARKS), Pattern(GPT2), Pattern(DIGITS), Pattern(THREE_DIGITS)]),
    ),
    (&["falcon"], steps(&[Pattern(FALCON_MARKS), Pattern(GPT2), Pattern(THREE_DIGITS)])),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        steps(&[Pattern(DIGIT), Pattern(GPT2)]),
    ),
    (
        &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        with_bos(ignoring_merges(LLAMA)),
    ),
    (&["dbrx", "smaug-bpe", "chatglm-bpe"], LLAMA),
    (&["glm4", "glm5"], ignoring_merges(LLAMA)),
    (&["jais-2"], steps(&[Pattern(JAIS2)])),
    (&["minicpm5"], ignoring_merges(steps(&[Pattern(UP_TO_THREE_DIGITS), Pattern(MINICPM5)]))),
    (
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "stablelm2",
            "megrez",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        steps(&[Pattern(QWEN2)]),
    ),
    (&["qwen35"], steps(&[Pattern(QWEN35)])),
    (&["laguna"], steps(&[Pattern(LINES), Pattern(QWEN2)])),
    (&["ufakzeka"], steps(&[Pattern(UFAKZEKA)])),
    (&["seed-coder"], steps(&[Pattern(SEED_CODER)])),
    (&["bailingmoe", "bailingmoe2", "llada-moe"], steps(&[Pattern(BAILING)])),
    (&["exaone-moe"], steps(&[Pattern(EXAONE_MOE)])),
    (&["tekken"], with_bos(ignoring_merges(steps(&[Pattern(TEKKEN)])))),
    (&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], steps(&[Pattern(GPT4O)])),
    (&["granite-embed-multi-97m"], ignoring_merges(steps(&[Pattern(GPT4O)]))),
    (&["tiny_aya", "cohere2moe"], steps(&[Thousands, Pattern(CASELESS)])),
    (&["youtu"], ignoring_merges(steps(&[Pattern(YOUTU), Pattern(CASELESS)]))),
    (&["kimi-k2"], steps(&[Pattern(KIMI_K2)])),
    (&["superbpe"], steps(&[Pattern(DIGITS), AsciiThousands])),
    (&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], V3),
    (
        &["spark2_5"],
        steps(&[Pattern(UP_TO_THREE_DIGITS), Pattern(CJK), Pattern(SPARK), Pattern(DIGIT)]),
    ),
    (&["afmoe"], steps(&[Thousands, Pattern(AFMOE_SCRIPTS), Pattern(DEEPSEEK3)])),
    (
        &["deepseek-llm"],
        steps(&[
            Pattern(LINE_END),
            Pattern(DEEPSEEK_LETTERS),
            Pattern(DEEPSEEK_MARKS),
            Pattern(SPACE_AT_END),
            Pattern(DEEPSEEK_CJK),
            Pattern(DIGITS),
        ]),
    ),
    (
        &["deepseek-coder"],
        steps(&[
            Pattern(LINE_END),
            Pattern(SPACED_LETTERS),
            Pattern(SPACED_MARKS),
            Pattern(DEEPSEEK_CJK),
            Pattern(DIGIT),
        ]),
    ),
    (&["poro-chat", "bloom", "gpt3-finnish"], steps(&[Pattern(BLOOM)])),
    (&["viking"], steps(&[Pattern(BLOOM), Pattern(DIGIT)])),
    (
        &["chameleon"],
        with_bos(steps(&[
            Pattern(SENTINEL),
            Pattern(IMAGE),
            Pattern(CHAMELEON_SPACE),
            Pattern(DIGIT),
            Pattern(ONE_MARK),
            Pattern(GPT2),
        ])),
    ),
    (&["gemma4", "granite-embed-multi-311m"], GEMMA4),
    (&["sarvam-moe"], Rule { bos: Bos::Asked, ..GEMMA4 }),
];

/// The rule of a name; none if we do not know it.
pub(super) fn rule(name: &str) -> Option<Rule> {
    RULES.iter().find(|(names, _)| names.contains(&name)).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{RULES, rule};

    #[test]
    fn every_rule_compiles_and_no_name_is_there_twice() {
        let mut seen = HashSet::new();
        for (names, rule) in RULES {
            for name in *names {
                assert!(seen.insert(name), "{name}");
            }
            rule.splits().unwrap_or_else(|err| panic!("{names:?}: {err}"));
        }
        assert!(rule("qwen2").is_some());
        assert!(rule("made-up").is_none());
    }
}
