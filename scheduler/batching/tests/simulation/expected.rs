//! What must follow from what is put in: who is taken, who must fail, what time it is, and
//! where tokens may be guessed.

use engine_core::{EngineError, Request, Step, StepOutput};
use scheduler_batching::{PlannerConfig, SubmitError};

use crate::world::{Heard, World};

impl World {
    pub(crate) fn arrive(&mut self, at: u64) -> Result<(), String> {
        while self.arrivals.first().is_some_and(|(when, _)| *when <= at) {
            let (_, request) = self.arrivals.remove(0);
            let (id, expect) = (request.id, self.expect(&request));
            let got = self.planner.submit(request.clone());
            if got != expect {
                return Err(format!("{id:?}: {got:?} but {expect:?}"));
            }
            self.num_refused += usize::from(matches!(got, Err(SubmitError::QueueFull { .. })));
            if got.is_ok() {
                self.waiting.insert(id);
                self.choices.extend((0..request.n).map(|index| (id, index)));
                self.requests.insert(id, request);
                self.heard.insert(id, Heard::default());
            }
        }
        Ok(())
    }

    /// Whether a request must be taken.
    fn expect(&self, request: &Request) -> Result<(), SubmitError> {
        request.validate(&self.limits)?;
        let tenant = &request.scope.tenant;
        let own = self.waiting.iter().filter(|id| self.requests[id].scope.tenant == *tenant);
        let (all, own) = (self.waiting.len(), own.count());
        let PlannerConfig { max_waiting, max_waiting_per_tenant, retry_after_s, .. } = self.config;
        let full = |waiting| Err(SubmitError::QueueFull { waiting, retry_after_s });
        match (all >= max_waiting, own >= max_waiting_per_tenant) {
            (true, _) => full(all),
            (false, true) => full(own),
            (false, false) => Ok(()),
        }
    }

    /// Who must fail after this step, and whether the virtual clock tells what it cost.
    pub(crate) fn note(
        &mut self,
        step: &Step,
        out: &Result<StepOutput, EngineError>,
    ) -> Result<(), String> {
        let cost = self.model.cost;
        self.cost_us += cost.step_us + cost.token_us * step.num_tokens() as u64;
        if self.engine.clock().now().as_micros() != u128::from(self.cost_us) {
            return Err(format!("{:?} for {} us", self.engine.clock().now(), self.cost_us));
        }
        let failed = |entry: usize| match out {
            Ok(out) => out.outputs[entry].error.is_some(),
            Err(_) => true,
        };
        let bad = step.work.iter().enumerate().filter(|(entry, _)| failed(*entry));
        self.doomed.extend(bad.map(|(_, work)| self.choices[work.seq.0 as usize].0));
        Ok(())
    }

    /// Drafts fill small steps only, stay within what may come, and come only where allowed.
    pub(crate) fn check_drafts(&self, step: &Step) -> Result<(), String> {
        let drafting = || step.work.iter().filter(|work| work.num_drafts > 0);
        if drafting().next().is_some() && step.num_tokens() > self.config.draft_fill as usize {
            return Err(format!("drafts in a step of {} tokens", step.num_tokens()));
        }
        for work in drafting() {
            let (id, index) = self.choices[work.seq.0 as usize];
            let (request, heard) = (&self.requests[&id], &self.heard[&id]);
            let num_heard = heard.tokens.get(&index).map_or(0, Vec::len);
            let most = (request.stop.max_tokens as usize - num_heard).saturating_sub(1);
            if work.drafts().len() > most || !request.speculation {
                return Err(format!("{:?} has {} drafts", work.seq, work.num_drafts));
            }
        }
        Ok(())
    }

    /// Beside those who decoded before, prompts get no more than they may, or a token for each that
    /// could run.
    pub(crate) fn check_mix(&self, step: &Step) -> Result<(), String> {
        let Some((_, sampled, _)) = &self.latest else { return Ok(()) };
        let most = self.config.mixed_prefill.max(self.config.max_running_seqs) as usize;
        let (decodes, others): (Vec<_>, Vec<_>) =
            step.work.iter().partition(|work| sampled.contains(&work.seq));
        // A prompt with one token left counts as one that decodes.
        let of_prompts = others.iter().map(|work| work.num_known()).filter(|known| *known > 1);
        let num_tokens = of_prompts.sum::<usize>();
        if decodes.is_empty() || num_tokens <= most {
            return Ok(());
        }
        Err(format!("{num_tokens} tokens of prompts beside {} that decode", decodes.len()))
    }
}
