//! Embeddings, ranks and labels, in the form of Hugging Face's text-embeddings-inference.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Prompt;

/// Which end of a text is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeriveDeserialize, ToSchema)]
pub enum TruncationDirection {
    /// Its beginning.
    #[serde(alias = "left")]
    Left,
    /// Its end.
    #[default]
    #[serde(alias = "right")]
    Right,
}

/// Asks for the embeddings of texts; the answer is an array of them.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct EmbedRequest {
    /// The model's id; may be left out where one makes embeddings.
    pub model: Option<String>,
    /// A string, an array of strings, an array of token ids, or an array of such arrays; at most
    /// 2,048.
    pub inputs: Prompt,
    /// Whether embeddings have length 1; by default so.
    pub normalize: Option<bool>,
    /// Whether an input that is too long is cut; by default it is refused.
    pub truncate: Option<bool>,
    /// Which end of it; by default the right one.
    pub truncation_direction: Option<TruncationDirection>,
    /// Which of the model's prompts to put before each text.
    pub prompt_name: Option<String>,
    /// Only so many numbers of each embedding, where the model was trained for that.
    #[schema(minimum = 1)]
    pub dimensions: Option<i64>,
}

/// Asks how near sentences are to one; the answer is an array of numbers.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct SimilarityRequest {
    /// The model's id; may be left out where one makes embeddings.
    pub model: Option<String>,
    /// What to compare.
    pub inputs: SimilarityInputs,
    /// How.
    pub parameters: Option<SimilarityParameters>,
}

/// What to compare.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct SimilarityInputs {
    /// With what.
    pub source_sentence: String,
    /// What; at most 2,048.
    pub sentences: Vec<String>,
}

/// How sentences become embeddings.
#[derive(Clone, Debug, Default, DeriveDeserialize, ToSchema)]
pub struct SimilarityParameters {
    /// Whether a sentence that is too long is cut; by default it is refused.
    pub truncate: Option<bool>,
    /// Which end of it; by default the right one.
    pub truncation_direction: Option<TruncationDirection>,
    /// Which of the model's prompts to put before each.
    pub prompt_name: Option<String>,
}

/// Asks which texts fit a query best; the answer is an array of [`Rank`]s, the best first.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct TeiRerankRequest {
    /// The model's id; may be left out where one can rank.
    pub model: Option<String>,
    /// What the texts are to fit.
    pub query: String,
    /// At most 2,048.
    pub texts: Vec<String>,
    /// Whether scores are the model's logits; by default they are what its activation makes of
    /// them.
    pub raw_scores: Option<bool>,
    /// Whether the answer holds the texts; by default it does not.
    pub return_text: Option<bool>,
    /// Whether what is too long is cut; by default it is refused.
    pub truncate: Option<bool>,
    /// Which end of it; by default the right one.
    pub truncation_direction: Option<TruncationDirection>,
}

/// A text's place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rank {
    /// Which of the texts.
    pub index: usize,
    /// What it says, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How well it fits; higher is better.
    pub score: f32,
}

/// Asks for the labels of texts; the answer is an array of [`LabelScore`]s, the likeliest first,
/// for a batch an array of these.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct PredictRequest {
    /// The model's id; may be left out where one can classify.
    pub model: Option<String>,
    /// A string, a pair of them, or a batch: an array of arrays of one or two strings; at most
    /// 2,048.
    pub inputs: PredictInputs,
    /// Whether scores are the model's logits; by default they are what its activation makes of
    /// them.
    pub raw_scores: Option<bool>,
    /// Whether what is too long is cut; by default it is refused.
    pub truncate: Option<bool>,
    /// Which end of it; by default the right one.
    pub truncation_direction: Option<TruncationDirection>,
}

/// A label of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LabelScore {
    /// How well it fits.
    pub score: f32,
    /// Its name.
    pub label: String,
}

/// One text or pair, or a batch of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredictInputs {
    /// One.
    One(TextOrPair),
    /// Several.
    Batch(Vec<TextOrPair>),
}

/// A text, and perhaps another that is read with it.
pub type TextOrPair = (String, Option<String>);

struct PredictVisitor;

