//! From Anthropic's request to a chat.

use serde_json::{Map, Value, json};
use server_api::{
    Blocks, ChatMessage, ChatRequest, Content, ContentPart, GenerationOptions, ImageUrl,
    InputBlock, InputMessage, InputRole, JsonSchemaFormat, MessagesRequest, MessagesTool,
    MessagesToolChoice, OneOrMany, OutputFormat, ResponseFormat, Role, Thinking,
};

use super::names::Names;
use crate::ApiError;
use crate::json::Generate;

/// Anthropic's.
const MIN_BUDGET: i64 = 1024;

/// The chat that a request asks for, and what its fields are called in the request.
pub(crate) fn to_chat(
    request: MessagesRequest,
) -> Result<(Generate<ChatRequest>, Names), ApiError> {
    let max_tokens = request.max_tokens.ok_or_else(|| ApiError::missing("max_tokens"))?;
    if request.output_format.is_some() {
        let message = "'output_format' is not supported by this server. Use \
                       'output_config.format'.";
        return Err(ApiError::unsupported("output_format", message));
    }
    // It goes on with what the assistant has begun.
    let continues = request.messages.last().is_some_and(|last| last.role == InputRole::Assistant);
    let (mut messages, mut names) = (Vec::new(), Names::default());
    if let Some(system) = request.system {
        messages.push(message(Role::System, joined_text(&system, "system")?));
        names.push("system");
    }
    for (idx, input) in request.messages.into_iter().enumerate() {
        add(&mut messages, &mut names, input, idx)?;
    }
    let (tool_choice, parallel_tool_calls) = tool_choice(request.tool_choice)?;
    let thinks = thinks(request.thinking.as_ref())?;
    let kwargs = Map::from_iter([("enable_thinking".to_owned(), thinks.into())]);
    let format = request.output_config.and_then(|config| config.format);
    let tools = request.tools.map(|tools| tools.into_iter().enumerate().map(tool).collect());
    let chat = Generate {
        request: ChatRequest {
            messages,
            logprobs: None,
            top_logprobs: None,
            tools: tools.transpose()?,
            tool_choice,
            parallel_tool_calls,
            modalities: None,
            add_generation_prompt: continues.then_some(false),
            continue_final_message: continues.then_some(true),
            chat_template_kwargs: Some(kwargs),
        },
        options: Box::new(GenerationOptions {
            model: request.model,
            stream: request.stream,
            max_tokens: Some(max_tokens),
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            stop: request.stop_sequences.map(OneOrMany),
            response_format: format.map(response_format),
            timeout: request.timeout,
            service_tier: request.service_tier,
            ..GenerationOptions::default()
        }),
        unsupported: Box::default(),
    };
    Ok((chat, names))
}

/// Models that can do both think only if they are asked to.
fn thinks(thinking: Option<&Thinking>) -> Result<bool, ApiError> {
    match thinking.map(|thinking| thinking.kind.as_str()) {
        Some("enabled" | "adaptive") => Ok(true),
        None | Some("disabled") => Ok(false),
        Some(_) => {
            let message = "'thinking.type' must be 'enabled', 'adaptive' or 'disabled'.";
            Err(ApiError::invalid(Some("thinking.type"), message))
        }
    }
}

/// Anthropic's bounds of how much is thought; nothing is cut by it here.
pub(crate) fn check_budget(
    thinking: Option<&Thinking>,
    max_tokens: Option<i64>,
) -> Result<(), ApiError> {
    let thinking = thinking.filter(|thinking| thinking.kind == "enabled");
    let Some(budget) = thinking.and_then(|thinking| thinking.budget_tokens) else { return Ok(()) };
    if budget >= MIN_BUDGET && max_tokens.is_none_or(|max_tokens| budget < max_tokens) {
        return Ok(());
    }
    let message = "'thinking.budget_tokens' must be at least 1,024, and below 'max_tokens'.";
    Err(ApiError::invalid(Some("thinking.budget_tokens"), message))
}

fn response_format(format: OutputFormat) -> ResponseFormat {
    let OutputFormat { kind, schema } = format;
    let named = JsonSchemaFormat { name: None, description: None, schema, strict: Some(true) };
    ResponseFormat { kind, json_schema: Some(named) }
}

fn message(role: Role, text: String) -> ChatMessage {
    ChatMessage {
        role,
        content: Some(Content::Text(text)),
        name: None,
        tool_calls: None,
        tool_call_id: None,
        reasoning_content: None,
    }
}

