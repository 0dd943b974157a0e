//! Stripe, at work in a server: what `server/billing` keeps is in `server/store`'s SQL, webhooks
//! and those who pay have routes, and usage is reported and who does not pay reminded by the clock,
//! with letters that it puts into the store's outbox.
//!
//! `store` makes the trait that billing asks for of rows, so neither crate knows the other;
//! `routes` and `openapi` are mounted beside the admin API and let in its keys; `work` runs while
//! the server does.
//!
//! Invariant: off unless an operator configures a secret. Nothing is done twice where a server is
//! killed or a webhook comes again, since nothing is remembered but in the database.

mod error;
mod letters;
mod openapi;
mod options;
mod routes;
mod state;
mod store;
mod wire;
mod work;

pub use openapi::document;
pub use options::{Options, OptionsError};
pub use routes::routes;
pub use server_billing::{Secret, SecretError};
pub use state::Subscriptions;
pub use store::SqlBilling;
