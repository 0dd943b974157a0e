//! Requests whose answers come whole.
//!
//! Invariant: an answer is not parsed before all have come, so that what is timed is the server's
//! work and as little of the client's as may be.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::crowd::crowd;
use crate::{Crowd, Endpoint};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its body.
    pub body: String,
    /// From before the request was sent to the body's end.
    pub took: Duration,
}

/// Posts all `bodies` to `path`, `concurrency` at a time.
pub fn post_crowd(
    endpoint: &Endpoint,
    path: &str,
    bodies: &[Value],
    concurrency: usize,
) -> Crowd<Reply> {
    crowd(bodies.len(), concurrency, &|idx| {
        let started = Instant::now();
        let body = endpoint.post_text(path, &bodies[idx])?;
        Ok(Reply { body, took: started.elapsed() })
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::post_crowd;
    use crate::Endpoint;

    /// Answers each request with its own body; counts connections.
    fn echo() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || answer(&stream));
            }
        });
        (address, connections)
    }

    fn answer(mut stream: &std::net::TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let header = line.to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if length == 0 || reader.read_exact(&mut body).is_err() {
                return;
            }
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
        }
    }

    #[test]
    fn every_request_has_its_own_answer_and_connections_are_kept_if_wanted() {
        let bodies: Vec<Value> = (0..20).map(|number| json!({ "number": number })).collect();
        for (kept, most) in [(true, 4), (false, 20)] {
            let (url, connections) = echo();
            let endpoint = Endpoint::new(&url, "any", None);
            let endpoint = if kept { endpoint.kept_alive() } else { endpoint };
            let crowd = post_crowd(&endpoint, "/", &bodies, 4);
            let replies: Vec<Value> = (crowd.results.into_iter())
                .map(|reply| serde_json::from_str(&reply.unwrap().body).unwrap())
                .collect();
            assert_eq!(replies, bodies);
            let made = connections.load(Ordering::SeqCst);
            assert!(if kept { made <= most } else { made == most }, "{made} connections");
        }
    }
}
