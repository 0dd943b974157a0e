//! The driver of an encoder, with threads: rows reach who asked, failures end what they hit and
//! nothing else, and whoever goes away leaves nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine_core::{
    EncodeInput, Encoder, EncoderInfo, EncoderOutput, EngineError, RequestError, TenantId,
};
use engine_mock::{Fault, MockEncoder};
use scheduler_batching::{
    Amount, EncodeRefusal, EncoderHandle, EncodingConfig, InvalidInput, NoObserver, Observer,
    Outcome, RequestEnd, Shutdown, StepSize, spawn_encoder,
};

fn info() -> EncoderInfo {
    EncoderInfo {
        max_input_len: 16,
        max_batch_tokens: 32,
        vocab_size: 100,
        output: EncoderOutput::Embedding { dim: 4, normalized: true, truncatable: None },
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId(name.into())
}

/// Inputs of these lengths, each of other tokens than the rest.
fn inputs(first: u32, lens: &[usize]) -> Vec<Arc<EncodeInput>> {
    let input = |(len, number): (&usize, u32)| {
        let tokens = (0..*len as u32).map(|idx| (first + number * 7 + idx) % 100).collect();
        Arc::new(EncodeInput { tokens, ..EncodeInput::default() })
    };
    lens.iter().zip(0..).map(input).collect()
}

fn rows(inputs: &[Arc<EncodeInput>]) -> Vec<Vec<f32>> {
    inputs.iter().map(|input| MockEncoder::row(&info(), input)).collect()
}

fn spawn(encoder: MockEncoder) -> EncoderHandle {
    spawn_encoder(Box::new(encoder), EncodingConfig::default(), Box::new(NoObserver)).0
}

fn slow() -> MockEncoder {
    MockEncoder::new(info()).with_delay(Duration::from_millis(20))
}

/// The time limit asserts nothing about speed: it turns a hang into a failure.
async fn until(handle: &EncoderHandle, holds: impl Fn(usize, usize) -> bool) {
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
async fn many_requests_get_their_own_rows_in_shared_batches() {
    let handle = spawn(MockEncoder::new(info()));
    let asked = (0..40).map(|number| {
        let inputs = inputs(number, &[1, 9, 16, 3, 5][..1 + number as usize % 5]);
        let rows = handle.submit(&tenant(&format!("t{}", number % 3)), inputs.clone());
        (inputs, rows.expect("there is room"))
    });
    let asked: Vec<_> = asked.collect();
    let mut num_tokens = 0;
    for (inputs, answer) in asked {
        assert_eq!(answer.await.unwrap(), rows(&inputs));
        num_tokens += inputs.iter().map(|input| input.tokens.len() as u64).sum::<u64>();
    }
    let stats = handle.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0));
    assert_eq!(stats.prompt_tokens, num_tokens);
    assert!(stats.steps >= num_tokens.div_ceil(32), "{} batches", stats.steps);
    assert!(handle.submit(&tenant("t"), Vec::new()).unwrap().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_encoder_that_fails_or_panics_fails_its_batch_alone() {
    for fault in [Fault::Error("broken".into()), Fault::Panic, Fault::Sequence(0)] {
        let handle = spawn(MockEncoder::new(info()).with_fault(0, fault));
        let error = handle.submit(&tenant("a"), inputs(0, &[3])).unwrap().await.unwrap_err();
        assert!(matches!(error, RequestError::Engine(EngineError::Device(_))), "{error}");
        let again = inputs(0, &[3, 4]);
        let answer = handle.submit(&tenant("a"), again.clone()).unwrap().await;
        assert_eq!(answer.unwrap(), rows(&again));
        assert!(handle.is_alive());
    }
}

#[tokio::test]
async fn what_can_never_be_computed_is_refused_by_its_place() {
    let handle = spawn(MockEncoder::new(info()));
    let input = |tokens: Vec<u32>, type_ids: Vec<u8>, not_pooled: usize| {
        vec![
            Arc::new(EncodeInput { tokens: vec![1], ..EncodeInput::default() }),
            Arc::new(EncodeInput { tokens, type_ids, not_pooled, tiles: None }),
        ]
    };
    let cases = [
        (input(vec![], vec![], 0), InvalidInput::Empty),
        (input(vec![1, 2], vec![], 2), InvalidInput::Empty),
        (input(vec![1; 17], vec![], 0), InvalidInput::TooLong { tokens: 17, max: 16 }),
        (input(vec![100], vec![], 0), InvalidInput::UnknownToken { token: 100, vocab_size: 100 }),
        (input(vec![1, 2], vec![0], 0), InvalidInput::Types { types: 1, tokens: 2 }),
    ];
    for (inputs, problem) in cases {
        let error = handle.submit(&tenant("a"), inputs).err();
        assert_eq!(error, Some(EncodeRefusal::Invalid { index: 1, problem }));
    }
    assert_eq!(handle.stats().steps, 0, "nothing of them was computed");
}

#[tokio::test]
async fn who_goes_away_takes_along_what_is_not_computed() {
    let handle = spawn(slow());
    let running = handle.submit(&tenant("a"), inputs(0, &[16; 50])).unwrap();
    until(&handle, |running, _| running == 1).await;
    let waiting = handle.submit(&tenant("b"), inputs(1, &[16; 50])).unwrap();
    drop((running, waiting));
    let stats = handle.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0));
    // What comes after is answered, by few batches: those of the two are not computed.
    let last = inputs(2, &[5]);
    let answer = handle.submit(&tenant("c"), last.clone()).unwrap().await.unwrap();
    assert_eq!(answer, rows(&last));
    assert!(handle.stats().steps < 50, "{}", handle.stats().steps);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let few = Amount { inputs: 3, tokens: 1000 };
    let config = EncodingConfig {
        max_waiting: few,
        max_waiting_per_tenant: Amount { inputs: 2, ..few },
        retry_after_s: 7,
    };
    let (handle, _driver) = spawn_encoder(Box::new(slow()), config, Box::new(NoObserver));
    let first = handle.submit(&tenant("a"), inputs(0, &[16])).unwrap();
    until(&handle, |running, _| running == 1).await;
    let second = handle.submit(&tenant("a"), inputs(1, &[1, 2])).unwrap();
    let full = |waiting| Some(EncodeRefusal::QueueFull { waiting, retry_after_s: 7 });
    assert_eq!(handle.submit(&tenant("a"), inputs(2, &[1])).err(), full(2));
    let third = handle.submit(&tenant("b"), inputs(3, &[1])).unwrap();
    assert_eq!(handle.submit(&tenant("c"), inputs(4, &[1])).err(), full(3));
    for answer in [first, second, third] {
        answer.await.unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_drains_or_aborts() {
    for how in [Shutdown::Drain, Shutdown::Abort] {
        let (handle, driver) =
            spawn_encoder(Box::new(slow()), EncodingConfig::default(), Box::new(NoObserver));
        let inputs = inputs(0, &[16; 8]);
        let answer = handle.submit(&tenant("a"), inputs.clone()).unwrap();
        handle.shutdown(how);
        let late = handle.submit(&tenant("a"), inputs.clone());
        assert_eq!(late.err(), Some(EncodeRefusal::ShuttingDown));
        match how {
            Shutdown::Drain => assert_eq!(answer.await.unwrap(), rows(&inputs)),
            Shutdown::Abort => assert_eq!(answer.await, Err(RequestError::ShuttingDown)),
        }
        tokio::task::spawn_blocking(move || driver.join()).await.unwrap();
        assert!(!handle.is_alive());
    }
}

#[tokio::test]
async fn without_handles_the_driver_ends_when_all_is_done() {
    let (handle, driver) =
        spawn_encoder(Box::new(slow()), EncodingConfig::default(), Box::new(NoObserver));
    let inputs = inputs(0, &[16; 4]);
    let answer = handle.submit(&tenant("a"), inputs.clone()).unwrap();
    drop(handle);
    assert_eq!(answer.await.unwrap(), rows(&inputs));
    tokio::task::spawn_blocking(move || driver.join()).await.unwrap();
}

/// What was told, in words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

impl Observer for Told {
    fn queued(&mut self, _waited: Duration) {
        self.tell("queued".to_owned());
    }

    fn step(&mut self, _took: Duration, size: StepSize) {
        self.tell(format!("{} inputs, {} tokens", size.num_seqs, size.num_tokens));
    }

    fn request_ended(&mut self, end: RequestEnd) {
        let tokens = end.usage.map(|usage| usage.prompt_tokens);
        self.tell(format!("{:?} {tokens:?}", end.outcome));
    }
}

#[tokio::test]
async fn an_observer_hears_of_each_request_and_batch() {
    let told = Told::default();
    let encoder = slow().with_fault(2, Fault::Error("broken".into()));
    let observer = Box::new(told.clone());
    let (handle, _driver) = spawn_encoder(Box::new(encoder), EncodingConfig::default(), observer);
    handle.submit(&tenant("a"), inputs(0, &[16, 16, 4])).unwrap().await.unwrap();
    handle.submit(&tenant("a"), inputs(0, &[5])).unwrap().await.unwrap_err();
    let cancelled = handle.submit(&tenant("a"), inputs(0, &[6])).unwrap();
    drop(cancelled);
    let heard = told.0.lock().unwrap().clone();
    let finished = format!("{:?} Some(36)", Outcome::Finished);
    let failed = format!("{:?} None", Outcome::Failed);
    let expected = [
        "queued",
        "2 inputs, 32 tokens",
        "1 inputs, 4 tokens",
        &finished,
        "queued",
        "1 inputs, 5 tokens",
        &failed,
    ];
    assert_eq!(heard[..7], expected);
    let cancelled = format!("{:?} Some(6)", Outcome::Cancelled);
    assert!(heard[7..].contains(&cancelled), "{heard:?}");
}

/// An encoder that says of itself what cannot be.
struct Liar(EncoderInfo);

impl Encoder for Liar {
    fn info(&self) -> &EncoderInfo {
        &self.0
    }

    fn encode(&mut self, _: &[Arc<EncodeInput>]) -> Result<Vec<Vec<f32>>, EngineError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn an_input_that_no_batch_holds_fails_and_hangs_nobody() {
    let liar = Liar(EncoderInfo { max_batch_tokens: 4, ..info() });
    let (handle, _driver) =
        spawn_encoder(Box::new(liar), EncodingConfig::default(), Box::new(NoObserver));
    let error = handle.submit(&tenant("a"), inputs(0, &[5])).unwrap().await.unwrap_err();
    assert!(matches!(error, RequestError::Engine(EngineError::InvalidStep(_))), "{error}");
    // Rows that are not there are noticed, too.
    let error = handle.submit(&tenant("a"), inputs(0, &[4])).unwrap().await.unwrap_err();
    assert!(matches!(error, RequestError::Engine(EngineError::Device(_))), "{error}");
}
