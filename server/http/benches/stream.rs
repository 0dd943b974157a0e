//! What serving costs beside the engine: 32 streams of an engine that only waits, and the
//! processor time of every kind of thread for each token. Linux only.
//!
//! `cargo bench -p server-http --bench stream`
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::{
    CacheGroups, Engine, EngineError, EngineLimits, Sampled, SeqOutput, SeqWork, Step, StepOutput,
    Want,
};
use engine_text::TextModel;
use scheduler_batching::{Handle, PlannerConfig, spawn_with};
use server_http::{AppState, HttpLimits, ServedModel, router, runtime, serve};

const NUM_STREAMS: usize = 32;
const STEP: Duration = Duration::from_millis(5);
const NUM_TOKENS: usize = 400;
/// Tokens of the first and last steps, which prompts and ends disturb.
const MARGIN: usize = 50;

/// Takes [`STEP`] for each step and says "a".
struct Waits;

impl Engine for Waits {
    fn limits(&self) -> EngineLimits {
        EngineLimits {
            block_size: 16,
            num_blocks: 4096,
            max_model_len: 2048,
            max_step_tokens: 256,
            max_step_seqs: 256,
            vocab_size: 260,
            groups: CacheGroups::WHOLE,
        }
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        std::thread::sleep(STEP);
        let answer = |work: &SeqWork| SeqOutput {
            seq: work.seq,
            sampled: matches!(work.want, Want::Sample(_))
                .then(|| Sampled { token: u32::from(b'a'), logprobs: None })
                .into_iter()
                .collect(),
            is_late: false,
            scores: Vec::new(),
            error: None,
        };
        Ok(StepOutput { outputs: step.work.iter().map(answer).collect() })
    }
}

fn main() {
    let (address, handle) = start_server();
    let clients: Vec<_> = (0..NUM_STREAMS)
        .map(|i| named("client", move || stream(address, i)).expect("a thread"))
        .collect();
    std::thread::sleep(STEP * MARGIN as u32 * 2);
    let (began, before, made) = (Instant::now(), processor_times(), handle.stats());
    std::thread::sleep(STEP * (NUM_TOKENS - 4 * MARGIN) as u32);
    let (took, after) = (began.elapsed(), processor_times());
    let num_tokens = handle.stats().generated_tokens - made.generated_tokens;
    println!("{num_tokens} tokens in {took:.1?}\n\n| threads | µs a token |\n|---|---:|");
    for (name, time) in after {
        let used = time - before.get(&name).copied().unwrap_or_default();
        println!("| {name} | {:.2} |", used as f64 / 1e3 / num_tokens as f64);
    }
    clients.into_iter().for_each(|client| client.join().expect("reads to the end"));
}

fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// The server on a runtime like the binary's.
fn start_server() -> (SocketAddr, Handle) {
    let metrics = Arc::new(server_http::Metrics::new());
    let (handle, _driver) =
        spawn_with(Box::new(Waits), PlannerConfig::default(), metrics.observer("mock"));
    let model = ServedModel {
        id: "mock".to_owned(),
        version: "sha256:0123456789abcdef".into(),
        created_unix: 0,
        grammars: Arc::new(engine_grammar::Compiler::new(Arc::new(TextModel::byte_level()), 0)),
        text: Arc::new(TextModel::byte_level()),
        handle: handle.clone(),
        adapter: None,
        vision: None,
    };
    let state = AppState::builder().model(model).metrics(metrics).build();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let run = move || {
        let runtime = runtime().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let forever = std::future::pending();
            serve(listener, router(state), forever, HttpLimits::default(), || ()).await
        })
    };
    named("server", run).expect("a thread");
    (address, handle)
}

/// Asks for one answer and reads it to its end.
fn stream(address: SocketAddr, number: usize) {
    let body = format!(
        r#"{{"model": "mock", "prompt": "{number}: hello", "max_tokens": {NUM_TOKENS},
            "ignore_eos": true, "temperature": 0, "stream": true}}"#
    );
    let mut socket = TcpStream::connect(address).expect("the server listens");
    let length = body.len();
    let head = format!("POST /v1/completions HTTP/1.1\r\nHost: {address}\r\n");
    let fields = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(format!("{head}{fields}{body}").as_bytes()).expect("sends");
    let mut buffer = [0; 8 << 10];
    loop {
        let read = socket.read(&mut buffer).expect("reads");
        assert_ne!(read, 0, "the stream broke off");
        if buffer[..read].windows(6).any(|six| six == b"[DONE]") {
            return;
        }
    }
}

/// Nanoseconds that the threads of each name have run.
fn processor_times() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).ok();
        let (Some(name), Some(stat)) = (read("comm"), read("schedstat")) else { continue };
        let ran = stat.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
        *times.entry(name.trim().to_owned()).or_default() += ran.unwrap_or(0);
    }
    times
}
