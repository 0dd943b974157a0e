//! What dashboards see, by Prometheus' conventions: base units, `_total` counters, few labels.
//!
//! Invariant: labels come from fixed sets (served models, adapters that there are, routes, methods,
//! statuses), never from what a client wrote.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use scheduler_batching::{Observer, Outcome, RequestEnd, Stats, StepSize};

use crate::{ApiError, Served};

/// From a millisecond to minutes.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

type ReadGauge = fn(&Stats) -> usize;
type ReadCount = fn(&Stats) -> u64;

const GAUGES: &[(&str, &str, ReadGauge)] = &[
    ("agentbase_requests_running", "Requests being computed.", |s| s.running),
    ("agentbase_requests_waiting", "Requests waiting for their first step.", |s| s.waiting),
    ("agentbase_sequences_running", "Sequences that hold KV cache blocks.", |s| s.running_seqs),
    ("agentbase_kv_cache_blocks", "Blocks in the KV cache.", |s| s.blocks_total),
    ("agentbase_kv_cache_blocks_used", "Blocks of running sequences.", |s| s.blocks_used),
    ("agentbase_kv_cache_blocks_cached", "Unused blocks kept for reuse.", |s| s.blocks_cached),
];

const COUNTERS: &[(&str, &str, ReadCount)] = &[
    ("agentbase_prompt_tokens_total", "Prompt tokens admitted.", |s| s.prompt_tokens),
    ("agentbase_prompt_tokens_cached_total", "Prompt tokens not recomputed.", |s| s.cached_tokens),
    ("agentbase_generated_tokens_total", "Tokens generated.", |s| s.generated_tokens),
    ("agentbase_draft_tokens_total", "Tokens guessed ahead.", |s| s.draft_tokens),
    ("agentbase_accepted_draft_tokens_total", "Right guesses.", |s| s.accepted_draft_tokens),
    ("agentbase_preemptions_total", "Sequences that lost their blocks.", |s| s.preemptions),
    ("agentbase_prefix_cache_queries_total", "Prefix cache lookups.", |s| s.prefix_queries),
    ("agentbase_prefix_cache_hits_total", "Prefix cache lookups that hit.", |s| s.prefix_hits),
    ("agentbase_engine_steps_total", "Steps computed.", |s| s.steps),
];

/// What an adapter is used for; what its base's model counts has this in it.
const ADAPTER_COUNTERS: [(&str, &str); 3] = [
    ("agentbase_adapter_requests_total", "Requests that were computed with an adapter."),
    ("agentbase_adapter_prompt_tokens_total", "Tokens of their prompts."),
    ("agentbase_adapter_generated_tokens_total", "Tokens of their answers."),
];

/// How far the ledger is behind what was used.
const USAGE_GAUGES: [(&str, &str); 2] = [
    ("agentbase_usage_journal_bytes", "Bytes of usage that the ledger has not taken yet."),
    ("agentbase_usage_ledger_failures", "How often giving it usage failed since that last worked."),
];

