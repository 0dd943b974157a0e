//! From what is asked to what an encoder reads: tokens, framed and cut.
//!
//! Invariant: tokenizing happens on blocking threads where it is much, and an error names the input
//! at fault.

use std::sync::Arc;

use engine_core::{EncodeInput, TokenId};
use engine_text::limits::MAX_RUN_CHARS;
use engine_text::{Cut, Framed, Keep, TextError, TextModel};

use super::input::{Asked, Input};
use crate::blocking::run_sized;
use crate::served::ServedEncoder;
use crate::{ApiError, AppState};

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
    /// What documents are cut to fit into, if they are.
    to_fit: Option<usize>,
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
        let to_fit = asked.fit_documents.then(|| model.info().max_input_len);
        Ok(Self { text, asked, num_prompt, to_fit, first: None })
    }

    fn input(&mut self, input: &Input, idx: usize) -> Result<EncodeInput, ApiError> {
        let name = self.asked.places.name(idx);
        let framed = match input {
            Input::Tokens(tokens) => Framed { tokens: self.cut(tokens), ..Framed::default() },
            Input::Text(text) => self.alone(text, false, &name)?,
            Input::Document(text) => self.alone(text, true, &name)?,
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

    fn alone(&self, text: &str, is_document: bool, name: &str) -> Result<Framed, ApiError> {
        let Asked { cut, prompt, .. } = self.asked;
        let prompted = (!prompt.is_empty()).then(|| format!("{prompt}{text}"));
        let text = prompted.as_deref().unwrap_or(text);
        let tokens = match is_document {
            true => {
                let max = self.room(None)?.into_iter().chain(cut.max_second).min();
                kept(&self.document(text, name)?, max.unwrap_or(usize::MAX), cut.keep)
            }
            false => self.encode(text, name)?,
        };
        if !self.asked.add_special_tokens {
            return Ok(Framed { tokens: self.cut(&tokens), ..Framed::default() });
        }
        let framed = self.text.frame(&tokens, None, *cut);
        framed.map_err(|error| ApiError::from_text(&error, name))
    }

    fn pair(&mut self, first: &Arc<str>, second: &str, name: &str) -> Result<Framed, ApiError> {
        if self.first.as_ref().is_none_or(|(last, _)| !Arc::ptr_eq(last, first)) {
            let tokens = self.encode(first, self.asked.places.first.0)?;
            self.first = Some((Arc::clone(first), tokens));
        }
        let second = self.document(second, name)?;
        let first = self.first.as_ref().map(|(_, tokens)| &tokens[..]).unwrap_or_default();
        let mut cut = self.asked.cut;
        cut.max_second = self.room(Some((first, &second)))?.into_iter().chain(cut.max_second).min();
        let framed = self.text.frame(first, Some(&second), cut);
        framed.map_err(|error| ApiError::from_text(&error, "model"))
    }

    /// How many tokens of a document fit beside those around it and, of two texts, the first; all
    /// if it need not fit. A first text that leaves none is at fault.
    fn room(&self, pair: Option<(&[TokenId], &[TokenId])>) -> Result<Option<usize>, ApiError> {
        let Some(max) = self.to_fit else { return Ok(None) };
        let around = self.text.frame(&[], pair.map(|_| &[][..]), Cut::default());
        let around = around.map_err(|error| ApiError::from_text(&error, "model"))?.tokens.len();
        let (first, second) = pair.unwrap_or_default();
        match max.checked_sub(around + first.len()) {
            Some(room) if room > 0 || second.is_empty() => Ok(Some(room)),
            _ => {
                let name = self.asked.places.first.0;
                let message = format!(
                    "This model's maximum context length is {max} tokens. However, '{name}' has \
                     {}, which leaves none to a document beside the {around} that the model puts \
                     around both. Please reduce its length.",
                    first.len()
                );
                Err(ApiError::invalid(Some(name), message).code("context_length_exceeded"))
            }
        }
    }

    /// Tokens of what may be cut: where a text is too long to tokenize, those of as much as is not.
    fn document(&self, text: &str, name: &str) -> Result<Vec<TokenId>, ApiError> {
        match self.text.encode(text, false) {
            Err(TextError::TextTooLong { .. } | TextError::RunTooLong { .. })
                if self.to_fit.is_some() =>
            {
                self.encode(within(text, MAX_RUN_CHARS, self.asked.cut.keep), name)
            }
            tokens => tokens.map_err(|error| ApiError::from_text(&error, name)),
        }
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

/// So many characters of a text.
fn within(text: &str, max: usize, keep: Keep) -> &str {
    let mut starts = text.char_indices().map(|(start, _)| start);
    match keep {
        Keep::Start => &text[..starts.nth(max).unwrap_or(text.len())],
        Keep::End => &text[starts.rev().nth(max - 1).unwrap_or(0)..],
    }
}
