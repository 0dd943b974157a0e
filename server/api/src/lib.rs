//! The wire types of the HTTP API: what a client sends and gets, as serde and OpenAPI.
//!
//! Invariant: types only. Nothing here checks a range, knows a model or answers a request; unknown
//! fields of a request are ignored, `null` means absent.

mod audio;
mod bedrock;
mod bedrock_blocks;
mod bedrock_models;
mod chat;
mod classify;
mod completion;
mod embeddings;
mod error;
mod generation;
mod messages;
mod model;
mod one_or_many;
mod prompt;
mod request;
mod rerank;
mod response;
mod responses;
mod stored;
mod tei;
mod tokenize;
mod tools;

pub use audio::{
    AudioFormat, AudioUsage, Granularity, Transcription, TranscriptionEvent, TranscriptionRequest,
    TranscriptionSegment, TranscriptionWord, TranslationRequest, VerboseTranscription,
};
pub use bedrock::{
    AdditionalFields, BedrockError, ConverseMessage, ConverseMetrics, ConverseOutput,
    ConverseOutputConfig, ConverseRequest, ConverseResponse, ConverseServiceTier, ConverseTool,
    ConverseToolChoice, ConverseToolConfig, ConverseUsage, InferenceConfig,
};
pub use bedrock_blocks::{
    ConverseBlock, ConverseContent, ConverseImage, ConverseImageFormat, ConverseImageSource,
    ConverseReasoning, ConverseToolResult, ConverseToolUse, ReasoningText,
};
pub use bedrock_models::{
    CountTokensInput, CountTokensRequest, CountTokensResponse, FoundationModel,
    FoundationModelDetails, FoundationModels, InvokeTokens, ModelLifecycle,
};
pub use chat::{
    AssistantMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatDelta,
    ChatLogprobs, ChatMessage, ChatRequest, ChatTokenLogprob, Content, ContentPart, ImageUrl, Role,
    TopLogprob,
};
pub use classify::{
    Classification, Classifications, ClassifyRequest, Moderation, ModerationInput,
    ModerationRequest, Moderations,
};
pub use completion::{Completion, CompletionChoice, CompletionLogprobs, CompletionRequest};
pub use embeddings::{
    Embedding, Embeddings, EmbeddingsRequest, EncodingFormat, InputUsage, TruncationSide, Vector,
};
pub use error::{ErrorBody, ErrorObject};
pub use generation::{
    CompletionTokensDetails, GenerationOptions, JsonSchemaFormat, Prediction, PromptTokensDetails,
    ResponseFormat, StreamOptions, StructuredOutputs, UnsupportedOptions, Usage,
};
pub use messages::{
    Blocks, ImageSource, InputBlock, InputMessage, InputRole, Message, MessagesRequest,
    MessagesTokenCount, MessagesTool, MessagesToolChoice, MessagesUsage, OutputBlock, OutputConfig,
    OutputFormat, Thinking,
};
pub use model::{Health, Model, ModelList};
pub use one_or_many::OneOrMany;
pub use prompt::Prompt;
pub use request::CancelledRequest;
pub use rerank::{
    ApiVersion, BilledUnits, Ranked, RankedDocument, Ranking, RankingMeta, RerankRequest, Score,
    ScoreRequest, Scores,
};
pub use response::{
    ConversationId, IncompleteDetails, InputTokenCount, InputTokensDetails, OutputContent,
    OutputItem, OutputTokensDetails, Response, ResponseError, ResponsesUsage,
};
pub use responses::{
    ConversationParam, Metadata, Reasoning, ResponsesInput, ResponsesRequest, TextConfig,
    TextFormat,
};
pub use stored::{
    Conversation, ConversationItems, ConversationRequest, Deleted, List, MetadataUpdate,
};
pub use tei::{
    EmbedRequest, LabelScore, PredictInputs, PredictRequest, Rank, SimilarityInputs,
    SimilarityParameters, SimilarityRequest, TeiError, TeiInfo, TeiLabels, TeiModelType,
    TeiRerankRequest, TextOrPair, TruncationDirection,
};
pub use tokenize::{
    DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse, TokenizerInfo,
};
pub use tools::{FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta};
