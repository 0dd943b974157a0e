//! One request over a connection of its own, and all of its answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// For an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A header, named in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = headers.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

pub(crate) fn post(address: &str, key: &str, path: &str, body: &str) -> Answer {
    post_with(address, ("Authorization", &format!("Bearer {key}")), path, body)
}

/// The same with another header than a key's.
pub(crate) fn post_with(address: &str, header: (&str, &str), path: &str, body: &str) -> Answer {
    ask(address, ("POST", path), &[header, ("Content-Type", "application/json")], body)
}

/// Any request.
pub(crate) fn ask(
    address: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    // In one piece: the second of two waits for the first one's acknowledgement. Who is refused by
    // the head alone may find the connection closed.
    let _ = stream.write_all((head((method, path), headers, body.len()) + body).as_bytes());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    read(&answer)
}

/// The head of a request whose body has so many bytes.
pub(crate) fn head(
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    num_bytes: usize,
) -> String {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {num_bytes}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

fn read(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut read = Answer { status: status.expect("a status"), head, body: String::new() };
    let body = &answer[end + 4..];
    let is_cut = read.header("transfer-encoding") == Some("chunked");
    let body = if is_cut { whole(body) } else { body.to_vec() };
    read.body = String::from_utf8_lossy(&body).into_owned();
    read
}

/// A body that came in chunks.
fn whole(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}
