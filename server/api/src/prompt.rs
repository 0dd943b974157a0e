//! The four forms of a completion's prompt.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What to continue. A list of prompts gets an answer each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A string, or an array of strings.
    Texts(Vec<String>),
    /// An array of token ids, or an array of such arrays.
    Tokens(Vec<Vec<u32>>),
}

/// Takes the next element of a list whose first elements decided its form. Errors name the index.
struct Next<'a>(&'a mut State);

enum State {
    Empty,
    Texts(Vec<String>),
    OneTokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

struct PromptVisitor;

const EXPECTED: &str = "a string, an array of strings, an array of token ids, or an array of \
                        arrays of token ids";

impl<'de> Visitor<'de> for PromptVisitor {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompt, E> {
        Ok(Prompt::Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Prompt, A::Error> {
        let mut state = State::Empty;
        while seq.next_element_seed(Next(&mut state))?.is_some() {}
        Ok(match state {
            State::Empty => Prompt::Texts(Vec::new()),
            State::Texts(texts) => Prompt::Texts(texts),
            State::OneTokens(tokens) => Prompt::Tokens(vec![tokens]),
            State::ManyTokens(many) => Prompt::Tokens(many),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Empty => "a string, a token id or an array of token ids",
            State::Texts(_) => "a string, as the elements before",
            State::OneTokens(_) => "a token id, as the elements before",
            State::ManyTokens(_) => "an array of token ids, as the elements before",
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if matches!(self.0, State::Empty) {
            *self.0 = State::Texts(Vec::new());
        }
        let State::Texts(texts) = self.0 else {
            return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self));
        };
        texts.push(text.to_owned());
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let unexpected = serde::de::Unexpected::Unsigned(number);
        let Ok(token) = u32::try_from(number) else {
            return Err(E::invalid_value(unexpected, &"a token id"));
        };
        if matches!(self.0, State::Empty) {
            *self.0 = State::OneTokens(Vec::new());
        }
        let State::OneTokens(tokens) = self.0 else {
            return Err(E::invalid_type(unexpected, &self));
        };
        tokens.push(token);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if matches!(self.0, State::Empty) {
            *self.0 = State::ManyTokens(Vec::new());
        }
        let State::ManyTokens(many) = self.0 else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let mut tokens = Vec::new();
        while let Some(token) = seq.next_element()? {
            tokens.push(token);
        }
        many.push(tokens);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptVisitor)
    }
}

impl PartialSchema for Prompt {
    fn schema() -> RefOr<Schema> {
        let forms = OneOfBuilder::new().item(String::schema()).item(Vec::<String>::schema());
        let forms = forms.item(Vec::<u32>::schema()).item(Vec::<Vec<u32>>::schema());
        RefOr::T(Schema::OneOf(forms.build()))
    }
}

impl ToSchema for Prompt {}

#[cfg(test)]
mod tests {
    use super::Prompt;

    #[test]
    fn every_form_parses() {
        let cases = [
            (r#""a""#, Prompt::Texts(vec!["a".into()])),
            (r#"["a","b"]"#, Prompt::Texts(vec!["a".into(), "b".into()])),
            ("[1,2]", Prompt::Tokens(vec![vec![1, 2]])),
            ("[[1],[2,3]]", Prompt::Tokens(vec![vec![1], vec![2, 3]])),
            ("[]", Prompt::Texts(vec![])),
        ];
        for (json, prompt) in cases {
            assert_eq!(serde_json::from_str::<Prompt>(json).unwrap(), prompt, "{json}");
        }
    }

    #[test]
    fn mixed_and_odd_forms_say_what_was_expected() {
        let cases = [
            (r#"["a",1]"#, "invalid type: integer `1`, expected a string, as the elements before"),
            (r#"[1,"a"]"#, "expected a token id, as the elements before"),
            ("[[1],2]", "expected an array of token ids, as the elements before"),
            ("[-1]", "invalid type: integer `-1`"),
            ("[4294967296]", "expected a token id"),
            ("7", "expected a string, an array of strings"),
        ];
        for (json, message) in cases {
            let error = serde_json::from_str::<Prompt>(json).unwrap_err().to_string();
            assert!(error.contains(message), "{json}: {error}");
        }
    }
}
