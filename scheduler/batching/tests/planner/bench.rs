//! A planner and a mock engine on a table: step by step, by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::{
    CacheGroups, CacheScope, Engine, EngineError, EngineLimits, Event, FinishReason, Request,
    RequestId, SamplingParams, Step, StopRules, TenantId, TokenId, Usage,
};
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{Planner, PlannerConfig};

pub(crate) const LIMITS: EngineLimits = EngineLimits {
    block_size: 4,
    num_blocks: 64,
    max_model_len: 200,
    max_step_tokens: 32,
    max_step_seqs: 8,
    vocab_size: 1000,
    groups: CacheGroups::WHOLE,
};

pub(crate) fn config() -> PlannerConfig {
    PlannerConfig { prefill_chunk: 16, ..PlannerConfig::default() }
}

pub(crate) fn scope(tenant: &str) -> CacheScope {
    CacheScope { tenant: TenantId(tenant.into()), model_version: "m".into(), adapter: None }
}

/// Generates exactly `max_tokens`, whatever comes.
pub(crate) fn request(id: u64, tenant: &str, prompt: &[TokenId], max_tokens: u32) -> Request {
    Request {
        id: RequestId(id),
        scope: scope(tenant),
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

pub(crate) struct Bench {
    pub(crate) planner: Planner,
    pub(crate) engine: MockEngine,
    pub(crate) events: BTreeMap<u64, Vec<Event>>,
}

impl Bench {
    pub(crate) fn new(limits: EngineLimits, config: PlannerConfig) -> Self {
        let engine = MockEngine::new(limits, MockModel::default());
        Self { planner: Planner::new(limits, config), engine, events: BTreeMap::new() }
    }

    pub(crate) fn submit(&mut self, request: Request) {
        self.planner.submit(request).unwrap();
    }

    /// One turn of the loop; the step, for a look at it.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let step = self.planner.plan()?;
        let out = self.engine.execute(&step);
        if let Err(EngineError::InvalidStep(what)) = &out {
            panic!("{what}");
        }
        self.planner.commit(step.clone(), out);
        self.listen();
        Some(step)
    }

    /// To the end; the steps.
    pub(crate) fn run(&mut self) -> Vec<Step> {
        let steps: Vec<_> = std::iter::from_fn(|| self.step()).take(10_000).collect();
        assert!(self.planner.is_idle(), "{:?}", self.planner.stats());
        steps
    }

    pub(crate) fn listen(&mut self) {
        self.planner.audit().unwrap();
        for (id, event) in self.planner.drain_events() {
            self.events.entry(id.0).or_default().push(event);
        }
    }

    pub(crate) fn tokens(&self, id: u64, choice: u32) -> Vec<TokenId> {
        let events = self.events.get(&id).into_iter().flatten();
        let tokens = events.filter_map(|event| match event {
            Event::Token { index, token, .. } if *index == choice => Some(*token),
            _ => None,
        });
        tokens.collect()
    }

    pub(crate) fn reasons(&self, id: u64) -> Vec<(u32, FinishReason)> {
        let events = self.events.get(&id).into_iter().flatten();
        let reasons = events.filter_map(|event| match event {
            Event::ChoiceFinished { index, reason } => Some((*index, *reason)),
            _ => None,
        });
        reasons.collect()
    }

    pub(crate) fn usage(&self, id: u64) -> Usage {
        match self.events[&id].last() {
            Some(Event::Finished(usage)) => *usage,
            other => panic!("request {id} ended with {other:?}"),
        }
    }

    pub(crate) fn has_ended(&self, id: u64) -> bool {
        let last = self.events.get(&id).and_then(|events| events.last());
        matches!(last, Some(Event::Finished(_) | Event::Failed(_)))
    }
}

pub(crate) fn num_input(steps: &[Step]) -> usize {
    steps.iter().map(Step::num_tokens).sum()
}
