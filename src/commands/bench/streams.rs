//! Requests through the scheduler, without HTTP: what a server's engine side can do.
//!
//! Invariant: no two prompts share a beginning, so the prefix cache answers nothing, and time runs
//! from before the first request is submitted to the end of the last.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use engine_core::{
    Adapter, CacheScope, Engine, Event, Request, SamplingParams, StopRules, TenantId, TokenId,
};
use scheduler_batching::{EventStream, Handle, PlannerConfig, Shutdown, spawn};

use super::{Row, adapter_of, made_up_token, measure};

/// Tokens of each prompt.
const PROMPT_TOKENS: usize = 128;
/// Tokens of each answer.
const OUTPUT_TOKENS: usize = 128;

/// Measures each number of requests that run at once; the rate counts output tokens.
///
/// # Errors
/// If a request fails or ends early.
pub(super) fn rows(
    engine: Box<dyn Engine>,
    (config, adapters): (PlannerConfig, &[Adapter]),
    num_streams: &[usize],
    repeat: usize,
) -> Result<Vec<Row>> {
    let vocab_size = engine.limits().vocab_size;
    let (handle, driver) = spawn(engine, config);
    let mut prompts = (0..).map(|number| prompt(number, vocab_size));
    let rows = num_streams
        .iter()
        .map(|num| measure(repeat, || row((&handle, adapters), *num, &mut prompts)));
    let rows = rows.collect();
    handle.shutdown(Shutdown::Abort);
    driver.join();
    rows
}

fn prompt(number: usize, vocab_size: u32) -> Vec<TokenId> {
    (0..PROMPT_TOKENS).map(|place| made_up_token(number, place, vocab_size)).collect()
}

fn row(
    (handle, adapters): (&Handle, &[Adapter]),
    num_streams: usize,
    prompts: &mut dyn Iterator<Item = Vec<TokenId>>,
) -> Result<Row> {
    let prompts: Vec<_> = prompts.take(num_streams).collect();
    let start = Instant::now();
    let streams: Vec<EventStream> = prompts
        .into_iter()
        .enumerate()
        .map(|(i, prompt)| handle.submit(request(handle, prompt, adapter_of(adapters, i))))
        .collect::<Result<_, _>>()?;
    for stream in streams {
        drain(stream)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Row {
        phase: "streams",
        batch: num_streams,
        depth: PROMPT_TOKENS,
        tokens: OUTPUT_TOKENS,
        seconds,
        tokens_per_second: (num_streams * OUTPUT_TOKENS) as f64 / seconds,
    })
}

/// Reads to the end; nothing waits for the reader.
fn drain(mut stream: EventStream) -> Result<()> {
    let mut num_tokens = 0;
    while let Some(event) = stream.blocking_next() {
        match event {
            Event::Token { .. } => num_tokens += 1,
            Event::Failed(error) => return Err(error).context("a request failed"),
            Event::ChoiceFinished { .. } | Event::PromptLogprobs(_) | Event::Finished(_) => {}
        }
    }
    if num_tokens != OUTPUT_TOKENS {
        bail!("{num_tokens} tokens came, {OUTPUT_TOKENS} were asked for");
    }
    Ok(())
}

fn request(handle: &Handle, prompt: Vec<TokenId>, adapter: Option<Adapter>) -> Request {
    Request {
        id: handle.next_request_id(),
        scope: CacheScope {
            tenant: TenantId("bench".into()),
            model_version: "bench".into(),
            adapter,
        },
        prompt,
        insets: Vec::new(),
        sampling: Arc::new(SamplingParams { temperature: 0.0, ..SamplingParams::default() }),
        stop: StopRules {
            max_tokens: OUTPUT_TOKENS as u32,
            ignore_eos: true,
            ..StopRules::default()
        },
        n: 1,
        prompt_logprobs: None,
        speculation: true,
        grammar: None,
        class: Default::default(),
        prediction: Vec::new(),
    }
}
