//! `agentbase run`: a conversation in the terminal.

use std::{
    io::{BufRead, IsTerminal},
    sync::Arc,
};

use anyhow::{Result, bail};
use engine_core::{
    CacheScope, Event, FinishReason, Request, SamplingParams, StopRules, TenantId, TokenId,
};
use engine_text::{ChatInput, Detokenizer, TextModel};
use scheduler_batching::{Handle, Shutdown, spawn};
use serde_json::{Value, json};

use crate::{
    cli::RunArgs,
    load::{Loaded, planner_config},
    output,
};

/// One line of input at most.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// A model with its driver, and the conversation so far.
struct Chat<'a> {
    args: &'a RunArgs,
    text: Arc<TextModel>,
    handle: Handle,
    version: Arc<str>,
    messages: Vec<Value>,
}

/// Answers one prompt, or line after line of input.
///
/// # Errors
/// If the model fails, or the prompt does not fit.
pub(super) fn run(args: &RunArgs, loaded: Loaded) -> Result<()> {
    let version = loaded.manifest.digest.as_str().into();
    let (handle, driver) = spawn(Box::new(loaded.engine), planner_config(&args.engine));
    let system = args.system.iter().map(|text| json!({"role": "system", "content": text}));
    let mut chat = Chat { args, text: loaded.text, handle, version, messages: system.collect() };
    let result = match &args.prompt {
        Some(prompt) => chat.answer(prompt),
        None => chat.converse(),
    };
    chat.handle.shutdown(Shutdown::Abort);
    driver.join();
    result
}

impl Chat<'_> {
    fn converse(&mut self) -> Result<()> {
        let mut input = std::io::stdin().lock();
        let interactive = input.is_terminal();
        loop {
            if interactive {
                output::write("> ")?;
            }
            let mut line = String::new();
            let read = std::io::Read::take(&mut input, MAX_LINE_BYTES).read_line(&mut line)?;
            if read == 0 {
                return Ok(());
            }
            if !line.trim().is_empty() {
                self.answer(line.trim())?;
            }
        }
    }

    /// Streams the answer to one message and remembers both.
    fn answer(&mut self, message: &str) -> Result<()> {
        self.messages.push(json!({"role": "user", "content": message}));
        let prompt = self.prompt()?;
        let request = self.request(prompt)?;
        let mut events = self.handle.submit(request)?;
        let mut detokenizer = Detokenizer::new(Arc::clone(&self.text), true, &[]);
        let mut answer = String::new();
        let mut show = |piece: String| -> Result<()> {
            answer.push_str(&piece);
            output::write(&piece)
        };
        let mut cut = false;
        while let Some(event) = events.blocking_next() {
            match event {
                Event::Token { token, .. } => show(detokenizer.push(token))?,
                Event::ChoiceFinished { reason, .. } => cut = reason == FinishReason::Length,
                Event::Failed(error) => bail!(error),
                Event::PromptLogprobs(_) | Event::Finished(_) => {}
            }
        }
        show(detokenizer.finish())?;
        outln!("")?;
        if cut {
            crate::say("(the answer was cut; raise --max-tokens for a longer one)");
        }
        self.messages.push(json!({"role": "assistant", "content": answer}));
        Ok(())
    }

    /// The conversation as tokens; a model without a template continues the last message.
    fn prompt(&self) -> Result<Vec<TokenId>> {
        if !self.text.has_chat_template() {
            let last = self.messages.last().and_then(|m| m["content"].as_str());
            return Ok(self.text.encode(last.unwrap_or_default(), true)?);
        }
        let messages = Value::from(self.messages.clone());
        let rendered = self
            .text
            .render_chat(&ChatInput { add_generation_prompt: true, ..ChatInput::new(&messages) })?;
        Ok(self.text.encode(&rendered, false)?)
    }

    fn request(&self, prompt: Vec<TokenId>) -> Result<Request> {
        let room = (self.handle.limits().max_sequence_len() as usize).saturating_sub(prompt.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let max_tokens = self.args.max_tokens.min(room);
        if max_tokens == 0 {
            bail!(
                "the conversation has filled the context of {} tokens",
                self.handle.limits().max_sequence_len()
            );
        }
        let temperature = self.args.temperature;
        if !(0.0..=2.0).contains(&temperature) {
            bail!("--temperature {temperature}: choose 0 to 2");
        }
        let sampling = SamplingParams {
            temperature,
            top_p: 0.95,
            seed: self.args.seed.unwrap_or_else(rand::random),
            ..SamplingParams::default()
        };
        Ok(Request {
            id: self.handle.next_request_id(),
            scope: CacheScope {
                tenant: TenantId("local".into()),
                model_version: Arc::clone(&self.version),
                adapter: None,
            },
            prompt,
            insets: Vec::new(),
            sampling: Arc::new(sampling),
            stop: StopRules {
                max_tokens,
                eos_token_ids: self.text.eos_token_ids().to_vec(),
                ..StopRules::default()
            },
            n: 1,
            prompt_logprobs: None,
            speculation: true,
            grammar: None,
            class: Default::default(),
            prediction: Vec::new(),
        })
    }
}
