//! A chat that is stored: written as any other, and kept before its end.

use serde_json::{Value, json};
use server_api::{ChatChunk, ChatCompletion, ChatMessage, GenerationOptions, Metadata, Usage};
use server_metering::ProjectPath;
use server_store::{Completion, Store};

use super::gather::Gathered;
use crate::generation::Output;
use crate::openai::ChatWire;
use crate::storage::{check_metadata, to_json};
use crate::wire::{Sealing, Wire};
use crate::{ApiError, AppState, Caller};

/// Where a completion is kept, and with what.
pub(crate) struct Keep {
    store: Store,
    whose: ProjectPath,
    metadata: Metadata,
    messages: String,
}

impl Keep {
    /// What a request asks to be kept, if it does.
    pub(crate) async fn asked(
        state: &AppState,
        caller: &Caller,
        options: &mut GenerationOptions,
        messages: &[ChatMessage],
    ) -> Result<Option<Self>, ApiError> {
        let metadata = options.metadata.take().unwrap_or_default();
        check_metadata(&metadata)?;
        // Where nothing is stored it counts as false, as at OpenAI.
        if options.store != Some(true) || !caller.stores() {
            return Ok(None);
        }
        let (store, whose) = (caller.store(state)?.into_owned(), caller.whose());
        let messages = to_json(&messages)?;
        Box::pin(store.check_room(&caller.tenant.0, "chat completion", messages.len())).await?;
        Ok(Some(Self { store, whose, metadata, messages }))
    }

    /// Keeps the completion.
    pub(crate) async fn keep(self, completion: &ChatCompletion) -> Result<(), ApiError> {
        let mut body: Value = json!(completion);
        body["metadata"] = json!(self.metadata);
        let kept = Completion {
            id: completion.id.clone(),
            created_at: i64::try_from(completion.created).unwrap_or(i64::MAX),
            model: completion.model.clone(),
            body: to_json(&body)?,
            messages: self.messages,
        };
        let metadata: Vec<_> = self.metadata.into_iter().collect();
        Ok(self.store.add_completion(&self.whose, &kept, &metadata).await?)
    }
}

/// A stream that is kept.
pub(crate) struct KeptChat {
    wire: ChatWire,
    gathered: Gathered,
    usage: Usage,
    keep: Option<Keep>,
}

impl KeptChat {
    pub(crate) fn new(wire: ChatWire, keep: Keep) -> Self {
        let (gathered, usage) = (Gathered::default(), Usage::default());
        Self { wire, gathered, usage, keep: Some(keep) }
    }
}

impl Wire for KeptChat {
    type Chunk = ChatChunk;

    fn chunks(&mut self, output: Output) -> Vec<ChatChunk> {
        if let Output::Usage(usage) = &output {
            self.usage = *usage;
        }
        let chunks = self.wire.chunks(output);
        chunks.iter().for_each(|chunk| self.gathered.push(chunk));
        chunks
    }

    fn seal(&mut self) -> Option<Sealing> {
        let keep = self.keep.take()?;
        let completion = std::mem::take(&mut self.gathered).completion(self.usage)?;
        Some(Box::pin(async move { keep.keep(&completion).await }))
    }
}
