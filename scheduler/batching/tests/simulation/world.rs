//! A world: one planner, one mock engine, random requests, cancels and faults.

use std::collections::{BTreeMap, HashSet};

use engine_core::{
    Engine, EngineError, EngineLimits, Event, FinishReason, Request, RequestId, SeqId, Step,
    TokenId, TokenLogprobs, Usage, Want,
};
use engine_mock::{Fault, MockEngine, MockModel};
use rand::{Rng, SeedableRng, rngs::StdRng};
use scheduler_batching::{Planner, PlannerConfig};

use crate::{expect, make};

/// The seeds to run: all, or the one in `SIM_SEED` if it is among them.
pub(crate) fn worlds(seeds: std::ops::Range<u64>) -> std::ops::Range<u64> {
    match std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) if seeds.contains(&seed) => seed..seed + 1,
        Some(_) => 0..0,
        None => seeds,
    }
}

/// What a request's caller heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) prompt_logprobs: Option<Vec<TokenLogprobs>>,
    pub(crate) tokens: BTreeMap<u32, Vec<TokenId>>,
    pub(crate) logprobs: BTreeMap<u32, Vec<Option<TokenLogprobs>>>,
    pub(crate) reasons: BTreeMap<u32, FinishReason>,
    pub(crate) finished: Option<Usage>,
    pub(crate) failed: bool,
    pub(crate) num_events: usize,
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) limits: EngineLimits,
    pub(crate) config: PlannerConfig,
    pub(crate) model: MockModel,
    pub(crate) planner: Planner,
    pub(crate) engine: MockEngine,
    /// Still to come: at which loop, and what.
    pub(crate) arrivals: Vec<(u64, Request)>,
    cancel_probability: f64,
    fault_probability: f64,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    /// Which choice each sequence is: ids count up in order of submission.
    pub(crate) choices: Vec<(RequestId, u32)>,
    /// The latest step: its oldest sequence, those that sampled, preemptions before it.
    pub(crate) latest: Option<(SeqId, Vec<SeqId>, u64)>,
    pub(crate) heard: BTreeMap<RequestId, Heard>,
    /// Accepted, and neither admitted nor ended.
    pub(crate) waiting: HashSet<RequestId>,
    pub(crate) num_refused: usize,
    /// Those whose step or whose own work went wrong.
    pub(crate) doomed: HashSet<RequestId>,
    /// What all steps cost; the engine's clock must agree.
    pub(crate) cost_us: u64,
    pub(crate) cancelled: HashSet<RequestId>,
    pub(crate) cancelled_choices: HashSet<(RequestId, u32)>,
    /// Sequences of each scope so far: what may be found in the cache.
    pub(crate) history: expect::History,
}

