//! Families of models, by the marks they were trained to write.

use super::tagged::Tags;

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
    /// `<|tool_call|>` and an array of objects: Granite 3.
    Granite,
    /// `functools` and an array of objects: Phi-4-mini.
    Functools,
    /// `<|START_ACTION|>` and an array of objects with `tool_name` and `parameters`, or the same
    /// after `Action:`: Command R.
    Command,
    /// `<|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}`: Kimi K2.
    Kimi,
    /// `[name(key=value)]` from the start of the answer: Llama 3.2 and 4, where they are told so.
    Pythonic,
    /// The same between `<|tool_call_start|>` and its end: LFM2.
    Lfm,
    /// `<function=NAME><parameter=KEY>VALUE</parameter></function>`: Qwen3-Coder, Qwen3.5.
    QwenXml,
    /// The same, with thoughts in `<seed:think>`: Seed-OSS.
    Seed,
    /// `<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>`: MiniMax M2.
    MiniMax,
    /// `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`: GLM 4.5 on.
    Glm,
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
    /// A name, up to the mark that ends it, and arguments.
    KimiCall,
    /// A list of Python's calls.
    Python,
    /// A call between tags.
    Tagged,
    /// The same, after a tag around it.
    Wrapped,
    /// Nothing after a call, and elsewhere text.
    Fence,
}

impl Begins {
    pub(super) fn is_call(self) -> bool {
        matches!(
            self,
            Self::Object
                | Self::Calls
                | Self::DeepSeekCall
                | Self::KimiCall
                | Self::Python
                | Self::Tagged
                | Self::Wrapped
        )
    }
}

const XML: Tags = Tags {
    begin: "<function=",
    name_ends: &[">"],
    key: "<parameter=",
    key_end: ">",
    value: None,
    value_end: "</parameter>",
    call_end: "</function>",
};
const MINIMAX: Tags = Tags {
    begin: "<invoke name=\"",
    name_ends: &["\">"],
    key: "<parameter name=\"",
    key_end: "\">",
    value: None,
    value_end: "</parameter>",
    call_end: "</invoke>",
};
const GLM: Tags = Tags {
    begin: "<tool_call>",
    name_ends: &["\n", "<arg_key>", "</tool_call>"],
    key: "<arg_key>",
    key_end: "</arg_key>",
    value: Some("<arg_value>"),
    value_end: "</arg_value>",
    call_end: "</tool_call>",
};

impl Family {
    /// The family of the model that has this chat template.
    pub fn of_template(template: &str) -> Self {
        let signs = [
            ("<|channel|>", Self::Harmony),
            ("[TOOL_CALLS]", Self::Mistral),
            ("<｜tool▁call", Self::DeepSeek),
            ("<|tool_call_begin|>", Self::Kimi),
            ("<|START_ACTION|>", Self::Command),
            (r"Action:\' followed by a json", Self::Command),
            ("functools[", Self::Functools),
            ("<|tool_call_start|>", Self::Lfm),
            ("<|tool_list_start|>", Self::Lfm),
            ("<|tool_call|>", Self::Granite),
            ("<seed:tool_call>", Self::Seed),
            ("<minimax:tool_call>", Self::MiniMax),
            ("<arg_key>", Self::Glm),
            ("<function=", Self::QwenXml),
            ("[func_name1(", Self::Pythonic),
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
            "granite" => Some(Self::Granite),
            "phi4_mini_json" => Some(Self::Functools),
            "command" | "cohere" => Some(Self::Command),
            "kimi" | "kimi_k2" => Some(Self::Kimi),
            "pythonic" | "llama4_pythonic" => Some(Self::Pythonic),
            "lfm2" => Some(Self::Lfm),
            "qwen3_coder" | "qwen3_xml" => Some(Self::QwenXml),
            "seed_oss" => Some(Self::Seed),
            "minimax_m2" => Some(Self::MiniMax),
            "glm45" | "glm47" => Some(Self::Glm),
            _ => None,
        }
    }

    /// Whether the marks are special tokens, which must then be shown to be seen.
    pub fn needs_special_tokens(self) -> bool {
        let marks_are_special = [
            Self::Mistral,
            Self::DeepSeek,
            Self::Harmony,
            Self::Granite,
            Self::Command,
            Self::Kimi,
            Self::Lfm,
            Self::MiniMax,
        ];
        marks_are_special.contains(&self)
    }

    /// Whether special tokens part any answer, with tools or without.
    pub fn is_parted_by_special_tokens(self) -> bool {
        matches!(self, Self::Harmony | Self::Command | Self::Mistral)
    }

    /// How a call stands between tags, if it does.
    pub(super) fn tags(self) -> Option<&'static Tags> {
        match self {
            Self::QwenXml | Self::Seed => Some(&XML),
            Self::MiniMax => Some(&MINIMAX),
            Self::Glm => Some(&GLM),
            _ => None,
        }
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
            Self::Granite => {
                &[THINK, ("<|tool_call|>", Begins::Calls), ("<tool_call>", Begins::Calls)]
            }
            Self::Functools => &[("functools", Begins::Calls)],
            Self::Command => &[
                ("<|START_THINKING|>", Begins::Reasoning),
                ("<|START_ACTION|>", Begins::Calls),
                ("Action: ```json", Begins::Calls),
                ("Action:\n```json", Begins::Calls),
                ("```", Begins::Fence),
                ("<|END_ACTION|>", Begins::Nothing),
                ("<|START_RESPONSE|>", Begins::Nothing),
                ("<|END_RESPONSE|>", Begins::Nothing),
            ],
            Self::Kimi => &[
                THINK,
                ("<|tool_calls_section_begin|>", Begins::Nothing),
                ("<|tool_call_begin|>", Begins::KimiCall),
                ("<|tool_call_end|>", Begins::Nothing),
                ("<|tool_calls_section_end|>", Begins::Nothing),
            ],
            Self::Pythonic => {
                &[("<|python_start|>", Begins::Nothing), ("<|python_end|>", Begins::Nothing)]
            }
            Self::Lfm => &[
                THINK,
                ("<|tool_call_start|>", Begins::Python),
                ("<|tool_call_end|>", Begins::Nothing),
            ],
            Self::QwenXml | Self::Seed | Self::MiniMax | Self::Glm => self.tag_marks(),
        }
    }

    /// The same for calls between tags.
    fn tag_marks(self) -> &'static [(&'static str, Begins)] {
        match self {
            Self::QwenXml => &[
                ("<think>", Begins::Reasoning),
                ("<tool_call>", Begins::Wrapped),
                ("<function=", Begins::Tagged),
                ("</tool_call>", Begins::Fence),
            ],
            Self::Seed => &[
                ("<seed:think>", Begins::Reasoning),
                ("<seed:tool_call>", Begins::Wrapped),
                ("<function=", Begins::Tagged),
                ("</seed:tool_call>", Begins::Fence),
            ],
            Self::MiniMax => &[
                ("<think>", Begins::Reasoning),
                ("<minimax:tool_call>", Begins::Wrapped),
                ("<invoke name=\"", Begins::Tagged),
                ("</minimax:tool_call>", Begins::Fence),
            ],
            Self::Glm => &[("<think>", Begins::Reasoning), ("<tool_call>", Begins::Tagged)],
            _ => &[],
        }
    }

    /// What ends a thought.
    pub(super) fn reasoning_end(self) -> &'static str {
        match self {
            Self::Mistral => "[/THINK]",
            Self::Harmony => "<|end|>",
            Self::Command => "<|END_THINKING|>",
            Self::Seed => "</seed:think>",
            _ => "</think>",
        }
    }
}
