//! What an encoder is asked to read: texts, pairs and tokens, and what is done where they are too
//! long.
//!
//! Invariant: an error names the input at fault.

use std::sync::Arc;

use engine_core::TokenId;
use engine_text::{Cut, Keep};
use server_api::{Prompt, TruncationDirection, TruncationSide};

use crate::names::place;
use crate::served::ServedEncoder;
use crate::{ApiError, HttpLimits};

/// One thing to encode.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A text alone.
    Text(String),
    /// A text alone, to which the limit for documents applies.
    Document(String),
    /// Tokens as they are.
    Tokens(Vec<TokenId>),
    /// Two texts that are read together, of which the second is the document.
    Pair(Arc<str>, String),
}

impl Input {
    pub(super) fn size(&self) -> usize {
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
    /// Whether documents are cut to what the model reads, beside what they are read with.
    pub(super) fit_documents: bool,
    pub(super) add_special_tokens: bool,
    /// What goes before each text.
    pub(super) prompt: String,
}

impl Asked {
    /// Texts and pairs, none of which may be cut.
    pub(super) fn new(inputs: Vec<Input>, places: Places) -> Self {
        let (cut, prompt) = (Cut::default(), String::new());
        Self { inputs, places, cut, fit_documents: false, add_special_tokens: true, prompt }
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
