//! The vocabulary that engines and schedulers share: Request, Sequence, Step, Block, Event.
//!
//! Invariant: this crate knows nothing of tensors, tokio, files or HTTP. A [`Step`] says
//! everything an [`Engine`] needs to know; an engine keeps no state per request.

mod adapter;
mod encode;
mod engine;
mod event;
mod grammar;
mod groups;
mod ids;
mod image;
mod inset;
mod request;
mod speech;
mod step;

pub use adapter::Adapter;
pub use encode::{Activation, EncodeInput, Encoder, EncoderInfo, EncoderOutput};
pub use engine::{Engine, EngineError, EngineLimits};
pub use event::{Event, FinishReason, RequestError, Usage};
pub use grammar::{Constraint, Grammar, GrammarError, NoMask, PendingMask, TokenMask};
pub use groups::CacheGroups;
pub use ids::{BlockId, CacheScope, RequestId, SeqId, TenantId, TokenId};
pub use image::{ImageError, ImageMarks, ImagePlan, ImageReader, Tiles};
pub use inset::{Inset, InsetRows};
pub use request::{Class, InvalidRequest, Request, SamplingParams, StopRules};
pub use speech::{Segment, Speech, SpeechInfo, SpeechInput, SpeechStep, SpeechTask};
pub use step::{
    BlockTable, History, Sample, Sampled, Score, SeqOutput, SeqWork, Step, StepOutput,
    TokenLogprobs, Want,
};
