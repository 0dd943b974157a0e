//! From a Converse request to a chat, by way of Anthropic's request, which has the same parts.

use serde_json::Value;
use server_api::{
    Blocks, ChatRequest, ConverseBlock, ConverseContent, ConverseImage, ConverseImageFormat,
    ConverseImageSource, ConverseMessage, ConverseOutputConfig, ConverseReasoning, ConverseRequest,
    ConverseServiceTier, ConverseTool, ConverseToolChoice, ConverseToolConfig, ImageSource,
    InputBlock, InputMessage, InputRole, MessagesRequest, MessagesTool, MessagesToolChoice,
    OutputConfig, OutputFormat,
};

use super::converse_names::Names;
use crate::chat::{self, Started};
use crate::json::Generate;
use crate::{ApiError, AppState, Caller, anthropic};

/// Submits the chat that a request asks for.
pub(super) async fn start(
    state: &AppState,
    caller: Caller,
    chat: (Generate<ChatRequest>, Names),
    num_bytes: usize,
) -> Result<Started, ApiError> {
    let (chat, names) = chat;
    let started = chat::start(state, caller, chat, num_bytes).await;
    started.map_err(|error| names.told(error))
}

/// The chat that a request asks for, and what its fields are called in the request.
pub(super) fn to_chat(
    request: ConverseRequest,
    model: String,
    stream: bool,
) -> Result<(Generate<ChatRequest>, Names), ApiError> {
    if request.guardrail_config.is_some() {
        let message = "There are no guardrails here: 'guardrailConfig' is not supported.";
        return Err(ApiError::unsupported("guardrailConfig", message));
    }
    request.messages.iter().enumerate().try_for_each(check)?;
    let mut names = Names::of(&request);
    let config = request.inference_config.unwrap_or_default();
    let more = request.additional_model_request_fields.unwrap_or_default();
    anthropic::check_budget(more.thinking.as_ref(), config.max_tokens)
        .map_err(|error| names.told(error))?;
    let messages = request
        .messages
        .into_iter()
        .map(|message| InputMessage { role: message.role, content: blocks(message.content) });
    let (tools, tool_choice) = request.tool_config.map(tools).transpose()?.unzip();
    let chat = anthropic::to_chat(MessagesRequest {
        model: Some(model),
        messages: messages.collect(),
        // Anthropic's must be there, Bedrock's need not.
        max_tokens: Some(config.max_tokens.unwrap_or(1)),
        system: request.system.map(blocks),
        stop_sequences: config.stop_sequences,
        stream: Some(stream),
        temperature: config.temperature,
        top_p: config.top_p,
        top_k: more.top_k,
        tools,
        tool_choice: tool_choice.flatten(),
        thinking: more.thinking,
        output_config: request.output_config.map(output_config).transpose()?,
        output_format: None,
        service_tier: request.service_tier.map(service_tier).transpose()?,
        timeout: None,
    });
    let (mut chat, of_messages) = chat.map_err(|error| names.told(error))?;
    names.follow(of_messages);
    chat.options.max_tokens = config.max_tokens;
    chat.options.min_p = more.min_p;
    chat.options.repetition_penalty = more.repetition_penalty;
    chat.options.presence_penalty = more.presence_penalty;
    chat.options.frequency_penalty = more.frequency_penalty;
    chat.options.seed = more.seed;
    Ok((chat, names))
}

/// Refuses what only the other side may say and what is not here, by its place in the request.
fn check((idx, message): (usize, &ConverseMessage)) -> Result<(), ApiError> {
    let path = format!("messages[{idx}].content");
    if message.content.is_empty() {
        return Err(ApiError::invalid(Some(&path), format!("'{path}' must not be empty.")));
    }
    for (idx, block) in message.content.iter().enumerate() {
        let (field, role) = match block {
            ConverseBlock::ToolUse(_) => ("toolUse", InputRole::Assistant),
            ConverseBlock::ReasoningContent(_) => ("reasoningContent", InputRole::Assistant),
            ConverseBlock::ToolResult(_) => ("toolResult", InputRole::User),
            ConverseBlock::Image(_) => ("image", InputRole::User),
            ConverseBlock::Text(_) | ConverseBlock::CachePoint(_) => continue,
        };
        if role != message.role {
            let path = format!("{path}[{idx}].{field}");
            let whose = if role == InputRole::User { "user" } else { "assistant" };
            let message = format!("'{path}' is only allowed in messages of the role '{whose}'.");
            return Err(ApiError::invalid(Some(&path), message));
        }
        if let ConverseBlock::Image(image) = block
            && let ConverseImageSource::S3Location(_) = image.source
        {
            let path = format!("{path}[{idx}].image.source.s3Location");
            let message = format!(
                "'{path}' is not supported: nothing is fetched from S3. Send the \
                                   image as 'bytes'."
            );
            return Err(ApiError::unsupported(&path, message));
        }
    }
    Ok(())
}

fn blocks(blocks: Vec<ConverseBlock>) -> Blocks {
    Blocks(blocks.into_iter().filter_map(block).collect())
}

