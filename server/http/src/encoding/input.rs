//! From texts, pairs and tokens to what an encoder reads.
//!
//! Invariant: tokenizing happens on blocking threads where it is much, and an error names the input
//! at fault.

use std::sync::Arc;

use engine_core::{EncodeInput, TokenId};
use engine_text::{Cut, Framed, Keep, TextModel};
use server_api::{Prompt, TruncationDirection, TruncationSide};

use crate::blocking::run_sized;
use crate::names::place;
use crate::served::ServedEncoder;
use crate::{ApiError, AppState, HttpLimits};

/// One thing to encode.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A text alone.
    Text(String),
    /// A text alone, to which the limit for documents applies.
    Document(String),
    /// Tokens as they are.
    Tokens(Vec<TokenId>),
    /// Two texts that are read together.
    Pair(Arc<str>, String),
}

impl Input {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Document(text) => text.len(),
            Self::Tokens(tokens) => tokens.len(),
            Self::Pair(first, second) => first.len() + second.len(),
        }
    }
}

/// What errors call the inputs of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The field of the first so many, if they have one of their own.
    pub(super) first: (&'static str, usize),
    /// That of the others, and how many.
    pub(super) rest: (&'static str, usize),
}

impl Places {
    /// Inputs of one field.
    pub(super) fn of(field: &'static str, num: usize) -> Self {
        Self { first: (field, 0), rest: (field, num) }
    }

    pub(super) fn name(&self, idx: usize) -> String {
        match idx.checked_sub(self.first.1) {
            None => place(self.first.0, idx, self.first.1),
            Some(idx) => place(self.rest.0, idx, self.rest.1),
        }
    }
}

/// What is to be encoded, and how.
pub(super) struct Asked {
    pub(super) inputs: Vec<Input>,
    pub(super) places: Places,
    pub(super) cut: Cut,
    pub(super) add_special_tokens: bool,
    /// What goes before each text.
    pub(super) prompt: String,
}

impl Asked {
    /// Texts and pairs, none of which may be cut.
    pub(super) fn new(inputs: Vec<Input>, places: Places) -> Self {
        let (cut, prompt) = (Cut::default(), String::new());
        Self { inputs, places, cut, add_special_tokens: true, prompt }
    }

    /// What OpenAI's `input` says, of which nothing may be empty.
    pub(super) fn of(
        prompt: Prompt,
        field: &'static str,
        limits: &HttpLimits,
    ) -> Result<Self, ApiError> {
        let inputs: Vec<Input> = match prompt {
            Prompt::Texts(texts) => texts.into_iter().map(Input::Text).collect(),
            Prompt::Tokens(many) => many.into_iter().map(Input::Tokens).collect(),
        };
        check_count(inputs.len(), field, limits)?;
        let places = Places::of(field, inputs.len());
        match inputs.iter().position(|input| input.size() == 0) {
            Some(idx) => Err(empty(&places.name(idx))),
            None => Ok(Self::new(inputs, places)),
        }
    }
}

/// 400 for an input without a text.
pub(super) fn empty(name: &str) -> ApiError {
    ApiError::invalid(Some(name), format!("'{name}' must not be empty."))
}

/// Refuses none, and more than a request may have.
pub(super) fn check_count(num: usize, field: &str, limits: &HttpLimits) -> Result<(), ApiError> {
    let max = limits.max_inputs;
    match num {
        0 => Err(empty(field)),
        num if num > max => {
            let message = format!("'{field}' has {num} inputs; {max} is most.");
            Err(ApiError::invalid(Some(field), message))
        }
        _ => Ok(()),
    }
}

/// What vLLM's parameters say of inputs that are too long.
pub(super) fn cut(
    model: &ServedEncoder,
    truncate_prompt_tokens: Option<i64>,
    side: Option<TruncationSide>,
) -> Result<Cut, ApiError> {
    let max = model.info().max_input_len;
    let max_tokens = match truncate_prompt_tokens {
        None => None,
        Some(-1) => Some(max),
        Some(asked) => {
            match usize::try_from(asked).ok().filter(|asked| (1..=max).contains(asked)) {
                Some(asked) => Some(asked),
                None => {
                    let name = "truncate_prompt_tokens";
                    let message = format!("'{name}' must be -1, or from 1 to {max}.");
                    return Err(ApiError::invalid(Some(name), message));
                }
            }
        }
    };
    let keep = match side.unwrap_or_default() {
        TruncationSide::Left => Keep::End,
        TruncationSide::Right => Keep::Start,
    };
    Ok(Cut { max_tokens, max_second: None, keep })
}

/// What text-embeddings-inference's say.
pub(super) fn tei_cut(
    model: &ServedEncoder,
    truncate: Option<bool>,
    direction: Option<TruncationDirection>,
) -> Cut {
    let keep = match direction.unwrap_or_default() {
        TruncationDirection::Left => Keep::End,
        TruncationDirection::Right => Keep::Start,
    };
    let max_tokens = truncate.unwrap_or(false).then_some(model.info().max_input_len);
    Cut { max_tokens, max_second: None, keep }
}

/// The tokens of all inputs.
pub(super) async fn tokens(
    state: &AppState,
    model: &Arc<ServedEncoder>,
    asked: Asked,
) -> Result<Vec<Arc<EncodeInput>>, ApiError> {
    let size = asked.inputs.iter().map(|input| input.size() + asked.prompt.len()).sum();
    let model = Arc::clone(model);
    let work = move || {
        let mut tokenizing = Tokenizing::new(&model, &asked)?;
        let inputs = asked.inputs.iter().enumerate();
        let inputs = inputs.map(|(idx, input)| Ok(Arc::new(tokenizing.input(input, idx)?)));
        inputs.collect()
    };
    run_sized(state, size, work).await?
}

/// The tokens of one input after the other.
struct Tokenizing<'a> {
    text: &'a TextModel,
    asked: &'a Asked,
    /// Tokens of the prompt that are not pooled.
    num_prompt: usize,
    /// The first text of the last pair: many have the same.
    first: Option<(Arc<str>, Vec<TokenId>)>,
}

