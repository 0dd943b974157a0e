//! The real model says the same with and without guesses, and guesses right where a text repeats.

mod support;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine_core::{
    CacheScope, Engine, Event, Request, RequestId, SamplingParams, StopRules, TenantId, TokenId,
    Usage,
};
use engine_llm::{LlmEngine, weights};
use engine_text::{ChatInput, GgufVocab, TextModel};
