//! Names of Stripe's objects.
//!
//! Invariant: a name is 1 to [`MAX_STRIPE_ID_BYTES`] bytes of letters, digits, `_`, `-` and `.`, so
//! it can stand in a path and in a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name of an object.
pub const MAX_STRIPE_ID_BYTES: usize = 255;

/// A text is no name of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is 1 to {MAX_STRIPE_ID_BYTES} letters, digits, '_', '-' and '.': copy it from Stripe's \
     dashboard"
)]
pub struct StripeIdError(&'static str);

fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_STRIPE_ID_BYTES).contains(&text.len())
        && text.bytes().all(is_allowed)
        // A path of dots alone is another path.
        && text.bytes().any(|byte| byte != b'.')
}

macro_rules! id {
    ($name:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A name, if it can be one.
            ///
            /// # Errors
            /// If it has other characters, none, or too many.
            pub fn new(text: &str) -> Result<Self, StripeIdError> {
                Self::try_from(text.to_owned())
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = StripeIdError;

            fn try_from(text: String) -> Result<Self, StripeIdError> {
                if is_id(&text) { Ok(Self(text)) } else { Err(StripeIdError($what)) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id!(CustomerId, "a customer's id", "Who pays, at Stripe: `cus_…`.");
id!(SubscriptionId, "a subscription's id", "What a customer is subscribed to: `sub_…`.");
id!(ItemId, "a subscription item's id", "One price of a subscription: `si_…`.");
id!(InvoiceId, "an invoice's id", "A bill: `in_…`.");
id!(CheckoutId, "a checkout session's id", "A page where something is bought: `cs_…`.");
id!(PriceId, "a price's id", "What a subscription costs: `price_…`.");
id!(EventId, "an event's id", "What a webhook tells of: `evt_…`.");
id!(MeterId, "a meter's id", "What usage is summed in: `mtr_…`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_its_place_in_a_path_is_no_name() {
        assert_eq!(CustomerId::new("cus_Nci-1.a").unwrap().as_str(), "cus_Nci-1.a");
        for text in ["", ".", "..", "a/b", "a?b", "a b", "a%2fb", "ä", "a\n", &"x".repeat(256)] {
            assert!(CustomerId::new(text).is_err(), "{text}");
            assert!(serde_json::from_value::<PriceId>(text.into()).is_err(), "{text}");
        }
        assert!(CustomerId::new("").unwrap_err().to_string().starts_with("a customer's id is 1"));
    }
}
