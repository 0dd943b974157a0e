//! From a request for a response to a chat, and to the response before anything is known of it.

use serde_json::{Map, Value, json};
use server_api::{
    ChatMessage, ChatRequest, ConversationId, GenerationOptions, JsonSchemaFormat, Response,
    ResponseFormat, ResponsesRequest, TextFormat, UnsupportedOptions,
};

use crate::caller::{NOTHING_STORED, STORAGE_OFF};
use crate::json::Generate;
use crate::storage::{self, unix_time};
use crate::wire::new_id;
use crate::{ApiError, Caller, refused, ticket};

/// What OpenAI's clients may ask to see more of; only the log-probabilities exist here.
const LOGPROBS: &str = "message.output_text.logprobs";
const INCLUDABLE: [&str; 9] = [
    LOGPROBS,
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
    "program_call.outputs",
];

/// Checks what the chat does not know of.
pub(super) fn check(request: &ResponsesRequest) -> Result<(), ApiError> {
    if request.prompt.is_some() {
        let message = "'prompt' is not supported: send 'input' and 'instructions'.";
        return Err(ApiError::unsupported("prompt", message));
    }
    let moderation = request.moderation.clone();
    refused::refuse(&UnsupportedOptions { moderation, ..UnsupportedOptions::default() })?;
    if request.previous_response_id.is_some() && request.conversation.is_some() {
        let message = "'previous_response_id' and 'conversation' exclude each other.";
        return Err(ApiError::invalid(Some("conversation"), message));
    }
    if request.conversation.is_some() && request.store == Some(false) {
        let message = "'conversation' needs 'store': the response becomes part of it.";
        return Err(ApiError::invalid(Some("conversation"), message));
    }
    if request.background == Some(true) && request.store == Some(false) {
        let message = "'background' needs 'store': there is nothing to retrieve otherwise.";
        return Err(ApiError::invalid(Some("background"), message));
    }
    one_of("truncation", request.truncation.as_deref(), &["auto", "disabled"])?;
    for included in request.include.iter().flatten() {
        one_of("include", Some(included), &INCLUDABLE)?;
    }
    request.metadata.as_ref().map_or(Ok(()), storage::check_metadata)
}

/// Refuses what is nothing without being stored, of a project that stores nothing. `store` alone
/// counts as false there, as at OpenAI.
pub(super) fn check_stored(request: &ResponsesRequest, caller: &Caller) -> Result<(), ApiError> {
    if caller.stores() {
        return Ok(());
    }
    let refuse = |param: &str, why: &str| {
        let message = format!("'{param}' needs 'store': {why}. {NOTHING_STORED}");
        Err(ApiError::invalid(Some(param), message).code(STORAGE_OFF))
    };
    if request.conversation.is_some() {
        return refuse("conversation", "the response becomes part of it");
    }
    if request.background == Some(true) {
        return refuse("background", "there is nothing to retrieve otherwise");
    }
    Ok(())
}

fn one_of(param: &str, value: Option<&str>, known: &[&str]) -> Result<(), ApiError> {
    match value {
        Some(value) if !known.contains(&value) => {
            let message =
                format!("Invalid value for '{param}': it is one of {}.", known.join(", "));
            Err(ApiError::invalid(Some(param), message))
        }
        _ => Ok(()),
    }
}

/// The chat that a request asks for.
pub(super) fn to_chat(
    request: &ResponsesRequest,
    messages: Vec<ChatMessage>,
) -> Result<Generate<ChatRequest>, ApiError> {
    let (tools, tool_choice) = tools(request)?;
    let includes = |what: &str| request.include.iter().flatten().any(|included| included == what);
    let logprobs = includes(LOGPROBS) || request.top_logprobs.is_some_and(|num| num > 0);
    let format = request.text.as_ref().and_then(|text| text.format.clone());
    Ok(Generate {
        request: ChatRequest {
            messages,
            logprobs: Some(logprobs),
            top_logprobs: request.top_logprobs,
            tools,
            tool_choice,
            parallel_tool_calls: request.parallel_tool_calls,
            modalities: None,
            add_generation_prompt: None,
            continue_final_message: None,
            chat_template_kwargs: None,
        },
        options: Box::new(GenerationOptions {
            model: request.model.clone(),
            stream: request.stream,
            max_completion_tokens: request.max_output_tokens,
            temperature: request.temperature,
            top_p: request.top_p,
            response_format: format.map(response_format),
            service_tier: request.service_tier.clone(),
            timeout: request.timeout,
            reasoning_effort: request.reasoning.as_ref().and_then(|asked| asked.effort.clone()),
            verbosity: request.text.as_ref().and_then(|text| text.verbosity.clone()),
            ..GenerationOptions::default()
        }),
        unsupported: Box::default(),
    })
}

