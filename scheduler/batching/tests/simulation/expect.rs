//! What must hold of every request when all is over, and of the cache as it goes.

use std::collections::{BTreeMap, HashMap};

use engine_core::{CacheScope, FinishReason, Request, RequestId, TokenId};

use crate::alone::alone;
use crate::make;
use crate::world::{Heard, World};

/// Per scope, all token sequences that could have been computed, and how much of each prompt
/// could therefore have been found when it was admitted.
#[derive(Default)]
pub(crate) struct History {
    computed: HashMap<CacheScope, Vec<Vec<TokenId>>>,
    pub(crate) findable: BTreeMap<RequestId, usize>,
}

impl History {
    pub(crate) fn admitted(&mut self, request: &Request) {
        let computed = self.computed.entry(request.scope.clone()).or_default();
        let alike = |other: &Vec<TokenId>| {
            other.iter().zip(&request.prompt).take_while(|(a, b)| a == b).count()
        };
        let findable = computed.iter().map(alike).max().unwrap_or(0);
        self.findable.insert(request.id, findable);
        computed.push(request.prompt.clone());
    }

    pub(crate) fn generated(&mut self, request: &Request, tokens: &[TokenId]) {
        let whole = request.prompt.iter().chain(tokens).copied().collect();
        self.computed.entry(request.scope.clone()).or_default().push(whole);
    }
}

impl World {
    pub(crate) fn check_request(&self, request: &Request, heard: &Heard) -> Result<(), String> {
        if heard.failed == heard.finished.is_some() {
            return Err("it did not end exactly once".into());
        }
        let most = request.n as usize * (request.stop.max_tokens as usize + 1) + 2;
        if heard.num_events > most {
            return Err(format!("{} events, at most {most} promised", heard.num_events));
        }
        for index in 0..request.n {
            self.check_choice(request, heard, index).map_err(|e| format!("choice {index}: {e}"))?;
        }
        self.check_usage(request, heard)
    }

    fn check_choice(&self, request: &Request, heard: &Heard, index: u32) -> Result<(), String> {
        let nothing = Vec::new();
        let tokens = heard.tokens.get(&index).unwrap_or(&nothing);
        let seed = make::choice_seed(request.sampling.seed, index);
        let expect = alone(request, seed, &self.limits, &self.model);
        // What was cut short must still begin right.
        if !expect.tokens.starts_with(tokens) {
            return Err(format!("{tokens:?}, alone {:?}", expect.tokens));
        }
        let logprobs = heard.logprobs.get(&index).map_or(&[][..], Vec::as_slice);
        if !expect.logprobs.starts_with(logprobs) {
            return Err("other logprobs than alone".into());
        }
        if let Some(scores) = &heard.prompt_logprobs {
            if *scores != expect.prompt_logprobs {
                return Err(format!("scores {scores:?}, alone {:?}", expect.prompt_logprobs));
            }
        } else if request.prompt_logprobs.is_some() && !tokens.is_empty() {
            return Err("prompt logprobs are missing".into());
        }
        match heard.reasons.get(&index) {
            None if heard.failed => Ok(()),
            None => Err("it never ended".into()),
            Some(FinishReason::Cancelled) => {
                let asked = self.cancelled.contains(&request.id)
                    || self.cancelled_choices.contains(&(request.id, index));
                if asked { Ok(()) } else { Err("cancelled by nobody".into()) }
            }
            Some(reason) if (*reason, tokens) == (expect.reason, &expect.tokens) => Ok(()),
            Some(reason) => Err(format!("{reason:?}, alone {:?}", expect.reason)),
        }
    }

    fn check_usage(&self, request: &Request, heard: &Heard) -> Result<(), String> {
        let Some(usage) = heard.finished else { return Ok(()) };
        let num_tokens: usize = heard.tokens.values().map(Vec::len).sum();
        if (usage.prompt_tokens as usize, usage.completion_tokens as usize)
            != (request.prompt.len(), num_tokens)
        {
            return Err(format!("{usage:?} for {} + {num_tokens}", request.prompt.len()));
        }
        let scored = request.prompt_logprobs.is_some();
        if scored && !self.cancelled.contains(&request.id) && heard.prompt_logprobs.is_none() {
            let any = (0..request.n).any(|i| heard.reasons[&i] != FinishReason::Cancelled);
            if any {
                return Err("prompt logprobs never came".into());
            }
        }
        // Another tenant's or adapter's prompts are not in this scope's history.
        let findable = self.history.findable.get(&request.id).copied().unwrap_or(0);
        let usable = if scored || !self.config.prefix_caching { 0 } else { findable };
        if usage.cached_tokens as usize > usable.min(request.prompt.len() - 1) {
            return Err(format!("{} tokens cached, {usable} findable", usage.cached_tokens));
        }
        Ok(())
    }
}