impl<'a> Tokenizing<'a> {
    fn new(model: &'a ServedEncoder, asked: &'a Asked) -> Result<Self, ApiError> {
        let text = &*model.text;
        let is_pooled = model.prompts.are_pooled || asked.prompt.is_empty();
        let num_prompt = match is_pooled {
            true => 0,
            false => {
                let tokens = text.encode(&asked.prompt, false);
                tokens.map_err(|error| ApiError::from_text(&error, "prompt_name"))?.len()
            }
        };
        Ok(Self { text, asked, num_prompt, first: None })
    }

    fn input(&mut self, input: &Input, idx: usize) -> Result<EncodeInput, ApiError> {
        let name = self.asked.places.name(idx);
        let framed = match input {
            Input::Tokens(tokens) => Framed { tokens: self.cut(tokens), ..Framed::default() },
            Input::Text(text) => self.alone(text, None, &name)?,
            Input::Document(text) => self.alone(text, self.asked.cut.max_second, &name)?,
            Input::Pair(first, second) => self.pair(first, second, &name)?,
        };
        self.check_cut(&framed)?;
        let Framed { tokens, type_ids, first_at } = framed;
        let not_pooled = match self.num_prompt {
            0 => 0,
            num_prompt => (first_at + num_prompt).min(tokens.len().saturating_sub(1)),
        };
        Ok(EncodeInput { tokens, type_ids, not_pooled, tiles: None })
    }

    fn alone(&self, text: &str, max: Option<usize>, name: &str) -> Result<Framed, ApiError> {
        let mut tokens = match self.asked.prompt.is_empty() {
            true => self.encode(text, name)?,
            false => self.encode(&format!("{}{text}", self.asked.prompt), name)?,
        };
        if let Some(max) = max.filter(|max| *max < tokens.len()) {
            tokens = kept(&tokens, max, self.asked.cut.keep);
        }
        if !self.asked.add_special_tokens {
            return Ok(Framed { tokens: self.cut(&tokens), ..Framed::default() });
        }
        let framed = self.text.frame(&tokens, None, self.asked.cut);
        framed.map_err(|error| ApiError::from_text(&error, name))
    }

    fn pair(&mut self, first: &Arc<str>, second: &str, name: &str) -> Result<Framed, ApiError> {
        if self.first.as_ref().is_none_or(|(last, _)| !Arc::ptr_eq(last, first)) {
            let tokens = self.encode(first, self.asked.places.first.0)?;
            self.first = Some((Arc::clone(first), tokens));
        }
        let second = self.encode(second, name)?;
        let first = self.first.as_ref().map(|(_, tokens)| &tokens[..]).unwrap_or_default();
        let framed = self.text.frame(first, Some(&second), self.asked.cut);
        framed.map_err(|error| ApiError::from_text(&error, "model"))
    }

    fn encode(&self, text: &str, name: &str) -> Result<Vec<TokenId>, ApiError> {
        self.text.encode(text, false).map_err(|error| ApiError::from_text(&error, name))
    }

    /// What is left of tokens that nothing is put around.
    fn cut(&self, tokens: &[TokenId]) -> Vec<TokenId> {
        let Cut { max_tokens, keep, .. } = self.asked.cut;
        kept(tokens, max_tokens.unwrap_or(usize::MAX), keep)
    }

    /// What is put around a text is never cut.
    fn check_cut(&self, framed: &Framed) -> Result<(), ApiError> {
        match self.asked.cut.max_tokens {
            Some(max) if framed.tokens.len() > max => {
                let message = format!(
                    "'truncate_prompt_tokens' is {max}, and {} tokens are put around a text.",
                    framed.tokens.len()
                );
                Err(ApiError::invalid(Some("truncate_prompt_tokens"), message))
            }
            _ => Ok(()),
        }
    }
}

fn kept(tokens: &[TokenId], max: usize, keep: Keep) -> Vec<TokenId> {
    let len = tokens.len().min(max);
    match keep {
        Keep::Start => tokens[..len].to_vec(),
        Keep::End => tokens[tokens.len() - len..].to_vec(),
    }
}
