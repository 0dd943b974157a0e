//! Our server under clients that send texts of mixed lengths, beside our engine alone with the same
//! texts.
//!
//! Invariant: the engine alone gets as many texts at once as there are clients; both count the
//! same tokens, and what the server answers is what the engine makes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtests::{Endpoint, distinct_text, post_crowd, summarize};
use serde::Serialize;
use serde_json::{Value, json};

use super::setup::Setup;
use super::work::least_cosine;
use crate::bench::peers::server::{Served, free_port};
use crate::weights;

/// Clients at once; each sends the next text when it has its answer.
pub(super) const CLIENTS: [usize; 3] = [1, 16, 64];
/// What the server must reach of the engine's rate.
pub(super) const REACH: f64 = 0.9;
const NUM_TEXTS: usize = 1280;
/// Those that are sent beforehand, to warm up and to compare.
const NUM_FIRST: usize = 128;
/// Passes of the engine over all texts, of which the median counts.
const REPEAT: usize = 3;
/// Words of the shortest text, and how many lengths there are. Two tokens are put around.
const WORDS: (usize, usize) = (14, 241);

/// The texts, and what the server's tokenizer makes of them.
struct Mixture {
    texts: Vec<String>,
    tokens: Vec<Vec<u32>>,
}

/// What was seen with so many clients, once.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Level {
    pub(super) clients: usize,
    pub(super) pair: usize,
    pub(super) engine_tokens_per_s: f64,
    pub(super) tokens_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// All that was seen.
#[derive(Debug, Serialize)]
pub(super) struct OverHttp {
    pub(super) num_texts: usize,
    /// Of the shortest text, of the longest, and on average.
    pub(super) tokens: (usize, usize, f64),
    pub(super) levels: Vec<Level>,
}

pub(super) fn run(setup: &Setup, num_pairs: usize) -> Result<OverHttp> {
    let mixture = Mixture::obtain(setup)?;
    let mut levels = Vec::new();
    for pair in 0..num_pairs {
        for clients in CLIENTS {
            println!("pair {} · over HTTP · {clients} clients", pair + 1);
            let level = mixture.level(setup, (clients, pair))?;
            println!("  {:.0} of {:.0} tokens/s", level.tokens_per_s, level.engine_tokens_per_s);
            levels.push(level);
        }
    }
    let lengths = || mixture.tokens.iter().map(Vec::len);
    let mean = lengths().sum::<usize>() as f64 / mixture.tokens.len() as f64;
    let range = lengths().min().zip(lengths().max()).context("there are no texts")?;
    Ok(OverHttp { num_texts: mixture.texts.len(), tokens: (range.0, range.1, mean), levels })
}

impl Mixture {
    fn obtain(setup: &Setup) -> Result<Self> {
        let num_words = |number: usize| WORDS.0 + number * 97 % WORDS.1;
        let num_texts = if setup.quick { NUM_FIRST } else { NUM_TEXTS };
        let texts: Vec<String> =
            (0..num_texts).map(|number| distinct_text(number as u64, num_words(number))).collect();
        let (_server, endpoint) = start(setup)?;
        let asks = texts.iter().map(|text| json!({"model": endpoint.model, "prompt": text}));
        let asks: Vec<Value> = asks.collect();
        let mut tokens = Vec::new();
        for reply in post_crowd(&endpoint, "/tokenize", &asks, setup.threads).results {
            let reply: Value = serde_json::from_str(&reply?.body)?;
            tokens.push(serde_json::from_value(reply["tokens"].clone())?);
        }
        let mixture = Self { texts, tokens };
        for clients in CLIENTS {
            let batches = mixture.tokens.chunks(clients);
            let batches = batches.map(|batch| batch.iter().map(Vec::as_slice).collect());
            let batches: Vec<Vec<&[u32]>> = batches.collect();
            setup.write_tokens(&setup.file(&file_name(clients)), &batches)?;
        }
        Ok(mixture)
    }

