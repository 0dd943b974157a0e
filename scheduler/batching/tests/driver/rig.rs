//! An engine that the test can hold still, and short ways to submit and to listen.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use engine_core::{
    CacheGroups, CacheScope, Engine, EngineError, EngineLimits, Event, Request, SamplingParams,
    Step, StepOutput, StopRules, TenantId, TokenId, Usage,
};
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{EventStream, Handle};

pub(crate) const LIMITS: EngineLimits = EngineLimits {
    block_size: 4,
    num_blocks: 256,
    max_model_len: 500,
    max_step_tokens: 64,
    max_step_seqs: 16,
    vocab_size: 1000,
    groups: CacheGroups::WHOLE,
};

pub(crate) fn mock() -> MockEngine {
    MockEngine::new(LIMITS, MockModel::default())
}

pub(crate) fn request(handle: &Handle, prompt: &[TokenId], max_tokens: u32) -> Request {
    Request {
        id: handle.next_request_id(),
        scope: CacheScope {
            tenant: TenantId("t".into()),
            model_version: "m".into(),
            adapter: None,
        },
        prompt: prompt.to_vec(),
        insets: Vec::new(),
        sampling: Arc::new(SamplingParams::default()),
        stop: StopRules { max_tokens, ..StopRules::default() },
        n: 1,
        prompt_logprobs: None,
        speculation: true,
        grammar: None,
        class: Default::default(),
        prediction: Vec::new(),
    }
}

pub(crate) fn submit(handle: &Handle, prompt: &[TokenId], max_tokens: u32) -> EventStream {
    handle.submit(request(handle, prompt, max_tokens)).unwrap()
}

/// All events to the end.
pub(crate) fn drain(mut stream: EventStream) -> Vec<Event> {
    std::iter::from_fn(|| stream.blocking_next()).collect()
}

pub(crate) fn usage(events: &[Event]) -> Usage {
    match events.last() {
        Some(Event::Finished(usage)) => *usage,
        other => panic!("ended with {other:?}"),
    }
}

/// An engine that computes a step only when it is told to, and says when one has begun.
pub(crate) struct Stepwise {
    engine: MockEngine,
    begun: SyncSender<Step>,
    go: Receiver<()>,
}

impl Engine for Stepwise {
    fn limits(&self) -> EngineLimits {
        self.engine.limits()
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        // Once the test has let go of its ends, steps run freely.
        let _ = self.begun.send(step.clone());
        let _ = self.go.recv();
        self.engine.execute(step)
    }
}

pub(crate) fn stepwise() -> (Box<dyn Engine>, Receiver<Step>, SyncSender<()>) {
    let (begun, steps) = sync_channel(1000);
    let (go_on, go) = sync_channel(1000);
    (Box::new(Stepwise { engine: mock(), begun, go }), steps, go_on)
}
