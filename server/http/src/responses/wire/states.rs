//! The states of a response, and the events that tell of them.

use serde_json::{Value, json};
use server_api::{OutputItem, ResponseError};

use super::ResponsesWire;
use crate::ApiError;
use crate::responses::output::shown;

impl ResponsesWire {
    /// An event that holds the response.
    pub(super) fn state(&mut self, kind: &str) -> Value {
        let response = shown(&self.response);
        self.event(json!({"type": kind, "response": response}))
    }

    /// The first events of a response that waits.
    pub(in crate::responses) fn queued(&mut self) -> Vec<Value> {
        ["response.created", "response.queued"].map(|kind| self.state(kind)).into()
    }

    /// The event of its being worked on.
    pub(in crate::responses) fn in_progress(&mut self) -> Value {
        self.response.status = "in_progress".to_owned();
        self.state("response.in_progress")
    }

    pub(in crate::responses) fn clear_output(&mut self) {
        self.response.output.clear();
    }

    /// The last event of a response that was cancelled, of which nothing is kept but that it was
    /// asked for. The last `num_unsent` events did not go out.
    pub(in crate::responses) fn cancelled(&mut self, num_unsent: usize) -> Value {
        self.num_events = self.num_events.saturating_sub(num_unsent as u64);
        self.clear_output();
        self.response.status = "cancelled".to_owned();
        (self.response.completed_at, self.response.incomplete_details) = (None, None);
        (self.response.usage, self.response.error) = (None, None);
        self.state("response.cancelled")
    }

    /// What is open stays as it is.
    fn leave_item(&mut self) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        if let Some(
            OutputItem::Message { status, .. }
            | OutputItem::Reasoning { status, .. }
            | OutputItem::FunctionCall { status, .. },
        ) = self.response.output.last_mut()
        {
            *status = "incomplete".to_owned();
        }
    }

    /// The response has failed.
    pub(in crate::responses) fn fail(&mut self, error: &ApiError) {
        // Time that is over and a cancel are no prompt's fault.
        let is_prompts = error.status().is_client_error() && !error.is_final();
        let code = if is_prompts { "invalid_prompt" } else { "server_error" };
        let message = error.body().error.message;
        self.leave_item();
        self.response.status = "failed".to_owned();
        (self.response.completed_at, self.response.incomplete_details) = (None, None);
        self.response.error = Some(ResponseError { code: code.to_owned(), message });
    }
}
