//! A real Whisper on a real recording, against transformers on the same weights.
//!
//! Not run by itself: weights of that kind are in no package as they are. By hand, with the folder
//! and the recording that `tools/make_whisper_golden.py` tells of:
//!
//! ```sh
//! AGENTBASE_TEST_WHISPER=whisper-tiny AGENTBASE_TEST_SPEECH=jfk.wav \
//!     cargo nextest run -p engine-speech --run-ignored only
//! ```

mod support;

use std::path::PathBuf;

use engine_audio::Limits;
use engine_core::{Segment, SpeechInput};
use engine_encoder::Precision;
use engine_speech::open;
use engine_text::{HuggingFaceFiles, TextModel};
use serde::Deserialize;
use support::{files, folder, transcribe, transcriber};

#[derive(Deserialize)]
struct Golden {
    takes: Vec<Take>,
}

#[derive(Deserialize)]
struct Take {
    /// The recording so many times, one after another.
    times: usize,
    condition: bool,
    segments: Vec<Heard>,
}

/// Of a segment: beginning, end, tokens, text, words.
type Heard = (f64, f64, Vec<u32>, String, Vec<Word>);

/// What it is, when it begins, when it ends.
type Word = (String, f64, f64);

/// As the server joins and times them.
fn words(text: &TextModel, segment: &Segment, first_mark: u32) -> Vec<Word> {
    let timed = segment.tokens.iter().zip(&segment.token_times);
    let (tokens, times): (Vec<u32>, Vec<[f64; 2]>) =
        timed.filter(|(token, _)| **token < first_mark).unzip();
    let words = text.words(&tokens, true).into_iter();
    let time = |time: f64| (time * 100.0).round() / 100.0;
    words
        .map(|w| (w.text, time(times[w.tokens.start][0]), time(times[w.tokens.end - 1][1])))
        .collect()
}

fn named(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set")))
}

#[test]
#[ignore = "needs a folder that is converted by hand: see above"]
fn what_is_said_is_what_transformers_hears() {
    let folder_files = files(&named("AGENTBASE_TEST_WHISPER"));
    let model = open(&folder_files).expect("it opens").expect("Whisper");
    let tokenizer_json = &std::fs::read(&folder_files["tokenizer.json"]).expect("it reads")[..];
    let text = HuggingFaceFiles { tokenizer_json, ..HuggingFaceFiles::default() };
    let text = TextModel::from_hugging_face(&text).expect("a tokenizer");
    let recording = std::fs::read(named("AGENTBASE_TEST_SPEECH")).expect("it reads");
    let samples = engine_audio::decode(recording, None, Limits::default()).expect("a recording");
    let golden = std::fs::read(folder("real.json")).expect("real.json");
    let golden: Golden = serde_json::from_slice(&golden).expect("what the script writes");
    for (precision, most) in [(Precision::Exact, 0.0), (Precision::Fast, 0.04)] {
        for (i, take) in golden.takes.iter().enumerate() {
            let mut transcriber = transcriber(&model, precision, take.condition);
            let input = SpeechInput {
                samples: samples.repeat(take.times),
                language: Some("en".to_owned()),
                token_times: true,
                ..SpeechInput::default()
            };
            let (segments, _) = transcribe(&mut transcriber, &input);
            let said: Vec<_> = segments
                .iter()
                .map(|s| ((s.start * 100.0).round(), (s.end * 100.0).round(), &s.tokens))
                .collect();
            let want: Vec<_> = take
                .segments
                .iter()
                .map(|(start, end, tokens, ..)| {
                    ((start * 100.0).round(), (end * 100.0).round(), tokens)
                })
                .collect();
            assert_eq!(said, want, "{precision:?}: take {i}");
            for (segment, (.., want)) in segments.iter().zip(&take.segments) {
                let got = words(&text, segment, model.vocabulary.end);
                let of = |words: &[Word]| words.iter().map(|w| w.0.clone()).collect::<Vec<_>>();
                assert_eq!(of(&got), of(want), "{precision:?}: take {i}");
                for (got, want) in got.iter().zip(want) {
                    let off = (got.1 - want.1).abs().max((got.2 - want.2).abs());
                    // One position of the encoder is 0.02 s; under fast settings 6 of 88 words are
                    // off by one or two.
                    assert!(off < most + 1e-6, "{precision:?}: take {i}: {got:?} is not {want:?}");
                }
            }
        }
    }
}
