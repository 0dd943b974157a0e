//! How much waits for models of each kind.

use scheduler_batching::{Amount, EncodingConfig, PlannerConfig, SpeechConfig};

use crate::cli::{EngineArgs, Speculation};

/// What `--max-waiting` lets wait for an encoder, in place of one request to generate.
const INPUTS_PER_REQUEST: usize = 16;
/// Images that wait to be encoded, and rows that will come of them: of 200 MiB of pixels, about.
const MAX_WAITING_IMAGES: usize = 64;
const MAX_WAITING_ROWS: usize = 16 << 10;

/// The scheduler's settings that go with these arguments.
pub(crate) fn planner_config(args: &EngineArgs) -> PlannerConfig {
    let config = PlannerConfig::default();
    match args.speculation {
        None | Some(Speculation::Auto) => config,
        Some(Speculation::Off) => PlannerConfig { draft_fill: 0, ..config },
    }
}

/// The same for what models see with, whose inputs are images of many tokens, and pixels.
pub(crate) fn seeing_config(encoding: EncodingConfig) -> EncodingConfig {
    let at_most = |amount: Amount| Amount {
        inputs: amount.inputs.min(MAX_WAITING_IMAGES),
        tokens: amount.tokens.min(MAX_WAITING_ROWS),
    };
    EncodingConfig {
        max_waiting: at_most(encoding.max_waiting),
        max_waiting_per_tenant: at_most(encoding.max_waiting_per_tenant),
        ..encoding
    }
}

/// The same for encoders, whose queue counts inputs where the other counts requests.
pub(crate) fn encoding_config(max_waiting: Option<usize>, num_tenants: usize) -> EncodingConfig {
    let config = EncodingConfig::default();
    let mut max = config.max_waiting;
    if let Some(requests) = max_waiting {
        max.inputs = requests.saturating_mul(INPUTS_PER_REQUEST);
    }
    let share = if num_tenants > 1 { 2 } else { 1 };
    let own = Amount { inputs: max.inputs.div_ceil(share), tokens: max.tokens.div_ceil(share) };
    EncodingConfig { max_waiting: max, max_waiting_per_tenant: own, ..config }
}

/// And for transcribers, of whose requests each is a recording in memory.
pub(crate) fn speech_config(max_waiting: Option<usize>, num_tenants: usize) -> SpeechConfig {
    let config = SpeechConfig::default();
    let max_requests = max_waiting.map_or(config.max_requests, |max| max.min(config.max_requests));
    let share = if num_tenants > 1 { 2 } else { 1 };
    SpeechConfig { max_requests, max_requests_per_tenant: max_requests.div_ceil(share), ..config }
}