fn block(block: ConverseBlock) -> Option<InputBlock> {
    let of = |kind: &str| InputBlock { kind: kind.to_owned(), ..InputBlock::default() };
    Some(match block {
        ConverseBlock::Text(text) => text_block(text),
        ConverseBlock::Image(image) => {
            InputBlock { source: Some(image_source(image)), ..of("image") }
        }
        ConverseBlock::ToolUse(call) => InputBlock {
            id: Some(call.tool_use_id),
            name: Some(call.name),
            input: Some(call.input),
            ..of("tool_use")
        },
        ConverseBlock::ToolResult(result) => InputBlock {
            tool_use_id: Some(result.tool_use_id),
            content: Some(Blocks(result.content.into_iter().map(result_block).collect())),
            ..of("tool_result")
        },
        ConverseBlock::ReasoningContent(ConverseReasoning::ReasoningText(thought)) => {
            InputBlock { thinking: Some(thought.text), ..of("thinking") }
        }
        ConverseBlock::ReasoningContent(ConverseReasoning::RedactedContent(_)) => {
            of("redacted_thinking")
        }
        ConverseBlock::CachePoint(_) => return None,
    })
}

/// An image in Anthropic's words. One in S3 was refused, as far as messages have any.
fn image_source(ConverseImage { format, source }: ConverseImage) -> ImageSource {
    let kind = "base64".to_owned();
    let ConverseImageSource::Bytes(data) = source else {
        return ImageSource { kind, ..ImageSource::default() };
    };
    let media_type = match format {
        ConverseImageFormat::Png => "image/png",
        ConverseImageFormat::Jpeg => "image/jpeg",
        ConverseImageFormat::Gif => "image/gif",
        ConverseImageFormat::Webp => "image/webp",
    };
    ImageSource { kind, media_type: Some(media_type.to_owned()), data: Some(data), url: None }
}

fn text_block(text: String) -> InputBlock {
    InputBlock { kind: "text".to_owned(), text: Some(text), ..InputBlock::default() }
}

fn result_block(content: ConverseContent) -> InputBlock {
    text_block(match content {
        ConverseContent::Text(text) => text,
        ConverseContent::Json(value) => value.to_string(),
    })
}

type ToolsAndChoice = (Vec<MessagesTool>, Option<MessagesToolChoice>);

fn tools(config: ConverseToolConfig) -> Result<ToolsAndChoice, ApiError> {
    let mut tools = Vec::new();
    for (idx, tool) in config.tools.into_iter().enumerate() {
        let ConverseTool::ToolSpec { name, description, input_schema, strict } = tool else {
            continue;
        };
        let ConverseContent::Json(schema) = input_schema else {
            let path = format!("toolConfig.tools[{idx}].toolSpec.inputSchema.json");
            return Err(ApiError::missing(&path));
        };
        let input_schema = Some(schema);
        tools.push(MessagesTool { kind: None, name, description, input_schema, strict });
    }
    let choice = config.tool_choice.map(|choice| {
        let (kind, name) = match choice {
            ConverseToolChoice::Auto(_) => ("auto", None),
            ConverseToolChoice::Any(_) => ("any", None),
            ConverseToolChoice::Tool { name } => ("tool", Some(name)),
        };
        MessagesToolChoice { kind: kind.to_owned(), name, disable_parallel_tool_use: None }
    });
    Ok((tools, choice))
}

/// AWS's tiers by OpenAI's names, which the chat knows. What is reserved with AWS is as any here.
fn service_tier(tier: ConverseServiceTier) -> Result<String, ApiError> {
    match tier.kind.as_str() {
        "default" | "flex" | "priority" => Ok(tier.kind),
        "reserved" => Ok("default".to_owned()),
        _ => {
            let message = "'serviceTier.type' must be 'default', 'flex', 'priority' or 'reserved'.";
            Err(ApiError::invalid(Some("serviceTier.type"), message))
        }
    }
}

/// Bedrock has the schema as a text.
fn output_config(config: ConverseOutputConfig) -> Result<OutputConfig, ApiError> {
    let Some(format) = config.text_format else { return Ok(OutputConfig { format: None }) };
    let path = "outputConfig.textFormat.type";
    match format.get("type") {
        Some(Value::String(kind)) if kind == "json_schema" => {}
        Some(Value::String(kind)) if kind == "text" => return Ok(OutputConfig { format: None }),
        None | Some(Value::Null) => return Err(ApiError::missing(path)),
        Some(_) => {
            let message = format!("'{path}' must be 'json_schema' or 'text'.");
            return Err(ApiError::invalid(Some(path), message));
        }
    }
    let path = "outputConfig.textFormat.structure.jsonSchema.schema";
    let schema = format.pointer("/structure/jsonSchema/schema").and_then(Value::as_str);
    let schema = schema.ok_or_else(|| ApiError::missing(path))?;
    let schema = serde_json::from_str(schema).map_err(|error| {
        ApiError::invalid(Some(path), format!("'{path}' is not JSON: {error}."))
    })?;
    let kind = "json_schema".to_owned();
    Ok(OutputConfig { format: Some(OutputFormat { kind, schema: Some(schema) }) })
}
