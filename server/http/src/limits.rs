//! Every limit of the HTTP edge in one place.

use std::time::Duration;

/// What a client may ask of the server, and for how long. All have a sane default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes in the body of a request; larger ones get 413.
    pub max_body_bytes: usize,
    /// Bytes of a recording; larger ones get 413, ...
    pub max_audio_bytes: usize,
    /// ... and its length in seconds; longer ones get 400.
    pub max_audio_seconds: usize,
    /// Recordings that are received and decoded at once; more wait, and tenants take turns.
    pub max_audio_jobs: usize,
    /// Requests of one tenant that wait for that; more get 429.
    pub max_waiting_audio: usize,
    /// For a body to arrive; slower ones get 408.
    pub body_timeout: Duration,
    /// For the head of a request to arrive, and how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Bytes of all headers of a request together; more get 431, ...
    pub max_header_bytes: usize,
    /// ... as do more headers.
    pub max_headers: usize,
    /// Open connections; more wait unaccepted.
    pub max_connections: usize,
    /// Requests side by side on one connection of HTTP/2.
    pub max_streams: u32,
    /// Connections of one address on which no request runs; one more, and the one that has waited
    /// longest is closed.
    pub max_waiting_per_peer: usize,
    /// For a client to take some of what is written to it; then its connection is closed.
    pub write_timeout: Duration,
    /// For open requests to end after a shutdown was asked for.
    pub drain_timeout: Duration,
    /// For those that did not to be told so.
    pub abort_timeout: Duration,
    /// For a request to be answered in full, from its receipt, whatever its client allows; `None`
    /// sets no limit.
    pub request_timeout: Option<Duration>,
    /// Answers kept for requests that are sent again with their `Idempotency-Key`: how many, ...
    pub max_kept_answers: usize,
    /// ... of how many bytes together, ...
    pub max_kept_answer_bytes: usize,
    /// ... and for how long.
    pub keep_answers: Duration,
    /// The same of projects that store nothing: so long a client tries again.
    pub keep_unstored_answers: Duration,
    /// Between comments that keep a silent stream alive.
    pub keep_alive: Duration,
    /// `n` of one request.
    pub max_n: u32,
    /// Choices of one request: its prompts times `n`.
    pub max_choices: u32,
    /// Inputs of one request to an encoder: texts, documents or pairs.
    pub max_inputs: usize,
    /// Tokens of all choices of one request, each with its likeliest alternatives: what an answer
    /// may come to in memory.
    pub max_answer_entries: u64,
    /// Large texts that are tokenized at once; more wait.
    pub max_text_jobs: usize,
    /// Grammars that are compiled at once; more wait, and tenants take turns.
    pub max_grammar_jobs: usize,
    /// Requests of one tenant that wait for a grammar to be compiled; more get 429.
    pub max_waiting_grammars: usize,
    /// For a grammar to be compiled, waiting included; then the request gets 400.
    pub grammar_timeout: Duration,
    /// Images of one request.
    pub max_images: usize,
    /// Bytes of an image that is fetched, ...
    pub max_image_bytes: usize,
    /// ... and for it to come, waiting and redirects included.
    pub image_fetch_timeout: Duration,
    /// Responses of one tenant that are worked on in the background.
    pub max_background: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        let num_cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_body_bytes: 8 << 20,
            // As OpenAI takes.
            max_audio_bytes: 25 << 20,
            max_audio_seconds: 3600,
            // 25 MB each, and what becomes of it.
            max_audio_jobs: 8,
            max_waiting_audio: 64,
            body_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 64 << 10,
            max_headers: 100,
            max_connections: 1024,
            max_streams: 100,
            max_waiting_per_peer: 256,
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            abort_timeout: Duration::from_secs(5),
            request_timeout: None,
            max_kept_answers: 4096,
            max_kept_answer_bytes: 64 << 20,
            keep_answers: Duration::from_secs(24 * 3600),
            keep_unstored_answers: Duration::from_secs(10 * 60),
            keep_alive: Duration::from_secs(15),
            max_n: 128,
            max_choices: 256,
            // As OpenAI takes.
            max_inputs: 2048,
            // One choice of 131,072 tokens with 20 alternatives each is within.
            max_answer_entries: 4 << 20,
            max_text_jobs: num_cores,
            // The cores have a model to run.
            max_grammar_jobs: (num_cores / 2).max(1),
            // More than a client's batch, each with the same grammar.
            max_waiting_grammars: 512,
            grammar_timeout: Duration::from_secs(10),
            max_images: 16,
            max_image_bytes: 20 << 20,
            image_fetch_timeout: Duration::from_secs(10),
            max_background: 16,
        }
    }
}
