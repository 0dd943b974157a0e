//! Billing against a stand-in of Stripe: a subscription's whole life, and all that can go wrong.

mod dunning;
mod life;
mod memory;
mod orders;
mod plans;
mod retries;
mod stand_in;
mod usage;
mod webhooks;
mod world;
