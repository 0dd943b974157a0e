//! Labels of texts in vLLM's form, and whether they are harmful in OpenAI's.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{ContentPart, InputUsage, Prompt, TruncationSide};

/// Asks for the labels of texts.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct ClassifyRequest {
    /// The model's id; may be left out where one can classify.
    pub model: Option<String>,
    /// A string, an array of strings, an array of token ids, or an array of such arrays; at most
    /// 2,048.
    pub input: Prompt,
    /// At most this many tokens of each input, -1 for as many as the model reads; without it a
    /// longer input is refused.
    #[schema(minimum = -1)]
    pub truncate_prompt_tokens: Option<i64>,
    /// Which end of what is too long is cut; by default the right one.
    pub truncation_side: Option<TruncationSide>,
    /// Whether to add the tokenizer's own tokens to inputs that are text; by default so.
    pub add_special_tokens: Option<bool>,
    /// Whether `probs` are what the model's activation makes of its logits; by default so.
    pub use_activation: Option<bool>,
    /// Who asks on the client's side. Accepted, not used.
    pub user: Option<String>,
}

/// The labels of all inputs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Classifications {
    /// `classify-…`.
    pub id: String,
    /// Always `list`.
    pub object: String,
    /// Unix time in seconds.
    pub created: i64,
    /// The model that answered.
    pub model: String,
    /// One for each input, in order.
    pub data: Vec<Classification>,
    /// What was used.
    pub usage: InputUsage,
}

/// One input's.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Classification {
    /// Which of the inputs.
    pub index: usize,
    /// The likeliest label.
    pub label: String,
    /// A number for each label, in the model's order.
    pub probs: Vec<f32>,
    /// How many labels there are.
    pub num_classes: usize,
}

/// Asks whether texts are harmful.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct ModerationRequest {
    /// The model's id, or one of OpenAI's names; what answers is the operator's choice.
    pub model: Option<String>,
    /// A string, an array of strings, or an array of parts of one input, of type `text`.
    pub input: ModerationInput,
}

/// What is to be judged.
#[derive(Clone, Debug)]
pub enum ModerationInput {
    /// A text, or several.
    Texts(Vec<String>),
    /// The parts of one.
    Parts(Vec<ContentPart>),
}

struct InputVisitor;

/// Takes the next element of a list whose first one decided its form.
struct Next<'a>(&'a mut Option<ModerationInput>);

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "a string, or an object with a `type`",
            Some(ModerationInput::Texts(_)) => "a string, as the elements before",
            Some(ModerationInput::Parts(_)) => "an object, as the elements before",
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.0.get_or_insert_with(|| ModerationInput::Texts(Vec::new())) {
            ModerationInput::Texts(texts) => texts.push(text.to_owned()),
            ModerationInput::Parts(_) => {
                return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let part = ContentPart::deserialize(MapAccessDeserializer::new(map))?;
        match self.0.get_or_insert_with(|| ModerationInput::Parts(Vec::new())) {
            ModerationInput::Parts(parts) => parts.push(part),
            ModerationInput::Texts(_) => {
                return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InputVisitor {
    type Value = ModerationInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of strings, or an array of objects")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ModerationInput, E> {
        Ok(ModerationInput::Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ModerationInput, A::Error> {
        let mut input = None;
        while seq.next_element_seed(Next(&mut input))?.is_some() {}
        Ok(input.unwrap_or(ModerationInput::Texts(Vec::new())))
    }
}

impl<'de> Deserialize<'de> for ModerationInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

impl PartialSchema for ModerationInput {
    fn schema() -> RefOr<Schema> {
        let part = utoipa::openapi::ObjectBuilder::new()
            .property("type", String::schema())
            .property("text", String::schema())
            .required("type");
        let parts = utoipa::openapi::ArrayBuilder::new().items(part);
        let forms = OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema());
        RefOr::T(Schema::OneOf(forms.item(parts).build()))
    }
}

impl ToSchema for ModerationInput {}

/// What was found in all inputs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Moderations {
    /// `modr-…`.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// One for each input, in order.
    pub results: Vec<Moderation>,
}

/// What was found in one input. The categories are the model's labels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Moderation {
    /// Whether there is anything.
    pub flagged: bool,
    /// Of each category, whether the input is of it.
    pub categories: BTreeMap<String, bool>,
    /// The model's score for each.
    pub category_scores: BTreeMap<String, f32>,
    /// What was looked at: always `text`.
    pub category_applied_input_types: BTreeMap<String, Vec<String>>,
}