/// Adds a message, and before it the results of tools that it holds.
fn add(
    messages: &mut Vec<ChatMessage>,
    names: &mut Names,
    input: InputMessage,
    idx: usize,
) -> Result<(), ApiError> {
    let (mut said, mut calls, mut thought) = (Vec::new(), Vec::new(), String::new());
    let mut fields = Vec::new();
    let num_before = messages.len();
    for (block_idx, block) in input.content.0.into_iter().enumerate() {
        let path = format!("messages[{idx}].content[{block_idx}]");
        let missing = |field: &str| ApiError::missing(&format!("{path}.{field}"));
        match (block.kind.as_str(), input.role) {
            ("text", _) => {
                said.push(text_part(block.text.ok_or_else(|| missing("text"))?));
                fields.push(format!("{path}.text"));
            }
            ("image", InputRole::User) => {
                let (part, field) = image_part(block, &path)?;
                said.push(part);
                fields.push(field);
            }
            ("thinking", InputRole::Assistant) => thought += &block.thinking.unwrap_or_default(),
            ("redacted_thinking", InputRole::Assistant) => {}
            ("tool_use", InputRole::Assistant) => {
                let id = block.id.ok_or_else(|| missing("id"))?;
                let name = block.name.ok_or_else(|| missing("name"))?;
                let arguments = block.input.unwrap_or_else(|| json!({})).to_string();
                calls.push(json!({"id": id, "type": "function",
                    "function": {"name": name, "arguments": arguments}}));
            }
            ("tool_result", InputRole::User) => {
                let id = block.tool_use_id.ok_or_else(|| missing("tool_use_id"))?;
                let text = joined_text(&block.content.unwrap_or_default(), &path)?;
                let result = message(Role::Tool, text);
                messages.push(ChatMessage { tool_call_id: Some(id), ..result });
                names.push(&path);
            }
            (kind, _) => {
                let kind: String = kind.chars().take(64).collect();
                let message = format!("Content of type '{kind}' is not supported here: send text.");
                return Err(ApiError::unsupported(&format!("{path}.type"), message));
            }
        }
    }
    let only_results = said.is_empty() && messages.len() > num_before;
    if !only_results {
        let role = match input.role {
            InputRole::User => Role::User,
            InputRole::Assistant => Role::Assistant,
        };
        messages.push(ChatMessage {
            tool_calls: Some(calls).filter(|calls| !calls.is_empty()),
            reasoning_content: Some(thought).filter(|thought| !thought.is_empty()),
            content: Some(content(said)),
            ..message(role, String::new())
        });
        names.push_parts(&format!("messages[{idx}]"), fields);
    }
    Ok(())
}

fn text_part(text: String) -> ContentPart {
    ContentPart { kind: "text".to_owned(), text: Some(text), ..ContentPart::default() }
}

/// An image in OpenAI's words, and the field that holds it.
fn image_part(block: InputBlock, path: &str) -> Result<(ContentPart, String), ApiError> {
    let missing = |field: &str| ApiError::missing(&format!("{path}.source{field}"));
    let source = block.source.ok_or_else(|| missing(""))?;
    let (url, field) = match source.kind.as_str() {
        "base64" => {
            let media_type = source.media_type.ok_or_else(|| missing(".media_type"))?;
            let data = source.data.ok_or_else(|| missing(".data"))?;
            (format!("data:{media_type};base64,{data}"), "data")
        }
        "url" => (source.url.ok_or_else(|| missing(".url"))?, "url"),
        _ => {
            let message = "Images must be of type 'base64' or 'url'.";
            return Err(ApiError::unsupported(&format!("{path}.source.type"), message));
        }
    };
    let image_url = Some(ImageUrl { url, detail: None });
    let part = ContentPart { kind: "image_url".to_owned(), image_url, ..ContentPart::default() };
    Ok((part, format!("{path}.source.{field}")))
}

/// Texts alone are one text.
fn content(parts: Vec<ContentPart>) -> Content {
    if parts.iter().any(|part| part.text.is_none()) {
        return Content::Parts(parts);
    }
    let texts: Vec<String> = parts.into_iter().filter_map(|part| part.text).collect();
    Content::Text(texts.join("\n"))
}

/// The texts of blocks that hold nothing else.
fn joined_text(Blocks(blocks): &Blocks, path: &str) -> Result<String, ApiError> {
    let text = |block: &InputBlock| match (block.kind.as_str(), &block.text) {
        ("text", Some(text)) => Ok(text.clone()),
        _ => {
            let message = format!("Only text is supported in '{path}'.");
            Err(ApiError::unsupported(path, message))
        }
    };
    Ok(blocks.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

fn tool((idx, tool): (usize, MessagesTool)) -> Result<Value, ApiError> {
    if tool.kind.as_deref().is_some_and(|kind| kind != "custom") {
        let message = "Tools that run on the server are not supported.";
        return Err(ApiError::unsupported(&format!("tools[{idx}].type"), message));
    }
    let mut function = json!({"name": tool.name});
    if let Some(description) = tool.description {
        function["description"] = description.into();
    }
    if let Some(schema) = tool.input_schema {
        function["parameters"] = schema;
    }
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    Ok(json!({"type": "function", "function": function}))
}

fn tool_choice(
    choice: Option<MessagesToolChoice>,
) -> Result<(Option<Value>, Option<bool>), ApiError> {
    let Some(choice) = choice else { return Ok((None, None)) };
    let mapped = match choice.kind.as_str() {
        "auto" => json!("auto"),
        "any" => json!("required"),
        "none" => json!("none"),
        "tool" => {
            let name = choice.name.ok_or_else(|| ApiError::missing("tool_choice.name"))?;
            json!({"type": "function", "function": {"name": name}})
        }
        _ => {
            let message = "'tool_choice.type' must be 'auto', 'any', 'tool' or 'none'.";
            return Err(ApiError::invalid(Some("tool_choice.type"), message));
        }
    };
    Ok((Some(mapped), choice.disable_parallel_tool_use.map(|disabled| !disabled)))
}
