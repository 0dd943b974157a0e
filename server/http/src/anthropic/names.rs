//! What the chat's fields are called in Anthropic's request.

use crate::ApiError;
use crate::names::{indexed, translated};
use crate::tools::Unpaired;

const NAMES: [(&str, &str); 4] = [
    ("stop", "stop_sequences"),
    ("response_format.json_schema", "output_config.format"),
    ("response_format", "output_config.format"),
    ("tool_choice.function", "tool_choice"),
];

/// Where each message of the chat comes from: one of the request may be several.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<Origin>);

#[derive(Debug)]
struct Origin {
    place: String,
    /// The fields that its parts come from.
    parts: Vec<String>,
}

impl Names {
    /// The chat's next message comes from `place`.
    pub(super) fn push(&mut self, place: &str) {
        self.push_parts(place, Vec::new());
    }

    /// The same, and its parts from these fields.
    pub(super) fn push_parts(&mut self, place: &str, parts: Vec<String>) {
        self.0.push(Origin { place: place.to_owned(), parts });
    }

    /// Where the chat's message comes from.
    pub(crate) fn place(&self, message: usize) -> &str {
        self.0.get(message).map_or("messages", |origin| &origin.place)
    }

    /// The chat's error in the request's words.
    pub(crate) fn told(&self, error: ApiError) -> ApiError {
        match error.unpaired() {
            Some(unpaired) => self.told_unpaired(unpaired),
            None => error.in_words(|path| self.name(path)),
        }
    }

    /// Calls without results and results without calls, as Anthropic tells of them.
    fn told_unpaired(&self, unpaired: &Unpaired) -> ApiError {
        let ids = unpaired.ids();
        let (field, message) = match unpaired {
            Unpaired::Calls { message, .. } => {
                let place = self.place(*message);
                let message = format!(
                    "'{place}': `tool_use` ids were found without `tool_result` blocks immediately \
                     after: {ids}. Each `tool_use` block must have a corresponding `tool_result` \
                     block in the next message."
                );
                (format!("{place}.content"), message)
            }
            Unpaired::Result { message, .. } => {
                let field = format!("{}.tool_use_id", self.place(*message));
                let message = format!(
                    "'{field}': unexpected `tool_use_id` found in `tool_result` blocks: {ids}. \
                     Each `tool_result` block must have a corresponding `tool_use` block in the \
                     previous message."
                );
                (field, message)
            }
        };
        ApiError::invalid(Some(&field), message)
    }

    fn name(&self, path: &str) -> Option<String> {
        if let Some((idx, rest)) = indexed(path, "messages") {
            let Origin { place, parts } = self.0.get(idx)?;
            if let Some((part, _)) = indexed(rest, ".content")
                && let Some(field) = parts.get(part)
            {
                return Some(field.clone());
            }
            return Some(match rest {
                ".tool_call_id" => format!("{place}.tool_use_id"),
                _ if place == "system" => place.clone(),
                // Thoughts and calls are blocks like any.
                _ => format!("{place}.content"),
            });
        }
        if let Some((idx, rest)) = indexed(path, "tools") {
            let field = match rest.strip_prefix(".function").unwrap_or(rest) {
                ".parameters" => ".input_schema",
                field => field,
            };
            return Some(format!("tools[{idx}]{field}"));
        }
        translated(path, &NAMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_name_that_the_client_gave_it() {
        let mut names = Names::default();
        for place in ["system", "messages[0]", "messages[1].content[2]"] {
            names.push(place);
        }
        let parts = ["messages[2].content[1]", "messages[2].content[3].source.data"];
        names.push_parts("messages[2]", parts.map(str::to_owned).into());
        for (path, expected) in [
            ("messages[0].content", Some("system")),
            ("messages[1].content", Some("messages[0].content")),
            ("messages[1].tool_calls", Some("messages[0].content")),
            ("messages[2].tool_call_id", Some("messages[1].content[2].tool_use_id")),
            ("messages[3].content", Some("messages[2].content")),
            ("messages[3].content[1].image_url.url", Some("messages[2].content[3].source.data")),
            ("messages[3].content[0].type", Some("messages[2].content[1]")),
            ("messages[3].content[2]", Some("messages[2].content")),
            ("messages[4].content", None),
            ("messages", None),
            ("tools[4].function.name", Some("tools[4].name")),
            ("tools[0].function.parameters", Some("tools[0].input_schema")),
            ("tools[0]", Some("tools[0]")),
            ("tool_choice.function.name", Some("tool_choice.name")),
            ("response_format.json_schema.schema", Some("output_config.format.schema")),
            ("response_format.type", Some("output_config.format.type")),
            ("stop", Some("stop_sequences")),
            ("max_tokens", None),
        ] {
            assert_eq!(names.name(path).as_deref(), expected, "{path}");
        }
    }
}
