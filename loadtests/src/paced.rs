//! Requests at a steady rate, however long each takes: what a server adds to the time of those who
//! come when they come.
//!
//! Invariant: a request's time counts from when it was to be sent, so one that waits for the answer
//! before it on its connection counts the wait (Tene's "coordinated omission").

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::Endpoint;

/// Heads and bodies of answers are not read past this.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// No answer in this time is an error.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A thread does nothing but write and read.
const STACK_BYTES: usize = 128 << 10;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests a second, over all connections.
    pub per_s: f64,
    /// Connections, which are kept and take turns.
    pub connections: usize,
    /// From the first request to the last.
    pub duration: Duration,
}

/// Posts `body` to `path` at a steady pace; the time to the end of each answer, in no order.
///
/// # Errors
/// When a connection fails, or an answer is not 200 with a `Content-Length`.
pub fn paced(endpoint: &Endpoint, path: &str, body: &Value, pace: Pace) -> Result<Vec<Duration>> {
    ensure!(pace.per_s > 0.0 && pace.connections > 0, "no requests at all");
    let address = endpoint.base_url.strip_prefix("http://").context("only http:// is spoken")?;
    let request = request(endpoint, address, path, &body.to_string());
    let open = || Connection::open(address);
    let connections = (0..pace.connections).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let num_requests = (pace.per_s * pace.duration.as_secs_f64()) as usize;
    // A moment for all threads to be there.
    let start = Instant::now() + Duration::from_millis(100);
    std::thread::scope(|scope| {
        let threads = connections.into_iter().enumerate().map(|(first, mut connection)| {
            let request = &request;
            let run = move || -> Result<Vec<Duration>> {
                let mut times = Vec::with_capacity(num_requests / pace.connections + 1);
                for number in (first..num_requests).step_by(pace.connections) {
                    let due = start + Duration::from_secs_f64(number as f64 / pace.per_s);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    connection.ask(request)?;
                    times.push(due.elapsed());
                }
                Ok(times)
            };
            Ok(std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run)?)
        });
        let threads = threads.collect::<Result<Vec<_>>>()?;
        let mut times = Vec::with_capacity(num_requests);
        for thread in threads {
            times.append(&mut thread.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(times)
    })
}

fn request(endpoint: &Endpoint, address: &str, path: &str, body: &str) -> Vec<u8> {
    let key = endpoint.api_key.as_ref();
    let auth = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{auth}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One that is kept.
struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("nobody at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { reader: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads its answer to the end.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(request)?;
        self.line()?;
        let status = self.line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = None;
        while self.line()? {
            let (name, value) = self.line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<u64>()?);
            }
        }
        let length = length.context("an answer without a Content-Length")?;
        ensure!(length <= MAX_ANSWER_BYTES, "an answer of {length} bytes");
        self.body.resize(length as usize, 0);
        self.reader.read_exact(&mut self.body)?;
        if status != "200" {
            bail!("answered {status}: {}", String::from_utf8_lossy(&self.body));
        }
        Ok(())
    }

    /// The next line of the head; false at its end.
    fn line(&mut self) -> Result<bool> {
        self.line.clear();
        let read = self.reader.by_ref().take(MAX_ANSWER_BYTES).read_line(&mut self.line)?;
        ensure!(read > 0, "the connection was closed");
        Ok(!self.line.trim_end().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    /// Answers requests, each after `delay`, with `status`.
    fn server(status: &'static str, delay: Duration) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer(stream, status, delay));
            }
        });
        Endpoint::new(&url, "any", Some("secret".to_owned()))
    }

    fn answer(stream: TcpStream, status: &str, delay: Duration) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut line, mut head) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                head += &std::mem::take(&mut line);
            }
            let mut body = [0; 7];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            assert!(head.contains("Bearer secret") && &body == br#"{"a":1}"#, "{head}");
            std::thread::sleep(delay);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_slow_answer_is_counted_with_all_that_wait_behind_it() {
        let delay = Duration::from_millis(20);
        let duration = Duration::from_millis(100);
        let endpoint = server("200 OK", delay);
        let ask = |per_s, connections| {
            let pace = Pace { per_s, connections, duration };
            paced(&endpoint, "/", &json!({"a": 1}), pace).unwrap()
        };
        let queued = ask(100.0, 1);
        assert_eq!(queued.len(), 10);
        // The last is due after 90 ms and answered after 200 at the earliest.
        assert!(queued.iter().max().unwrap() >= &Duration::from_millis(110), "{queued:?}");
        let beside = ask(100.0, 10);
        assert!(beside.len() == 10 && beside.iter().all(|time| *time >= delay), "{beside:?}");
    }

    #[test]
    fn a_refusal_is_an_error() {
        let endpoint = server("429 Too Many Requests", Duration::ZERO);
        let pace = Pace { per_s: 100.0, connections: 1, duration: Duration::from_millis(20) };
        let error = paced(&endpoint, "/", &json!({"a": 1}), pace).unwrap_err();
        assert!(error.to_string().contains("429"), "{error}");
    }
}
