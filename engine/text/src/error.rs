//! What can go wrong between text and tokens. Invariant: each error names the field, the token or
//! the number at fault, and never quotes a prompt.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file or metadata field of the tokenizer is missing, malformed or contradicts another.
    #[error("tokenizer field `{field}`: {problem}")]
    Field {
        /// The file or metadata key.
        field: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The tokenizer has ids for which the model has no embedding row.
    #[error(
        "the tokenizer has ids up to {tokenizer}, but the model's embedding has {model} rows: \
         the tokenizer belongs to another model"
    )]
    VocabTooLarge {
        /// Largest token id plus one.
        tokenizer: usize,
        /// Rows of the model's embedding.
        model: usize,
    },
    /// A text is longer than the tokenizer takes.
    #[error("the text has {len} bytes, more than the {max} that are tokenized at once")]
    TextTooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A chat template made a longer text than the tokenizer takes.
    #[error("the chat is more than {max} bytes of text, which are not tokenized at once")]
    RenderedTooLong {
        /// Bytes allowed.
        max: usize,
    },
    /// A text has an unbroken run that no tokenizer can split in bounded work.
    #[error(
        "the text has more than {max} characters in a row without a break between whitespace, \
         letters or digits, and other characters: break it up"
    )]
    RunTooLong {
        /// Bytes of the whole text.
        len: usize,
        /// Characters allowed.
        max: usize,
    },
    /// The tokenizer refused a text.
    #[error("the tokenizer failed: {0}")]
    Encode(String),
    /// The tokenizer's file has no form for two texts.
    #[error("the model's tokenizer does not say how two texts are put together")]
    NoPairs,
    /// The model has no chat template.
    #[error("the model has no chat template: use the completions API")]
    NoChatTemplate,
    /// A chat template does not compile, raised an error, or ran over a limit.
    #[error("chat template: {0}")]
    Template(String),
}

impl TextError {
    pub(crate) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), problem: problem.into() }
    }
}