/// All metrics of one server.
pub struct Metrics {
    registry: Registry,
    first_token: HistogramVec,
    inter_token: HistogramVec,
    queue_wait: HistogramVec,
    step: HistogramVec,
    request: HistogramVec,
    requests: IntCounterVec,
    http_duration: HistogramVec,
    http_requests: IntCounterVec,
    guard_actions: IntCounterVec,
    refusals: IntCounterVec,
    adapters: [IntCounterVec; 3],
    usage: [IntGauge; 2],
    gauges: Vec<(IntGaugeVec, ReadGauge)>,
    /// Locked while counts are carried over, so that two scrapes do not add the same twice.
    counters: Mutex<Vec<(IntCounterVec, ReadCount)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with no samples yet.
    ///
    /// # Panics
    /// Never: the names are fixed, and a test makes them all.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let seconds = |name, help, label| {
            let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(&registry, HistogramVec::new(opts, &[label]))
        };
        let count = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |&(name, help, read): &(&str, &str, ReadGauge)| {
            (registered(&registry, IntGaugeVec::new(Opts::new(name, help), &["model"])), read)
        };
        let counter =
            |&(name, help, read): &(&str, &str, ReadCount)| (count(name, help, &["model"]), read);
        let usage = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        Self {
            first_token: seconds(
                "agentbase_time_to_first_token_seconds",
                "From a request's submission to its first token.",
                "model",
            ),
            inter_token: seconds(
                "agentbase_inter_token_latency_seconds",
                "Between two tokens of a choice.",
                "model",
            ),
            queue_wait: seconds(
                "agentbase_queue_wait_seconds",
                "From a request's submission to its first step.",
                "model",
            ),
            step: seconds("agentbase_engine_step_seconds", "One step of the engine.", "model"),
            request: seconds(
                "agentbase_request_duration_seconds",
                "From a request's submission to its end.",
                "model",
            ),
            requests: count(
                "agentbase_requests_total",
                "Requests that ended, by outcome.",
                &["model", "outcome"],
            ),
            http_duration: seconds(
                "agentbase_http_response_seconds",
                "From the head of a request to the head of its response.",
                "route",
            ),
            http_requests: count(
                "agentbase_http_requests_total",
                "HTTP requests answered.",
                &["method", "route", "status"],
            ),
            guard_actions: count(
                "agentbase_guard_actions_total",
                "What guards did about texts.",
                &["guard", "side", "action"],
            ),
            refusals: count(
                "agentbase_metering_refusals_total",
                "Requests that limits did not let in, by the reason and whose limit it is.",
                &["reason", "level"],
            ),
            adapters: ADAPTER_COUNTERS.map(|(name, help)| count(name, help, &["model"])),
            usage: USAGE_GAUGES.map(|(name, help)| usage(name, help)),
            gauges: GAUGES.iter().map(gauge).collect(),
            counters: Mutex::new(COUNTERS.iter().map(counter).collect()),
            registry,
        }
    }

    /// What a model's driver reports to; the model's id becomes the label.
    #[must_use]
    pub fn observer(&self, model: &str) -> Box<dyn Observer> {
        let of = |outcome| self.requests.with_label_values(&[model, outcome]);
        Box::new(ModelObserver {
            first_token: self.first_token.with_label_values(&[model]),
            inter_token: self.inter_token.with_label_values(&[model]),
            queue_wait: self.queue_wait.with_label_values(&[model]),
            step: self.step.with_label_values(&[model]),
            request: self.request.with_label_values(&[model]),
            finished: of("finished"),
            cancelled: of("cancelled"),
            failed: of("failed"),
        })
    }

    /// Counts what an adapter that there is, by its id, is used for.
    pub(crate) fn adapter(&self, id: &str) -> AdapterMeter {
        AdapterMeter(self.adapters.each_ref().map(|counts| counts.with_label_values(&[id])))
    }

    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = [method, route, &status.to_string()];
        self.http_requests.with_label_values(&labels).inc();
        self.http_duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A request was not let in: why, and by whose limit.
    pub(crate) fn refused(&self, labels: [&str; 2]) {
        self.refusals.with_label_values(&labels).inc();
    }

    /// So many bytes of usage wait for the ledger, which failed so often since it last took some.
    pub fn usage_waits(&self, num_bytes: u64, num_failures: u32) {
        let [bytes, failures] = &self.usage;
        bytes.set(i64::try_from(num_bytes).unwrap_or(i64::MAX));
        failures.set(num_failures.into());
    }

    /// A guard's name, on which side it is and what it did.
    pub(crate) fn guarded(&self, labels: (&str, &str, &str), num_times: usize) {
        let (guard, side, action) = labels;
        self.guard_actions.with_label_values(&[guard, side, action]).inc_by(num_times as u64);
    }

    /// The text format, with the latest counts of `models`.
    pub(crate) fn render(&self, models: &[Served]) -> Result<String, ApiError> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for model in models {
            let (id, stats) = (model.id(), model.stats());
            for (gauge, read) in &self.gauges {
                let value = i64::try_from(read(&stats)).unwrap_or(i64::MAX);
                gauge.with_label_values(&[id]).set(value);
            }
            for (counter, read) in counters.iter() {
                let counter = counter.with_label_values(&[id]);
                counter.inc_by(read(&stats).saturating_sub(counter.get()));
            }
        }
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        let text = encoded.ok().and_then(|()| String::from_utf8(text).ok());
        text.ok_or_else(ApiError::internal)
    }
}

fn registered<M>(registry: &Registry, metric: prometheus::Result<M>) -> M
where
    M: prometheus::core::Collector + Clone + 'static,
{
    let metric = metric.expect("the names and labels of metrics are valid");
    registry.register(Box::new(metric.clone())).expect("no metric is registered twice");
    metric
}

/// Counts of one adapter: requests, prompt tokens, generated tokens.
pub(crate) struct AdapterMeter([IntCounter; 3]);

impl AdapterMeter {
    /// One request more.
    pub(crate) fn count(&self, num_prompt: u64, num_generated: u64) {
        for (counter, num) in self.0.iter().zip([1, num_prompt, num_generated]) {
            counter.inc_by(num);
        }
    }
}

struct ModelObserver {
    first_token: Histogram,
    inter_token: Histogram,
    queue_wait: Histogram,
    step: Histogram,
    request: Histogram,
    finished: IntCounter,
    cancelled: IntCounter,
    failed: IntCounter,
}

impl Observer for ModelObserver {
    fn queued(&mut self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    fn first_token(&mut self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    fn inter_token(&mut self, after: Duration) {
        self.inter_token.observe(after.as_secs_f64());
    }

    fn step(&mut self, took: Duration, _size: StepSize) {
        self.step.observe(took.as_secs_f64());
    }

    fn request_ended(&mut self, end: RequestEnd) {
        self.request.observe(end.took.as_secs_f64());
        match end.outcome {
            Outcome::Finished => self.finished.inc(),
            Outcome::Cancelled => self.cancelled.inc(),
            Outcome::Failed => self.failed.inc(),
        }
    }
}
