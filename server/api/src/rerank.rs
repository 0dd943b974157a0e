//! Documents in order of what they have to do with a query, in Cohere's and Jina's form with
//! vLLM's additions, and scores of pairs in vLLM's.

use std::fmt;

use serde::de::{
    Deserialize, Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer,
};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{InputUsage, OneOrMany, TruncationSide};

/// Asks which documents fit a query best.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct RerankRequest {
    /// The model's id; may be left out where one can rank.
    pub model: Option<String>,
    /// What the documents are to fit.
    pub query: String,
    /// At most 2,048; empty ones among others are ranked.
    pub documents: Vec<RankedDocument>,
    /// Only so many of the best; by default all.
    #[schema(minimum = 1)]
    pub top_n: Option<i64>,
    /// Whether the answer holds the documents' texts; by default it does, but for `/v2/rerank`.
    pub return_documents: Option<bool>,
    /// At most this many tokens of each document; the rest is left out. By default as many as the
    /// model reads, but for `/v2/rerank` no more than 4,096.
    #[schema(minimum = 1)]
    pub max_tokens_per_doc: Option<i64>,
    /// Whether a document is cut to what the model reads beside the query; by default it is.
    /// Without, a longer one is refused.
    pub truncation: Option<bool>,
    /// At most this many tokens of query and document together, -1 for as many as the model
    /// reads: of both the longer one is cut, not the document alone.
    #[schema(minimum = -1)]
    pub truncate_prompt_tokens: Option<i64>,
    /// Which end of what is too long is cut; by default the right one.
    pub truncation_side: Option<TruncationSide>,
    /// Whether scores are what the model's activation makes of them; by default so.
    pub use_activation: Option<bool>,
    /// Who asks on the client's side. Accepted, not used.
    pub user: Option<String>,
}

/// A document: a string, or an object with its `text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RankedDocument {
    /// What it says.
    pub text: String,
}

#[derive(DeriveDeserialize)]
struct TextObject {
    text: String,
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = RankedDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or an object with a `text`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RankedDocument, E> {
        Ok(RankedDocument { text: text.to_owned() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RankedDocument, A::Error> {
        let TextObject { text } = TextObject::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RankedDocument { text })
    }
}

impl<'de> Deserialize<'de> for RankedDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

impl PartialSchema for RankedDocument {
    fn schema() -> RefOr<Schema> {
        let object = utoipa::openapi::ObjectBuilder::new()
            .property("text", String::schema())
            .required("text");
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(String::schema()).item(object).build()))
    }
}

impl ToSchema for RankedDocument {}

/// The best documents, the best first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ranking {
    /// `rerank-…`.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// The documents.
    pub results: Vec<Ranked>,
    /// What was used, as vLLM and Jina say it.
    pub usage: InputUsage,
    /// The same as Cohere says it.
    pub meta: RankingMeta,
}

/// One document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ranked {
    /// Which of the documents.
    pub index: usize,
    /// How well it fits; higher is better.
    pub relevance_score: f32,
    /// What it says, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub document: Option<RankedDocument>,
}

/// Cohere's account of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RankingMeta {
    /// Of Cohere's API.
    pub api_version: ApiVersion,
    /// What Cohere would bill.
    pub billed_units: BilledUnits,
}

/// A version of Cohere's API.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiVersion {
    /// `1` or `2`.
    pub version: String,
}

/// What Cohere would bill.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BilledUnits {
    /// Always 1.
    pub search_units: u32,
}

/// Asks how well texts go together.
#[derive(Clone, Debug, DeriveDeserialize, ToSchema)]
pub struct ScoreRequest {
    /// The model's id; may be left out where one can score.
    pub model: Option<String>,
    /// One text for all of `text_2`, or as many as there.
    pub text_1: OneOrMany,
    /// At most 2,048.
    pub text_2: OneOrMany,
    /// At most this many tokens of both together, -1 for as many as the model reads; without it
    /// longer ones are refused.
    #[schema(minimum = -1)]
    pub truncate_prompt_tokens: Option<i64>,
    /// Which end of what is too long is cut; by default the right one.
    pub truncation_side: Option<TruncationSide>,
    /// Whether scores are what the model's activation makes of them; by default so.
    pub use_activation: Option<bool>,
    /// Who asks on the client's side. Accepted, not used.
    pub user: Option<String>,
}

/// The scores of all pairs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Scores {
    /// `score-…`.
    pub id: String,
    /// Always `list`.
    pub object: String,
    /// Unix time in seconds.
    pub created: i64,
    /// The model that answered.
    pub model: String,
    /// One for each pair, in order.
    pub data: Vec<Score>,
    /// What was used.
    pub usage: InputUsage,
}

/// One pair's.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Score {
    /// Which of the pairs.
    pub index: usize,
    /// Always `score`.
    pub object: String,
    /// How well the two go together.
    pub score: f32,
}

#[cfg(test)]
mod tests {
    use super::RankedDocument;

    #[test]
    fn a_document_is_a_text_or_holds_one() {
        for json in [r#""a""#, r#"{"text": "a"}"#, r#"{"id": 7, "text": "a"}"#] {
            let document: RankedDocument = serde_json::from_str(json).unwrap();
            assert_eq!(document.text, "a", "{json}");
        }
        let error = serde_json::from_str::<RankedDocument>("7").unwrap_err().to_string();
        assert!(error.contains("expected a string, or an object with a `text`"), "{error}");
        let error = serde_json::from_str::<RankedDocument>("{}").unwrap_err().to_string();
        assert!(error.contains("missing field `text`"), "{error}");
    }
}
