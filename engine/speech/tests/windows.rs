//! Recordings of any length: they end, their times do not go back, and what nobody wants any more
//! is not computed.

mod support;

use std::sync::atomic::AtomicBool;

use engine_core::{EngineError, Speech, SpeechInput, SpeechTask};
use engine_encoder::Precision;
use engine_speech::{DecodingOptions, Transcriber};
use support::{NAMES, executor, model, sound, text_of, transcribe, transcriber};

fn input(samples: Vec<f32>) -> SpeechInput {
    SpeechInput { samples, language: Some("en".to_owned()), ..SpeechInput::default() }
}

#[test]
fn recordings_of_any_length_end() {
    let (model, _) = model("multilingual");
    let mut transcriber = transcriber(&model, Precision::Fast, true);
    for len in [0, 1, 159, 160, 161, 31_999, 32_000, 32_001, 100_000] {
        let (segments, language) = transcribe(&mut transcriber, &input(sound(len)));
        assert_eq!(language, "en");
        for segment in &segments {
            assert!(segment.start <= segment.end, "{len}: {segment:?}");
            // A window is as long as it is, whatever is in it.
            assert!(segment.end <= len as f64 / 16_000.0 + 2.0, "{len}: {segment:?}");
        }
        let begins: Vec<_> = segments.iter().map(|segment| segment.start).collect();
        assert!(begins.is_sorted(), "{len}: {begins:?}");
    }
}

#[test]
fn tokens_have_times_where_they_are_asked_for() {
    for name in NAMES {
        let (model, _) = model(name);
        let mut transcriber = transcriber(&model, Precision::Fast, false);
        for len in [0, 1, 319, 320, 31_999, 70_000] {
            let input = SpeechInput { samples: sound(len), ..SpeechInput::default() };
            let (plain, _) = transcribe(&mut transcriber, &input);
            assert!(plain.iter().all(|segment| segment.token_times.is_empty()));
            let timed = SpeechInput { token_times: true, ..input };
            let (mut timed, _) = transcribe(&mut transcriber, &timed);
            for segment in &mut timed {
                let times = std::mem::take(&mut segment.token_times);
                assert_eq!(times.len(), segment.tokens.len(), "{name}: {len}");
                let all: Vec<f64> = times.into_iter().flatten().collect();
                assert!(all.is_sorted(), "{name}: {len}: {all:?}");
                // Of the recording, and not of the silence after it.
                assert!(all.iter().all(|time| *time <= (len as f64 / 16_000.0).max(0.01)));
            }
            assert_eq!(plain, timed, "{name}: {len}");
        }
    }
}

#[test]
fn the_same_recording_is_the_same_after_any_other() {
    let (model, _) = model("multilingual");
    let mut transcriber = transcriber(&model, Precision::Fast, true);
    let asked = input(sound(50_000));
    let before = transcribe(&mut transcriber, &asked);
    transcribe(&mut transcriber, &SpeechInput { temperature: 1.0, ..input(sound(90_000)) });
    assert_eq!(transcribe(&mut transcriber, &asked), before);
    // Two that take turns.
    let stop = AtomicBool::new(false);
    let other = input(sound(80_000));
    let mut sessions = [&asked, &other].map(|input| transcriber.begin(input).expect("it begins"));
    let (mut segments, mut ended) = (Vec::new(), false);
    while !ended {
        let step = transcriber.step(&mut sessions[0], &stop).expect("a step");
        segments.extend(step.segments);
        ended = step.is_last;
        transcriber.step(&mut sessions[1], &stop).expect("a step");
    }
    assert_eq!(segments, before.0);
}

#[test]
fn what_is_not_believed_is_tried_again_at_higher_temperatures() {
    let (model, _) = model("multilingual");
    let executor = executor(&model, Precision::Fast, 2);
    // Random weights are sure of little.
    let options = DecodingOptions::default();
    let vocabulary = model.vocabulary.clone();
    let mut transcriber = Transcriber::new(executor, vocabulary, text_of(), options);
    let (segments, _) = transcribe(&mut transcriber, &input(sound(32_000)));
    assert!(segments[0].temperature > 0.0, "{segments:?}");
}

#[test]
fn nothing_is_computed_that_nobody_wants() {
    let (model, _) = model("multilingual");
    let mut transcriber = transcriber(&model, Precision::Fast, false);
    let mut session = transcriber.begin(&input(sound(100_000))).expect("it begins");
    let step = transcriber.step(&mut session, &AtomicBool::new(true)).expect("a step");
    assert!(step.is_last && step.segments.is_empty());
}

#[test]
fn what_the_model_cannot_do_is_refused() {
    let (multilingual, _) = model("multilingual");
    let (english, _) = model("english");
    let plain = || input(sound(160));
    for (model, input) in [
        (&multilingual, SpeechInput { language: Some("xx".to_owned()), ..plain() }),
        (&multilingual, SpeechInput { prompt: vec![120], ..plain() }),
        (&english, SpeechInput { language: Some("de".to_owned()), ..plain() }),
        (&english, SpeechInput { task: SpeechTask::Translate, ..plain() }),
    ] {
        let mut transcriber = transcriber(model, Precision::Fast, false);
        let error = transcriber.begin(&input).map(drop).expect_err("it does not begin");
        assert!(matches!(error, EngineError::InvalidStep(_)), "{error}");
    }
}
