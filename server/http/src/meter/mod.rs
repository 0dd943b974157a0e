//! Usage: a permit before work, what was handed out of it, and its end, once (ADR 22).
//!
//! Invariant: what the ledger says of a request is what its client was told or handed. What is
//! charged:
//! - An answer that came to its end is charged as its `usage` tells it: each prompt once, whatever
//!   `n` is, and all tokens that its choices took in.
//! - A prompt is charged from when its engine began to compute it, as OpenAI does: a client that
//!   goes away or cancels pays for it. One that still waited in the queue costs nothing.
//! - Of a stream that ends early each token is charged of which any text went out; of an answer in
//!   one piece none is: its client has got nothing of it.
//! - Where the engine fails or refuses, or an answer cannot be kept as was asked, nothing is
//!   charged unless something was handed out before: then that is, with its prompt.
//! - A response in the background is handed out as it is made: its client may follow it at any
//!   time.
//! - An engine's time is charged from when it began to compute a request to the request's end, by
//!   the wall, with whatever else is charged and never alone.
//! - Encoders are charged when their rows are there, and a recording, all of it, when the first of
//!   what is said in it is known.
//!
//! What is `Soon` on the disk is written within microseconds, on the spot. In
//! [`Durability::BeforeAck`] settling waits for the disk, which would keep all other connections of
//! a thread waiting too: there, and only there, a blocking thread waits.

mod lease;
mod rates;
mod refused;
mod seldom;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine_core::Class;
use server_metering::{
    Ask, CappedBy, Durability, Ending, Endpoint, IdError, MAX_ID_BYTES, Meter, ModelId, Permit,
    Receipt, RequestId, Tier, Usage,
};
use tokio::task::JoinHandle;

use crate::source::{PromptTokens, Source};
use crate::{ApiError, AppState, Caller, ServedModel, ticket};

pub(crate) use self::rates::{NAMES as RATE_HEADERS, tell};

/// Why a choice ends that no budget pays for any further.
pub(crate) const BUDGET: &str = "budget";
/// The most of an engine's time that a request without a shorter time limit holds and pays for.
const MAX_COMPUTE: Duration = Duration::from_secs(600);
/// Digits of a version that tell it from others.
const DIGEST_LEN: usize = 12;

/// What a request is to use, at most.
pub(crate) struct Wanted<'a> {
    pub(crate) caller: &'a Caller,
    /// Its public name, and the digest of what answers.
    pub(crate) model: (&'a str, &'a str),
    pub(crate) class: Class,
    /// Tokens of prompts that are answered.
    pub(crate) input_tokens: u64,
    pub(crate) max_output_tokens: u64,
    pub(crate) other: Usage,
    /// How long its body lets it go on.
    pub(crate) timeout: Option<Duration>,
}

impl<'a> Wanted<'a> {
    /// What an encoder or a transcriber is to read.
    pub(crate) fn to_read(caller: &'a Caller, model: (&'a str, &'a str), other: Usage) -> Self {
        let (class, timeout) = (Class::Normal, None);
        let (input_tokens, max_output_tokens) = (0, 0);
        Self { caller, model, class, input_tokens, max_output_tokens, other, timeout }
    }

    /// Answers to prompts.
    pub(crate) fn answers(source: &'a Source, prompts: &[PromptTokens], other: Usage) -> Self {
        let input_tokens = prompts.iter().map(|prompt| prompt.tokens.len() as u64).sum();
        let per_choice: u64 = prompts.iter().map(|prompt| u64::from(prompt.max_tokens)).sum();
        Self {
            caller: &source.caller,
            model: (&source.model.id, version(&source.model)),
            class: source.params.class,
            input_tokens,
            max_output_tokens: per_choice.saturating_mul(source.params.n.into()),
            other,
            timeout: source.params.timeout,
        }
    }

    fn ask(&self) -> Result<Ask, IdError> {
        let tier = match self.class {
            Class::High => Tier::PRIORITY,
            Class::Normal => Tier::STANDARD,
            Class::Low => Tier::FLEX,
        };
        let asked = ticket::current_asked();
        let compute = ticket::current_timeout(self.timeout).unwrap_or(MAX_COMPUTE);
        let compute = u64::try_from(compute.min(MAX_COMPUTE).as_millis()).unwrap_or(u64::MAX);
        Ok(Ask {
            request: request_id()?,
            model: model_id(self.model)?,
            tier: Tier::new(tier)?,
            endpoint: match &asked {
                Some(asked) => asked.endpoint.clone(),
                None => Endpoint::new("other")?,
            },
            tag: asked.and_then(|asked| asked.tag),
            input_tokens: self.input_tokens,
            max_output_tokens: self.max_output_tokens,
            other: self.other.with(Meter::ComputeMillis, compute),
        })
    }
}

/// Not the client's own id, which it may use again. Those of one time lie together in the ledger's
/// index: milliseconds since 1970, and 80 random bits.
fn request_id() -> Result<RequestId, IdError> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let digits = (millis << 80) | (rand::random::<u128>() >> 48);
    let mut id = *b"req_00000000000000000000000000000000";
    for (idx, digit) in id[4..].iter_mut().rev().enumerate() {
        *digit = HEX[(digits >> (4 * idx) & 0xf) as usize];
    }
    RequestId::new(str::from_utf8(&id).unwrap_or_default())
}

/// The digest of what a model answers with: its adapter's, if it has one.
pub(crate) fn version(model: &ServedModel) -> &str {
    model.adapter.as_ref().map_or(&model.version, |adapter| &adapter.version)
}

