//! The HTTP edge: thin handlers over the text and the scheduler, in OpenAI's form.
//!
//! Where each step of a request happens: `serve` (connection) → `observe` (id, span, metrics) →
//! `local` (host and origin, without keys) → `auth` (caller) → `json` (body) → the API's folder, or
//! `routes` (handler) → `chat`, `params` (ranges) → `prompt` (tokens) → `generation` (submit,
//! events → text) → `wire` (SSE or one JSON body). Before `generation`, `encoding` (what encoders
//! answer) or `audio` (what recordings say) work, `meter` lets a request in, where it is metered.
//!
//! Invariant: a handler holds nothing that outlives its response; dropping the response's body, or
//! the handler while it waits, cancels the work.

mod accepted;
mod adapters;
mod answers;
mod anthropic;
mod audio;
mod auth;
mod bedrock;
mod blocking;
mod caller;
mod chat;
mod chat_messages;
mod choice;
mod connection;
mod conversations;
mod cors;
mod echo;
mod encoding;
mod error;
mod generation;
mod grammar;
mod guard;
mod heads;
mod http2;
mod idempotency;
mod images;
mod json;
mod limits;
mod local;
mod meter;
mod metrics;
mod mounted;
mod names;
mod observe;
mod openai;
mod openapi;
mod outbound;
mod params;
mod path;
mod permits;
mod prompt;
mod refused;
mod responses;
mod router;
mod routes;
mod runtime;
mod serve;
mod served;
mod source;
mod state;
mod storage;
mod throttled;
mod ticket;
mod tls;
mod tools;
mod usage;
mod waiting;
mod wire;
mod write_timeout;

pub use adapters::{AdapterFault, AdapterInfo, Adapters};
pub use auth::{AuthError, Authenticate, NoAuth, Peer, Signer, check_scopes, key as sent_key};
pub use caller::Caller;
pub use cors::{CorsOrigins, NoOrigin};
pub use encoding::Moderator;
pub use error::ApiError;
pub use images::{ImageUrls, NoImageUrls, Vision};
pub use json::read_json;
pub use limits::HttpLimits;
pub use metrics::Metrics;
pub use outbound::{NoOutbound, Outbound, OutboundError};
pub use path::InPath;
pub use router::router;
pub use runtime::runtime;
pub use serve::{Listen, serve};
pub use served::{Served, ServedEncoder, ServedModel, ServedSpeech};
pub use state::{AppState, AppStateBuilder};
pub use storage::unix_time;
pub use tls::{Tls, TlsError};