    /// Engine and server, in turn.
    fn level(&self, setup: &Setup, (clients, pair): (usize, usize)) -> Result<Level> {
        let engine = || setup.our_bench(&setup.file(&file_name(clients)), REPEAT);
        let serve = || -> Result<_> {
            let (_server, endpoint) = start(setup)?;
            let first = self.first(&endpoint, clients)?;
            Ok((first, self.all(&endpoint, clients)?))
        };
        let (engine, (first, served)) = match pair % 2 {
            0 => {
                let engine = engine()?;
                (engine, serve()?)
            }
            _ => {
                let served = serve()?;
                (engine()?, served)
            }
        };
        let wanted: Vec<&[f32]> = engine.vectors[..NUM_FIRST].iter().map(Vec::as_slice).collect();
        let cosine = least_cosine(&wanted, &first)?;
        ensure!(cosine > 0.999_99, "the server's embeddings are not the engine's: {cosine}");
        Ok(Level { pair, engine_tokens_per_s: engine.tokens_per_s, ..served })
    }

    /// Sends the first texts and returns their embeddings, in numbers.
    fn first(&self, endpoint: &Endpoint, clients: usize) -> Result<Vec<Vec<f32>>> {
        let ask = |text: &String| json!({"model": endpoint.model, "input": text});
        let asks: Vec<Value> = self.texts[..NUM_FIRST].iter().map(ask).collect();
        let replies = post_crowd(endpoint, "/v1/embeddings", &asks, clients).results;
        let vector = |body: &str| -> Result<Vec<f32>> {
            let mut reply: Value = serde_json::from_str(body)?;
            Ok(serde_json::from_value(reply["data"][0]["embedding"].take())?)
        };
        replies.into_iter().map(|reply| vector(&reply?.body)).collect()
    }

    /// Sends all texts as OpenAI's own client does, which asks for Base64.
    fn all(&self, endpoint: &Endpoint, clients: usize) -> Result<Level> {
        let model = &endpoint.model;
        let ask =
            |text: &String| json!({"model": model, "input": text, "encoding_format": "base64"});
        let asks: Vec<Value> = self.texts.iter().map(ask).collect();
        let crowd = post_crowd(endpoint, "/v1/embeddings", &asks, clients);
        let (mut took, mut num_tokens) = (Vec::new(), 0);
        for (reply, tokens) in crowd.results.into_iter().zip(&self.tokens) {
            let reply = reply?;
            took.push(reply.took.as_secs_f64() * 1e3);
            let reply: Value = serde_json::from_str(&reply.body)?;
            let counted = reply["usage"]["prompt_tokens"].as_u64();
            ensure!(counted == Some(tokens.len() as u64), "{counted:?} tokens were counted");
            ensure!(reply["data"][0]["embedding"].is_string(), "there is no embedding");
            num_tokens += tokens.len();
        }
        let told = summarize(&took).context("nothing was measured")?;
        Ok(Level {
            clients,
            pair: 0,
            engine_tokens_per_s: 0.0,
            tokens_per_s: num_tokens as f64 / crowd.wall.as_secs_f64(),
            p50_ms: told.p50,
            p99_ms: told.p99,
        })
    }
}

fn file_name(clients: usize) -> String {
    format!("mixture-{clients}.json")
}

/// A server that is ready, and connections to it that are kept.
fn start(setup: &Setup) -> Result<(Served, Endpoint)> {
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let name = weights::EMBEDDER_NAME;
    let mut command = setup.ours(&["serve", "--no-auth", "--listen", &listen, "--model", name]);
    let mut server = Served::spawn(&mut command, port)?;
    server.await_first(|endpoint| match endpoint.status("/ready")? {
        200 => Ok(()),
        // Loading takes most of a second; asking all the time would slow it.
        status => {
            std::thread::sleep(Duration::from_millis(20));
            anyhow::bail!("/ready answered {status}")
        }
    })?;
    let url = server.endpoint().base_url;
    Ok((server, Endpoint::new(&url, name, None).kept_alive()))
}
