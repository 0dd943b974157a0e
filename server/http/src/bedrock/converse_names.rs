//! What the fields of the chat, and those of Anthropic's request on the way to it, are called in
//! Converse's.

use server_api::{ConverseBlock, ConverseRequest, ConverseTool};

use crate::names::{indexed, translated};
use crate::tools::Unpaired;
use crate::{ApiError, anthropic};

const NAMES: [(&str, &str); 13] = [
    ("max_tokens", "inferenceConfig.maxTokens"),
    ("temperature", "inferenceConfig.temperature"),
    ("top_p", "inferenceConfig.topP"),
    ("stop_sequences", "inferenceConfig.stopSequences"),
    ("tools", "toolConfig.tools"),
    ("tool_choice", "toolConfig.toolChoice"),
    ("output_config.format", "outputConfig.textFormat"),
    ("thinking", "additionalModelRequestFields.thinking"),
    ("top_k", "additionalModelRequestFields.top_k"),
    ("min_p", "additionalModelRequestFields.min_p"),
    ("repetition_penalty", "additionalModelRequestFields.repetition_penalty"),
    ("presence_penalty", "additionalModelRequestFields.presence_penalty"),
    ("frequency_penalty", "additionalModelRequestFields.frequency_penalty"),
];

/// Where blocks and tools stand in the request: points of its cache are left out on the way.
#[derive(Debug)]
pub(super) struct Names {
    blocks: Vec<Vec<usize>>,
    tools: Vec<usize>,
    /// How to get from the chat's names to Anthropic's.
    of_messages: Option<anthropic::Names>,
}

impl Names {
    pub(super) fn of(request: &ConverseRequest) -> Self {
        let is_block = |block: &ConverseBlock| !matches!(block, ConverseBlock::CachePoint(_));
        let is_tool = |tool: &ConverseTool| !matches!(tool, ConverseTool::CachePoint(_));
        let tools = request.tool_config.iter().flat_map(|config| &config.tools);
        Self {
            blocks: request.messages.iter().map(|m| places(&m.content, is_block)).collect(),
            tools: places(tools, is_tool),
            of_messages: None,
        }
    }

    /// From now on errors are the chat's.
    pub(super) fn follow(&mut self, names: anthropic::Names) {
        self.of_messages = Some(names);
    }

    /// An error in the request's words.
    pub(super) fn told(&self, error: ApiError) -> ApiError {
        let error = match (&self.of_messages, error.unpaired()) {
            (Some(names), Some(unpaired)) => return self.told_unpaired(names, unpaired),
            (Some(names), None) => names.told(error),
            (None, _) => error,
        };
        error.in_words(|path| self.name(path))
    }

    /// Calls without results and results without calls, as AWS tells of them.
    fn told_unpaired(&self, names: &anthropic::Names, unpaired: &Unpaired) -> ApiError {
        let ids = unpaired.ids();
        let (field, message) = match unpaired {
            Unpaired::Calls { message, .. } => {
                let of_calls = indexed(names.place(*message), "messages").map_or(0, |(idx, _)| idx);
                let field = format!("messages[{}].content", of_calls + 1);
                let message = format!(
                    "Expected toolResult blocks at '{field}' for the following Ids: {ids}. Each \
                     toolUse block must have a toolResult block in the next message."
                );
                (field, message)
            }
            Unpaired::Result { message, .. } => {
                let field = format!("{}.tool_use_id", names.place(*message));
                let field = self.name(&field).unwrap_or(field);
                let message = format!(
                    "There are more toolResult blocks than toolUse blocks of the previous turn: \
                     '{field}' is the Id of none of those: {ids}."
                );
                (field, message)
            }
        };
        ApiError::invalid(Some(&field), message)
    }

    fn name(&self, path: &str) -> Option<String> {
        if let Some((idx, rest)) = indexed(path, "messages") {
            let (block, rest) = indexed(rest, ".content")?;
            let block = self.blocks.get(idx)?.get(block)?;
            let field = match rest {
                ".tool_use_id" => ".toolResult.toolUseId",
                ".content" => ".toolResult.content",
                ".source.data" => ".image.source.bytes",
                field => field,
            };
            return Some(format!("messages[{idx}].content[{block}]{field}"));
        }
        if let Some((idx, rest)) = indexed(path, "tools") {
            let idx = self.tools.get(idx)?;
            let field = match rest {
                ".name" => ".toolSpec.name",
                ".input_schema" => ".toolSpec.inputSchema.json",
                field => field,
            };
            return Some(format!("toolConfig.tools[{idx}]{field}"));
        }
        translated(path, &NAMES)
    }
}

/// The places of what is kept.
fn places<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    is_kept: impl Fn(&T) -> bool,
) -> Vec<usize> {
    let kept = all.into_iter().enumerate().filter(|(_, one)| is_kept(one));
    kept.map(|(place, _)| place).collect()
}
