//! The rules that split text into words before byte-level BPE, by the name in
//! `tokenizer.ggml.pre`. Invariant: the splits equal llama.cpp's for the same name; a name that is
//! not in the table is an error.

/// How one family splits and merges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Applied one after the other, each to the pieces that the one before left.
    pub(super) patterns: &'static [&'static str],
    /// A word that is a token is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Begin texts with BOS unless the file says otherwise.
    pub(super) add_bos: bool,
}

const DIGIT: &str = r"\p{N}";
const UP_TO_THREE_DIGITS: &str = r"\p{N}{1,3}";
const CJK: &str = "[一-龥぀-ゟ゠-ヿ]+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}",
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

const PLAIN: Rule = Rule { patterns: &[GPT2], ignore_merges: false, add_bos: false };

/// The rule of a name; none if we do not know it.
pub(super) fn rule(name: &str) -> Option<Rule> {
    let patterns = |patterns| Rule { patterns, ..PLAIN };
    Some(match name {
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling"
        | "gigachat" | "a.x-4.0" | "mellum" | "exaone4" => PLAIN,
        // The pieces of punctuation and of three digits of llama.cpp's fallback.
        "default" => patterns(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]),
        "falcon" => patterns(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"]),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b"
        | "mellum2" => patterns(&[DIGIT, GPT2]),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0"
        | "lfm2" => Rule { patterns: &[LLAMA3], ignore_merges: true, add_bos: true },
        "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => patterns(&[LLAMA3]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" | "hunyuan" | "kormo"
        | "solar-open" | "grok-2" => patterns(&[QWEN2]),
        "qwen35" => patterns(&[QWEN35]),
        "tekken" => Rule { patterns: &[TEKKEN], ignore_merges: true, add_bos: true },
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" => patterns(&[GPT4O]),
        "deepseek-v3" | "hunyuan-dense" => patterns(&[UP_TO_THREE_DIGITS, CJK, DEEPSEEK3]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::rule;

    #[test]
    fn every_pattern_of_the_table_compiles() {
        for name in ["gpt-2", "default", "falcon", "smollm", "llama-bpe", "glm4", "qwen2", "qwen35"]
            .into_iter()
            .chain(["tekken", "gpt-4o", "deepseek-v3"])
        {
            let rule = rule(name).unwrap_or_else(|| panic!("{name} is in the table"));
            for pattern in rule.patterns {
                fancy_regex::Regex::new(pattern).unwrap_or_else(|err| panic!("{name}: {err}"));
            }
        }
        assert!(rule("made-up").is_none());
    }
}
