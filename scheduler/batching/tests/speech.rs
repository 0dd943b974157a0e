//! The driver of a model of speech, with threads: steps reach who asked in order, failures end
//! what they hit and nothing else, and whoever goes away leaves nothing.

use std::time::Duration;

use engine_core::{EngineError, RequestError, SpeechInput, TenantId};
use engine_mock::{Fault, MockSpeech};
use scheduler_batching::{
    NoObserver, Shutdown, SpeechConfig, SpeechHandle, SpeechRefusal, SpeechStream, spawn_speech,
};

const SECOND: usize = 16_000;

fn tenant(name: &str) -> TenantId {
    TenantId(name.into())
}

/// A recording that says these letters, one a second.
fn recording(letters: &str) -> SpeechInput {
    let sample = |letter: u8| (f32::from(letter - b'a') + 0.5) / 25.0;
    let samples = letters.bytes().flat_map(|letter| [sample(letter); SECOND]).collect();
    SpeechInput { samples, ..SpeechInput::default() }
}

fn spawn(model: MockSpeech) -> SpeechHandle {
    spawn_speech(model, SpeechConfig::default(), Box::new(NoObserver)).0
}

fn slow() -> MockSpeech {
    MockSpeech::new(&["en"]).with_delay(Duration::from_millis(20))
}

async fn text(mut stream: SpeechStream) -> Result<String, RequestError> {
    let mut text = String::new();
    while let Some(step) = stream.next().await {
        for segment in step?.segments {
            let tokens = segment.tokens.iter().filter(|token| **token < 256);
            text.extend(tokens.filter_map(|token| char::from_u32(*token)));
        }
    }
    Ok(text.replace(' ', ""))
}

/// The time limit asserts nothing about speed: it turns a hang into a failure.
async fn until(handle: &SpeechHandle, holds: impl Fn(usize, usize) -> bool) {
    let poll = async {
        loop {
            let stats = handle.stats();
            if holds(stats.running, stats.waiting) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("it comes about");
}

#[tokio::test]
async fn many_recordings_are_each_written_down() {
    let handle = spawn(MockSpeech::new(&["en"]));
    let letters = ["a", "xyz", "hello", "bcd", "zzzzzzzz"];
    let asked = (0..20).map(|number| {
        let letters = letters[number % letters.len()];
        let tenant = tenant(&format!("t{}", number % 3));
        (letters, handle.submit(&tenant, recording(letters)).expect("there is room"))
    });
    for (letters, stream) in asked.collect::<Vec<_>>() {
        assert_eq!(text(stream).await.unwrap(), letters);
    }
    let stats = handle.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0));
    assert_eq!(stats.steps, 4 * (1 + 3 + 5 + 3 + 8));
}

#[tokio::test]
async fn a_short_recording_of_another_does_not_wait_for_a_long_one() {
    let handle = spawn(slow());
    let long = handle.submit(&tenant("a"), recording(&"a".repeat(200))).unwrap();
    until(&handle, |running, _| running == 1).await;
    let short = handle.submit(&tenant("b"), recording("hi")).unwrap();
    assert_eq!(text(short).await.unwrap(), "hi");
    assert_eq!(handle.stats().running, 1);
    drop(long);
    until(&handle, |running, waiting| running + waiting == 0).await;
}

#[tokio::test]
async fn a_window_that_fails_or_panics_fails_its_request_alone() {
    for fault in [Fault::Error("broken".into()), Fault::Panic] {
        let handle = spawn(MockSpeech::new(&["en"]).with_fault(1, fault));
        let error = text(handle.submit(&tenant("a"), recording("abc")).unwrap()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, RequestError::Engine(EngineError::Device(_))), "{error}");
        assert_eq!(
            text(handle.submit(&tenant("a"), recording("de")).unwrap()).await.unwrap(),
            "de"
        );
        assert!(handle.is_alive());
    }
}

#[tokio::test]
async fn who_goes_away_leaves_nothing_and_ends_the_window() {
    let model = MockSpeech::new(&["en"]).with_delay(Duration::from_secs(20));
    let handle = spawn(model);
    let stream = handle.submit(&tenant("a"), recording("abc")).unwrap();
    let waiting = handle.submit(&tenant("a"), recording("d")).unwrap();
    until(&handle, |running, waiting| (running, waiting) == (1, 1)).await;
    drop((stream, waiting));
    assert_eq!((handle.stats().running, handle.stats().waiting), (0, 0));
    // The window that nobody wants does not hold up the next one; nor the end.
    handle.shutdown(Shutdown::Drain);
    let ended = async {
        while handle.is_alive() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), ended).await.expect("it ends before its window");
}

#[tokio::test]
async fn a_full_queue_and_a_shutdown_refuse() {
    let config = SpeechConfig { max_requests: 2, ..SpeechConfig::default() };
    let (handle, driver) = spawn_speech(slow(), config, Box::new(NoObserver));
    let streams = [(); 2].map(|()| handle.submit(&tenant("a"), recording("abcdef")).unwrap());
    let refused = handle.submit(&tenant("b"), recording("a")).map(drop).unwrap_err();
    assert!(matches!(refused, SpeechRefusal::QueueFull { waiting: 2, .. }), "{refused}");
    handle.shutdown(Shutdown::Abort);
    for stream in streams {
        assert_eq!(text(stream).await, Err(RequestError::ShuttingDown));
    }
    let refused = handle.submit(&tenant("b"), recording("a")).map(drop).unwrap_err();
    assert_eq!(refused, SpeechRefusal::ShuttingDown);
    tokio::task::spawn_blocking(move || driver.join()).await.unwrap();
}
