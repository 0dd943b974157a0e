//! Words of tokens against transformers' Whisper.

mod common;

use common::{golden, smollm2};
use engine_text::{TextModel, Word};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    ids: Vec<u32>,
    /// Of a language with spaces between words: text, first token, end.
    spaced: Vec<(String, usize, usize)>,
    /// Of one without.
    not: Vec<(String, usize, usize)>,
}

#[test]
fn words_are_those_of_the_reference() {
    let model = TextModel::from_gguf(smollm2("gpt-2")).expect("the fixture loads");
    let all: Vec<Golden> = serde_json::from_value(golden("words.json")).expect("what is written");
    assert!(all.len() > 100);
    for Golden { ids, spaced, not } in all {
        for (has_spaces, want) in [(true, spaced), (false, not)] {
            let words = model.words(&ids, has_spaces);
            let word = |(text, first, end)| Word { text, tokens: first..end };
            let want: Vec<Word> = want.into_iter().map(word).collect();
            assert_eq!(words, want, "{ids:?}, with spaces: {has_spaces}");
            // Together they are the whole, and each token is in one.
            let text: String = words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(
                text.replace('\u{fffd}', ""),
                model.decode(&ids, true).replace('\u{fffd}', "")
            );
            let ends = words.iter().map(|word| word.tokens.end);
            let begins = words.iter().map(|word| word.tokens.start).skip(1);
            assert!(ends.zip(begins).all(|(end, begin)| end == begin), "{words:?}");
        }
    }
    assert_eq!(model.words(&[], true), []);
}
