//! The fields of a request, in the encoding that Stripe takes them in.
//!
//! Invariant: fields that are not set are not sent.

use form_urlencoded::Serializer;

/// Fields, encoded one after another: `a=1&b%5Bc%5D=2`. Not a `Serializer`, which no other thread
/// may have.
pub(super) struct Form(String);

impl Form {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    /// One more field: `name` is `a`, or `a[b][0]`.
    pub(super) fn field(self, name: &str, value: impl AsRef<str>) -> Self {
        // It puts a `&` after what is there.
        Self(Serializer::new(self.0).append_pair(name, value.as_ref()).finish())
    }

    /// One more field, if there is a value.
    pub(super) fn maybe(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// A field that is `true` or `false`.
    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.field(name, if value { "true" } else { "false" })
    }

    pub(super) fn encode(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_and_absent_ones_are_not_sent() {
        let form = Form::new()
            .field("a[b][0]", "x&y=z ä")
            .maybe("none", None::<&str>)
            .maybe("some", Some("1"))
            .flag("is", false);
        assert_eq!(form.encode(), "a%5Bb%5D%5B0%5D=x%26y%3Dz+%C3%A4&some=1&is=false");
        assert_eq!(Form::new().encode(), "");
    }
}