const EXPECTED: &str = "a string, a pair of strings, or a batch of arrays of one or two strings";

impl<'de> Visitor<'de> for PredictVisitor {
    type Value = PredictInputs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PredictInputs, E> {
        Ok(PredictInputs::One((text.to_owned(), None)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PredictInputs, A::Error> {
        // Strings are one text or a pair; what is in arrays is a batch.
        let Some(first) = seq.next_element::<Element>()? else {
            return Err(A::Error::invalid_length(0, &EXPECTED));
        };
        match first {
            Element::Text(text) => {
                let mut texts = vec![text];
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                pair(texts).map(PredictInputs::One)
            }
            Element::Texts(texts) => {
                let mut batch = vec![pair(texts)?];
                while let Some(texts) = seq.next_element()? {
                    batch.push(pair(texts)?);
                }
                Ok(PredictInputs::Batch(batch))
            }
        }
    }
}

#[derive(DeriveDeserialize)]
#[serde(untagged, expecting = "a string, or an array of one or two strings")]
enum Element {
    Text(String),
    Texts(Vec<String>),
}

fn pair<E: Error>(mut texts: Vec<String>) -> Result<TextOrPair, E> {
    match (texts.len(), texts.pop(), texts.pop()) {
        (1, Some(one), None) => Ok((one, None)),
        (2, Some(second), Some(first)) => Ok((first, Some(second))),
        (len, ..) => Err(E::invalid_length(len, &EXPECTED)),
    }
}

impl<'de> Deserialize<'de> for PredictInputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PredictVisitor)
    }
}

impl PartialSchema for PredictInputs {
    fn schema() -> RefOr<Schema> {
        let forms = OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema());
        RefOr::T(Schema::OneOf(forms.item(Vec::<Vec<String>>::schema()).build()))
    }
}

impl ToSchema for PredictInputs {}

/// What is served.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TeiInfo {
    /// The model's id.
    pub model_id: String,
    /// Digest of its files.
    pub model_sha: Option<String>,
    /// What it makes.
    pub model_type: TeiModelType,
    /// Tokens of the longest input.
    pub max_input_length: usize,
    /// Tokens of one batch.
    pub max_batch_tokens: usize,
    /// Inputs of one request.
    pub max_client_batch_size: usize,
    /// Whether inputs that are too long are cut unasked; they are not.
    pub auto_truncate: bool,
    /// The server's version.
    pub version: String,
}

/// What a model makes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TeiModelType {
    /// Embeddings.
    Embedding(BTreeMap<String, String>),
    /// A score for each of several labels.
    Classifier(TeiLabels),
    /// One score.
    Reranker(TeiLabels),
}

/// The labels of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TeiLabels {
    /// Names by number.
    pub id2label: BTreeMap<String, String>,
    /// Numbers by name.
    pub label2id: BTreeMap<String, usize>,
}

/// What went wrong, in this API's shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TeiError {
    /// For people.
    pub error: String,
    /// `Validation`, `Overloaded`, `Unhealthy` or `Backend`.
    pub error_type: String,
}

#[cfg(test)]
mod tests {
    use super::PredictInputs;

    #[test]
    fn a_text_a_pair_and_a_batch_are_told_apart() {
        let text = |text: &str| (text.to_owned(), None);
        let pair = |first: &str, second: &str| (first.to_owned(), Some(second.to_owned()));
        let cases = [
            (r#""a""#, PredictInputs::One(text("a"))),
            (r#"["a"]"#, PredictInputs::One(text("a"))),
            (r#"["a","b"]"#, PredictInputs::One(pair("a", "b"))),
            (r#"[["a"],["b","c"]]"#, PredictInputs::Batch(vec![text("a"), pair("b", "c")])),
        ];
        for (json, expected) in cases {
            assert_eq!(serde_json::from_str::<PredictInputs>(json).unwrap(), expected, "{json}");
        }
        for json in ["[]", r#"["a","b","c"]"#, r#"[["a"],[]]"#, r#"[["a"],"b"]"#, r#"["a",["b"]]"#]
        {
            assert!(serde_json::from_str::<PredictInputs>(json).is_err(), "{json}");
        }
    }
}
