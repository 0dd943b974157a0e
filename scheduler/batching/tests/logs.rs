//! What a log may hold of an engine's panic: that it happened and where, never its words.

use std::io::Write;
use std::sync::{Arc, Mutex};

use engine_core::{
    CacheGroups, CacheScope, Engine, EngineError, EngineLimits, Event, Request, RequestError, Step,
    StepOutput, StopRules, TenantId,
};
use scheduler_batching::{PlannerConfig, spawn};

/// Panics with what it was given, as slicing a `str` does.
struct Quoting;

impl Engine for Quoting {
    fn limits(&self) -> EngineLimits {
        EngineLimits {
            block_size: 4,
            num_blocks: 8,
            max_model_len: 16,
            max_step_tokens: 8,
            max_step_seqs: 2,
            vocab_size: 1000,
            groups: CacheGroups::WHOLE,
        }
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        panic!("secret {:?}", step.work[0].input);
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_logged_with_its_place_and_without_its_words() {
    let log = Written::default();
    let (writer, printed) = (log.clone(), log.clone());
    tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
    // In the place of the default hook, which prints the words.
    std::panic::set_hook(Box::new(move |info| {
        let _ = write!(printed.clone(), "{info}");
    }));
    let (handle, driver) = spawn(Box::new(Quoting), PlannerConfig::default());
    let scope =
        CacheScope { tenant: TenantId("t".into()), model_version: "m".into(), adapter: None };
    let mut stream = handle
        .submit(Request {
            id: handle.next_request_id(),
            scope,
            prompt: vec![777],
            insets: Vec::new(),
            sampling: Arc::default(),
            stop: StopRules { max_tokens: 1, ..StopRules::default() },
            n: 1,
            prompt_logprobs: None,
            speculation: true,
            grammar: None,
            class: Default::default(),
            prediction: Vec::new(),
        })
        .unwrap();
    let event = stream.blocking_next();
    let Some(Event::Failed(RequestError::Engine(error))) = &event else { panic!("{event:?}") };
    drop((stream, handle));
    driver.join();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for text in [&log, &error.to_string()] {
        assert!(text.contains("the engine panicked"), "{text}");
        assert!(!text.contains("secret") && !text.contains("777"), "{text}");
    }
    assert!(log.contains("tests/logs.rs:"), "{log}");
}
