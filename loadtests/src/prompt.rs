//! Prompts that share no prefix, so that no server's prefix cache helps.
//!
//! Invariant: the same number gives the same prompt, and different numbers differ in the first
//! words.

/// Common words, each one token with its leading space in the usual vocabularies.
const WORDS: [&str; 64] = [
    "time", "people", "water", "house", "world", "school", "river", "music", "paper", "green",
    "night", "light", "story", "money", "table", "garden", "winter", "summer", "market", "window",
    "doctor", "number", "mother", "father", "letter", "street", "picture", "morning", "evening",
    "question", "answer", "family", "country", "city", "road", "tree", "book", "door", "horse",
    "fish", "bread", "stone", "field", "north", "south", "east", "west", "song", "game", "year",
    "month", "week", "hour", "small", "large", "long", "short", "young", "old", "new", "red",
    "blue", "black", "white",
];

/// `num_words` words chosen by `number`; close to one token a word.
pub fn distinct_text(number: u64, num_words: usize) -> String {
    let mut text = String::new();
    // The number itself, in base 64, makes the first words differ; the rest is scattered.
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    for word_idx in 0..num_words {
        let choice = if word_idx < 4 {
            number >> (6 * word_idx)
        } else {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 20
        };
        if word_idx > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[(choice % 64) as usize]);
    }
    text
}

/// A chat message that asks for a story about words chosen by `number`.
pub fn distinct_prompt(number: u64) -> String {
    format!("{}: tell me a story with these words.", distinct_text(number, 8))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::distinct_text;

    #[test]
    fn prompts_differ_within_the_first_four_words() {
        let starts: HashSet<String> = (0..5000)
            .map(|number| {
                distinct_text(number, 128).split(' ').take(4).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(starts.len(), 5000);
        assert_eq!(distinct_text(7, 128), distinct_text(7, 128));
        assert_eq!(distinct_text(7, 128).split(' ').count(), 128);
    }
}
