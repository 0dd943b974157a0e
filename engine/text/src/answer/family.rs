//! Families of models, by the marks they were trained to write.

/// How a model writes thoughts and calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Family {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen, SmolLM and many others.
    #[default]
    Hermes,
    /// The object alone, from the start of the answer, with `parameters` (or `arguments`): Llama 3
    /// and what was trained on no form of its own. Several are parted by `;`.
    Json,
    /// `[TOOL_CALLS]` and an array of objects, or each call's name, `[ARGS]` and its arguments.
    Mistral,
    /// `<｜tool▁call▁begin｜>` and so on.
    DeepSeek,
    /// Channels, as gpt-oss writes them.
    Harmony,
}

/// What a mark begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// Nothing; it is only left out.
    Nothing,
    Reasoning,
    /// One object.
    Object,
    /// An array of objects, or a name and its arguments.
    Calls,
    /// A name, up to the mark that ends it, and arguments.
    DeepSeekCall,
    /// The header of a channel.
    Channel,
    /// What comes before the next channel.
    Turn,
}

impl Family {
    /// The family of the model that has this chat template.
    pub fn of_template(template: &str) -> Self {
        let signs = [
            ("<|channel|>", Self::Harmony),
            ("[TOOL_CALLS]", Self::Mistral),
            ("<｜tool▁call", Self::DeepSeek),
            ("<tool_call>", Self::Hermes),
            ("<|python_tag|>", Self::Json),
            ("\"parameters\": ", Self::Json),
        ];
        let sign = signs.into_iter().find(|(sign, _)| template.contains(sign));
        sign.map_or(Self::Hermes, |(_, family)| family)
    }

    /// The family of this name, as vLLM's `--tool-call-parser` has them.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hermes" | "qwen" => Some(Self::Hermes),
            "json" | "llama3_json" => Some(Self::Json),
            "mistral" => Some(Self::Mistral),
            "deepseek" | "deepseek_v3" | "deepseek_v31" => Some(Self::DeepSeek),
            "harmony" | "openai" => Some(Self::Harmony),
            _ => None,
        }
    }

    /// Whether the marks are special tokens, which must then be shown to be seen.
    pub fn needs_special_tokens(self) -> bool {
        matches!(self, Self::Mistral | Self::DeepSeek | Self::Harmony)
    }

    /// The marks in what is said, and what they begin.
    pub(super) fn marks(self) -> &'static [(&'static str, Begins)] {
        const THINK: (&str, Begins) = ("<think>", Begins::Reasoning);
        match self {
            Self::Hermes => {
                &[THINK, ("<tool_call>", Begins::Object), ("</tool_call>", Begins::Nothing)]
            }
            Self::Json => &[THINK, ("<|python_tag|>", Begins::Object)],
            Self::Mistral => &[("[THINK]", Begins::Reasoning), ("[TOOL_CALLS]", Begins::Calls)],
            Self::DeepSeek => &[
                THINK,
                ("<｜tool▁calls▁begin｜>", Begins::Nothing),
                ("<｜tool▁calls▁end｜>", Begins::Nothing),
                ("<｜tool▁call▁begin｜>", Begins::DeepSeekCall),
                ("<｜tool▁call▁end｜>", Begins::Nothing),
            ],
            Self::Harmony => &[
                ("<|channel|>", Begins::Channel),
                ("<|start|>", Begins::Turn),
                ("<|end|>", Begins::Nothing),
                ("<|call|>", Begins::Nothing),
                ("<|return|>", Begins::Nothing),
            ],
        }
    }

    /// What ends a thought.
    pub(super) fn reasoning_end(self) -> &'static str {
        match self {
            Self::Mistral => "[/THINK]",
            Self::Harmony => "<|end|>",
            Self::Hermes | Self::Json | Self::DeepSeek => "</think>",
        }
    }
}
