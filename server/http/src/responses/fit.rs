//! `truncation: auto`: what is too long for the model loses its beginning.
//!
//! Invariant: instructions and the last item stay, and no result stays without its call.

use std::collections::HashSet;

use serde_json::Value;
use server_api::ResponsesRequest;

use super::{messages, request};
use crate::{ApiError, AppState, chat};

/// Each takes away what is too much, as far as sizes in bytes tell.
const MAX_ROUNDS: usize = 8;

/// Drops items from the beginning until the rest fits; what cannot fit is left to be refused.
pub(super) async fn fit(
    state: &AppState,
    asked: &ResponsesRequest,
    items: &mut Vec<Value>,
    num_bytes: usize,
) -> Result<(), ApiError> {
    let model = state.model_or_only(asked.model.as_deref())?;
    let limit = model.handle.limits().max_sequence_len() as usize;
    let reserved = asked.max_output_tokens.and_then(|num| usize::try_from(num).ok()).unwrap_or(1);
    let limit = limit.saturating_sub(reserved.max(1));
    for _ in 0..MAX_ROUNDS {
        let messages = messages::of_items(asked.instructions.as_deref(), items);
        let chat = request::to_chat(asked, messages)?;
        let num_tokens = chat::count(state, chat, num_bytes).await?;
        if num_tokens <= limit || items.len() < 2 {
            break;
        }
        let excess = (num_tokens - limit) as f64 / num_tokens as f64;
        drop_first(items, excess);
    }
    Ok(())
}

/// Drops items that come to this share of all, at least one, and results whose calls are gone.
fn drop_first(items: &mut Vec<Value>, share: f64) {
    let sizes: Vec<usize> = items.iter().map(|item| item.to_string().len()).collect();
    let excess = (sizes.iter().sum::<usize>() as f64 * share) as usize;
    let mut dropped = 0;
    let mut num = 0;
    while num == 0 || (dropped < excess && num + 1 < items.len()) {
        dropped += sizes[num];
        num += 1;
    }
    items.drain(..num);
    let calls = items.iter().filter(|item| item["type"] == "function_call");
    let calls: HashSet<String> = calls.map(|call| call["call_id"].to_string()).collect();
    items.retain(|item| {
        item["type"] != "function_call_output" || calls.contains(&item["call_id"].to_string())
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_goes_with_its_call_and_the_last_item_stays() {
        let call = json!({"type": "function_call", "call_id": "a"});
        let result = json!({"type": "function_call_output", "call_id": "a"});
        let said = json!({"type": "message", "role": "user"});
        let mut items = vec![said.clone(), call, result, said.clone()];
        drop_first(&mut items, 0.4);
        assert_eq!(items, std::slice::from_ref(&said));
        let mut items = vec![said.clone(), said.clone()];
        drop_first(&mut items, 1.0);
        assert_eq!(items, [said]);
    }
}