/// As much of a digest as tells versions apart.
pub(crate) fn short(version: &str) -> &str {
    let digest = version.rsplit(':').next().unwrap_or_default();
    let end = digest.char_indices().nth(DIGEST_LEN).map_or(digest.len(), |(end, _)| end);
    &digest[..end]
}

/// `name@version`, as prices have it.
fn model_id((name, version): (&str, &str)) -> Result<ModelId, IdError> {
    let digest = short(version);
    // The longest names of adapters have a byte or so too many.
    let max = MAX_ID_BYTES - 1 - digest.len();
    ModelId::new(&format!("{}@{digest}", &name[..name.floor_char_boundary(max)]))
}

/// How many tokens all choices of a request may take in together, where that is less than was asked
/// for, and why those end that are cut there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    pub(crate) num_tokens: u64,
    pub(crate) reason: &'static str,
}

/// A request's permit until it is settled. Without meters there is none, and nothing is counted.
#[derive(Default)]
pub(crate) struct Metered {
    permit: Option<Permit>,
    /// What is used beside tokens of prompts and answers.
    other: Usage,
    /// Whether settling waits for the disk.
    waits: bool,
    settling: Option<JoinHandle<Receipt>>,
}

/// Lets a request in that is to use so much, or says which limit does not.
pub(crate) async fn admit(state: &AppState, wanted: Wanted<'_>) -> Result<Metered, ApiError> {
    let Some(meters) = state.meters() else { return Ok(Metered::default()) };
    let other = wanted.other;
    let ask = wanted.ask().map_err(|error| {
        tracing::error!(%error, "a request cannot be recorded");
        ApiError::internal()
    })?;
    let path = &wanted.caller.path;
    let waits = meters.durability() == Durability::BeforeAck;
    match lease::admit(meters, path, ask).await {
        Ok(permit) => {
            ticket::note_rates(permit.rates());
            Ok(Metered { permit: Some(permit), other, waits, settling: None })
        }
        Err(refusal) => {
            ticket::note_rates(meters.rates(path));
            state.metrics().refused(refused::labels(&refusal));
            Err(refused::error(&refusal))
        }
    }
}

impl Metered {
    /// What the permit leaves of the output, if that is less than was asked for.
    pub(crate) fn cap(&self) -> Option<Cap> {
        let permit = self.permit.as_ref()?;
        let reason = match permit.capped_by()? {
            CappedBy::Budget { .. } => BUDGET,
            CappedBy::Quota { .. } => "length",
        };
        Some(Cap { num_tokens: permit.max_output_tokens(), reason })
    }

    /// What it said it would use beside tokens of prompts and answers.
    pub(crate) fn other(&self) -> Usage {
        self.other
    }

    /// An engine works on it since then, if it does.
    pub(crate) fn computing(&mut self, since: Option<Instant>) {
        if let (Some(permit), Some(since)) = (&mut self.permit, since) {
            permit.computing(since);
        }
    }

    /// Tells all that was handed out so far.
    pub(crate) fn delivered(&mut self, usage: Usage) {
        if let Some(permit) = &mut self.permit {
            permit.delivered(usage);
        }
    }

    /// The work ended, and this was handed out of it, or is about to be. Nothing happens the second
    /// time. Who tells the client waits with [`Self::poll_settled`] first.
    pub(crate) fn settle(&mut self, usage: Usage, ending: Ending) {
        let Some(permit) = self.permit.take() else { return };
        // Nobody is told of what was dropped, and there may be no runtime any more.
        if self.waits && ending != Ending::Dropped {
            self.settling = Some(tokio::task::spawn_blocking(move || permit.settle(usage, ending)));
        } else {
            settled(permit.settle(usage, ending));
        }
    }

    /// Ready when the journal has what was settled.
    pub(crate) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(settling) = &mut self.settling {
            // One that panicked has settled what was told before, as it was dropped.
            if let Ok(receipt) = ready!(Future::poll(std::pin::Pin::new(settling), cx)) {
                settled(receipt);
            }
            self.settling = None;
        }
        Poll::Ready(())
    }

    /// The same, to wait for.
    pub(crate) async fn settled(&mut self) {
        poll_fn(|cx| self.poll_settled(cx)).await;
    }
}

fn settled(receipt: Receipt) {
    if !receipt.is_written {
        tracing::warn!("a request's usage is in memory until the journal's disk takes it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests_ascend_with_time_and_are_no_two_the_same() {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let before = now();
        let ids: Vec<_> = (0..1000).map(|_| request_id().unwrap().as_str().to_owned()).collect();
        let after = now();
        for id in &ids {
            let digits = id.strip_prefix("req_").unwrap();
            assert_eq!(digits.len(), 32, "{id}");
            let millis = u128::from_str_radix(&digits[..12], 16).unwrap();
            assert!((before..=after).contains(&millis), "{id}");
        }
        let different: std::collections::HashSet<_> = ids.iter().map(|id| &id[16..]).collect();
        assert_eq!(different.len(), ids.len());
    }

    #[test]
    fn a_model_is_called_by_its_name_and_its_version() {
        let of = |name: &str, version: &str| model_id((name, version)).unwrap().to_string();
        assert_eq!(of("m", "sha256:0123456789abcdef"), "m@0123456789ab");
        assert_eq!(of("m:a", "blake3:ff"), "m:a@ff");
        let long = of(&"é".repeat(200), "sha256:0123456789abcdef");
        assert!(long.len() <= MAX_ID_BYTES && long.ends_with("é@0123456789ab"), "{long}");
    }
}