impl World {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let limits = make::limits(&mut rng);
        let config = make::config(&mut rng);
        let model = make::model(&mut rng);
        let arrivals = make::arrivals(&mut rng, &limits);
        let calm = rng.random_bool(0.3);
        Self {
            limits,
            model: model.clone(),
            planner: Planner::new(limits, config.clone()),
            config,
            engine: MockEngine::new(limits, model),
            arrivals,
            cancel_probability: if calm { 0.0 } else { 0.05 },
            fault_probability: if calm { 0.0 } else { 0.01 },
            requests: BTreeMap::new(),
            choices: Vec::new(),
            latest: None,
            heard: BTreeMap::new(),
            waiting: HashSet::new(),
            num_refused: 0,
            doomed: HashSet::new(),
            cost_us: 0,
            cancelled: HashSet::new(),
            cancelled_choices: HashSet::new(),
            history: expect::History::default(),
            rng,
        }
    }

    /// Neither cancels nor faults.
    pub(crate) fn leave_in_peace(&mut self) {
        (self.cancel_probability, self.fault_probability) = (0.0, 0.0);
    }

    pub(crate) fn num_failed(&self) -> usize {
        self.heard.values().filter(|heard| heard.failed).count()
    }

    /// Runs to the end, checking after every call.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        self.planner = Planner::new(self.limits, self.config.clone());
        self.engine = self.engine();
        let bound = self.max_loops();
        for at in 0.. {
            self.arrive(at)?;
            self.cancel_some();
            self.listen()?;
            if self.planner.is_idle() && self.arrivals.is_empty() {
                return self.check_end();
            }
            if at > bound {
                return Err(format!("not done after {bound} loops: {:?}", self.planner.stats()));
            }
            self.step()?;
        }
        Ok(())
    }

    fn engine(&mut self) -> MockEngine {
        let mut engine = MockEngine::new(self.limits, self.model.clone());
        for step_idx in 0..1000 {
            if self.rng.random_bool(self.fault_probability) {
                let fault = match self.rng.random_bool(0.5) {
                    true => Fault::Error("injected".into()),
                    false => Fault::Sequence(self.rng.random_range(0..10)),
                };
                engine = engine.with_fault(step_idx, fault);
            }
        }
        engine
    }

    /// Every step computes at least one token of the oldest; preempted ones are computed again.
    fn max_loops(&self) -> u64 {
        let work = |(at, r): &(u64, Request)| {
            at + u64::from(r.n) * (r.prompt.len() as u64 + 2 * u64::from(r.stop.max_tokens))
        };
        100 + 4 * self.arrivals.iter().map(work).sum::<u64>()
    }

    fn step(&mut self) -> Result<(), String> {
        let Some(step) = self.planner.plan() else {
            return match self.planner.is_idle() {
                true => Ok(()),
                false => Err(format!("work but no step: {:?}", self.planner.stats())),
            };
        };
        self.check_step(&step)?;
        if self.planner.plan().is_some() {
            return Err("a second step while one is in flight".into());
        }
        let out = self.engine.execute(&step);
        if let Err(EngineError::InvalidStep(what)) = &out {
            return Err(format!("step {}: {what}", step.step_idx));
        }
        self.note(&step, &out)?;
        // While the step is being computed.
        self.cancel_some();
        self.planner.audit()?;
        self.listen()?;
        self.planner.commit(step, out);
        self.planner.audit()?;
        self.listen()
    }

    fn check_step(&mut self, step: &Step) -> Result<(), String> {
        let chunk = self.config.prefill_chunk.max(1) as usize;
        if let Some(work) = step.work.iter().find(|work| work.num_known() > chunk) {
            return Err(format!("{:?} has a chunk of {}", work.seq, work.num_known()));
        }
        self.check_mix(step)?;
        self.check_drafts(step)?;
        self.check_progress(step)?;
        self.planner.audit()
    }

    /// Who decoded goes on decoding unless preempted; the oldest goes on in any case.
    fn check_progress(&mut self, step: &Step) -> Result<(), String> {
        let preemptions = self.planner.stats().preemptions;
        let is_left_out =
            |seq: &SeqId| !self.has_ended(*seq) && step.work.iter().all(|work| work.seq != *seq);
        if let Some((oldest, sampled, before)) = &self.latest {
            if is_left_out(oldest) && step.work.iter().all(|work| work.seq > *oldest) {
                return Err(format!("{oldest:?} was the oldest and was left out"));
            }
            if let Some(seq) = sampled.iter().find(|seq| is_left_out(seq))
                && preemptions == *before
            {
                return Err(format!("{seq:?} decoded and was left out"));
            }
        }
        let oldest = step.work.iter().map(|work| work.seq).min().ok_or("an empty step")?;
        let samples = step.work.iter().filter(|work| matches!(work.want, Want::Sample(_)));
        self.latest = Some((oldest, samples.map(|work| work.seq).collect(), preemptions));
        Ok(())
    }

    fn has_ended(&self, seq: SeqId) -> bool {
        let (id, index) = self.choices[seq.0 as usize];
        let heard = &self.heard[&id];
        heard.failed || heard.reasons.contains_key(&index)
    }

    fn cancel_some(&mut self) {
        if !self.rng.random_bool(self.cancel_probability) || self.requests.is_empty() {
            return;
        }
        let nth = self.rng.random_range(0..self.requests.len());
        let (id, n) = self.requests.iter().nth(nth).map(|(id, r)| (*id, r.n)).unwrap();
        let ended = self.heard[&id].finished.is_some() || self.heard[&id].failed;
        if self.rng.random_bool(0.5) {
            self.planner.cancel(id);
            if !ended {
                self.cancelled.insert(id);
            }
        } else {
            let index = self.rng.random_range(0..n + 1);
            self.planner.cancel_choice(id, index);
            self.cancelled_choices.insert((id, index));
        }
    }

    fn listen(&mut self) -> Result<(), String> {
        let admitted: Vec<_> = self.planner.drain_admitted().map(|(id, _)| id).collect();
        for id in admitted {
            self.waiting.remove(&id);
            self.history.admitted(&self.requests[&id]);
        }
        let events: Vec<_> = self.planner.drain_events().collect();
        for (id, event) in events {
            self.hear(id, event).map_err(|what| format!("{id:?}: {what}"))?;
        }
        Ok(())
    }

    fn hear(&mut self, id: RequestId, event: Event) -> Result<(), String> {
        let heard = self.heard.get_mut(&id).ok_or("an event for nobody")?;
        if heard.finished.is_some() || heard.failed {
            return Err(format!("{event:?} after the last event"));
        }
        heard.num_events += 1;
        match event {
            Event::PromptLogprobs(scores) => {
                if heard.prompt_logprobs.replace(scores).is_some() || !heard.tokens.is_empty() {
                    return Err("prompt logprobs twice, or after a token".into());
                }
            }
            Event::Token { index, token, logprobs } => {
                if heard.reasons.contains_key(&index) {
                    return Err(format!("a token of choice {index} after its end"));
                }
                heard.tokens.entry(index).or_default().push(token);
                heard.logprobs.entry(index).or_default().push(logprobs);
                self.history.generated(&self.requests[&id], &heard.tokens[&index]);
            }
            Event::ChoiceFinished { index, reason } => {
                if heard.reasons.insert(index, reason).is_some() {
                    return Err(format!("choice {index} ended twice"));
                }
            }
            Event::Finished(usage) => heard.finished = Some(usage),
            Event::Failed(_) if !self.doomed.contains(&id) => {
                return Err("it failed, though its own work was well".into());
            }
            Event::Failed(_) => heard.failed = true,
        }
        if heard.failed || heard.finished.is_some() {
            self.waiting.remove(&id);
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), String> {
        self.planner.audit()?;
        let stats = self.planner.stats();
        if (stats.running, stats.waiting, stats.running_seqs, stats.blocks_used) != (0, 0, 0, 0) {
            return Err(format!("something is left: {stats:?}"));
        }
        for (id, request) in &self.requests {
            self.check_request(request, &self.heard[id])
                .map_err(|what| format!("{id:?}: {what}"))?;
        }
        Ok(())
    }
}
