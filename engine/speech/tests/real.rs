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
use engine_core::SpeechInput;
use engine_encoder::Precision;
use engine_speech::open;
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
    /// Beginning, end, tokens, text.
    segments: Vec<(f64, f64, Vec<u32>, String)>,
}

fn named(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set")))
}

#[test]
#[ignore = "needs a folder that is converted by hand: see above"]
fn what_is_said_is_what_transformers_hears() {
    let model = open(&files(&named("AGENTBASE_TEST_WHISPER"))).expect("it opens").expect("Whisper");
    let recording = std::fs::read(named("AGENTBASE_TEST_SPEECH")).expect("it reads");
    let samples = engine_audio::decode(recording, None, Limits::default()).expect("a recording");
    let golden = std::fs::read(folder("real.json")).expect("real.json");
    let golden: Golden = serde_json::from_slice(&golden).expect("what the script writes");
    for precision in [Precision::Exact, Precision::Fast] {
        for (i, take) in golden.takes.iter().enumerate() {
            let mut transcriber = transcriber(&model, precision, take.condition);
            let input = SpeechInput {
                samples: samples.repeat(take.times),
                language: Some("en".to_owned()),
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
                .map(|(start, end, tokens, _)| {
                    ((start * 100.0).round(), (end * 100.0).round(), tokens)
                })
                .collect();
            assert_eq!(said, want, "{precision:?}: take {i}");
        }
    }
}