fn response_format(format: TextFormat) -> ResponseFormat {
    let TextFormat { kind, name, description, schema, strict } = format;
    let json_schema = Some(JsonSchemaFormat { name, description, schema, strict });
    ResponseFormat { kind, json_schema }
}

/// The functions of a chat, and which may or must be called.
fn tools(request: &ResponsesRequest) -> Result<(Option<Vec<Value>>, Option<Value>), ApiError> {
    let functions = request.tools.iter().flatten().enumerate().map(function);
    let functions: Vec<Value> = functions.collect::<Result<_, ApiError>>()?;
    let choice = match &request.tool_choice {
        Some(choice @ Value::Object(_)) => match choice["type"].as_str() {
            Some("function") => {
                let Some(name) = choice["name"].as_str() else {
                    return Err(ApiError::missing("tool_choice.name"));
                };
                Some(json!({"type": "function", "function": {"name": name}}))
            }
            Some("allowed_tools") => {
                let allowed = choice["tools"].as_array().map(|tools| {
                    let chats = |tool: &Value| json!({"function": {"name": tool["name"]}});
                    tools.iter().map(chats).collect::<Vec<_>>()
                });
                let allowed = json!({"mode": choice["mode"], "tools": allowed});
                Some(json!({"type": "allowed_tools", "allowed_tools": allowed}))
            }
            kind => {
                let kind: String = kind.unwrap_or_default().chars().take(64).collect();
                let message = format!("A 'tool_choice' of type '{kind}' is not supported.");
                return Err(ApiError::unsupported("tool_choice.type", message));
            }
        },
        choice => choice.clone(),
    };
    Ok((request.tools.is_some().then_some(functions), choice))
}

fn function((idx, tool): (usize, &Value)) -> Result<Value, ApiError> {
    match tool["type"].as_str() {
        Some("function") => {}
        Some(kind) => {
            let kind: String = kind.chars().take(64).collect();
            let message = format!("The tool '{kind}' is not supported: only functions are.");
            return Err(ApiError::unsupported(&format!("tools[{idx}].type"), message));
        }
        None => return Err(ApiError::missing(&format!("tools[{idx}].type"))),
    }
    if tool["name"].as_str().is_none() {
        return Err(ApiError::missing(&format!("tools[{idx}].name")));
    }
    let mut function = Map::new();
    for field in ["name", "description", "parameters", "strict"] {
        if let Some(value) = tool.get(field).filter(|value| !value.is_null()) {
            function.insert(field.to_owned(), value.clone());
        }
    }
    Ok(json!({"type": "function", "function": function}))
}

/// The response before anything is known of it.
pub(super) fn response(request: &ResponsesRequest, is_kept: bool) -> Response {
    let mut text = request.text.clone().unwrap_or_default();
    text.format.get_or_insert_with(plain_text);
    let id = new_id("resp");
    ticket::name_current(&id);
    Response {
        id,
        object: "response".to_owned(),
        created_at: unix_time().unsigned_abs(),
        status: "in_progress".to_owned(),
        background: request.background.unwrap_or(false),
        completed_at: None,
        error: None,
        incomplete_details: None,
        instructions: request.instructions.clone(),
        max_output_tokens: request.max_output_tokens,
        max_tool_calls: request.max_tool_calls,
        model: request.model.clone().unwrap_or_default(),
        output: Vec::new(),
        parallel_tool_calls: request.parallel_tool_calls.unwrap_or(true),
        previous_response_id: request.previous_response_id.clone(),
        conversation: request
            .conversation
            .as_ref()
            .map(|conversation| ConversationId { id: conversation.id.clone() }),
        prompt_cache_key: request.prompt_cache_key.clone(),
        reasoning: request.reasoning.clone().unwrap_or_default(),
        safety_identifier: request.safety_identifier.clone(),
        service_tier: match request.service_tier.as_deref() {
            Some("priority" | "fast") => "priority",
            Some("flex") => "flex",
            _ => "default",
        }
        .to_owned(),
        store: is_kept,
        temperature: request.temperature.unwrap_or(1.0),
        text,
        tool_choice: request.tool_choice.clone().unwrap_or_else(|| json!("auto")),
        tools: request.tools.clone().unwrap_or_default(),
        top_logprobs: request.top_logprobs.unwrap_or(0),
        top_p: request.top_p.unwrap_or(1.0),
        truncation: request.truncation.clone().unwrap_or_else(|| "disabled".to_owned()),
        usage: None,
        user: request.user.clone(),
        metadata: request.metadata.clone().unwrap_or_default(),
    }
}

fn plain_text() -> TextFormat {
    let kind = "text".to_owned();
    TextFormat { kind, name: None, description: None, schema: None, strict: None }
}
