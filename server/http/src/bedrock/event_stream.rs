//! AWS's frames for events (`application/vnd.amazon.eventstream`).
//!
//! A frame is the length of all, the length of the headers and a CRC of both; the headers; the
//! payload; a CRC of all before it. Numbers are big-endian.
//!
//! Invariant: what is written here has at most some megabytes and headers of a few known names.

use serde::Serialize;

pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Lengths and their CRC, and the CRC at the end.
const OVERHEAD: usize = 16;
/// The type of a header whose value is a text.
const TEXT: u8 = 7;

/// Appends an event.
pub(super) fn event(out: &mut Vec<u8>, kind: &str, data: &impl Serialize) {
    json(out, [(":event-type", kind), (":message-type", "event")], data);
}

/// Appends an error.
pub(super) fn exception(out: &mut Vec<u8>, kind: &str, data: &impl Serialize) {
    json(out, [(":exception-type", kind), (":message-type", "exception")], data);
}

/// Appends an event of a kind that no client knows, and so passes over.
pub(super) fn keep_alive(out: &mut Vec<u8>) {
    event(out, "keepAlive", &serde_json::json!({}));
}

fn json(out: &mut Vec<u8>, [kind, message]: [(&str, &str); 2], data: &impl Serialize) {
    // Plain data: writing it cannot fail.
    let payload = serde_json::to_vec(data).unwrap_or_default();
    frame(out, &[kind, (":content-type", "application/json"), message], &payload);
}

fn frame(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let begin = out.len();
    let length_of = |(name, value): &(&str, &str)| 1 + name.len() + 1 + 2 + value.len();
    let headers_len: usize = headers.iter().map(length_of).sum();
    let total = OVERHEAD + headers_len + payload.len();
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers_len as u32).to_be_bytes());
    end_with_crc(out, begin);
    for (name, value) in headers {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    end_with_crc(out, begin);
}

/// Appends the CRC of all since `begin`.
fn end_with_crc(out: &mut Vec<u8>, begin: usize) {
    let crc = crc32fast::hash(&out[begin..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::frame;

    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a [u8]);

    /// The vectors that AWS's clients are tested with.
    #[test]
    fn frames_are_those_of_awss_clients() {
        let json = b"{'foo':'bar'}";
        let error =
            [(":message-type", "error"), (":error-code", "code"), (":error-message", "message")];
        let cases: [Case<'_>; 4] = [
            (&[], b"", b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"),
            (&[], json, b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96"),
            (
                &[("content-type", "application/json")],
                json,
                b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10\
                  application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
            ),
            (
                &error,
                b"",
                b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\
                  \x0d:message-type\x07\x00\x05error\
                  \x0b:error-code\x07\x00\x04code\
                  \x0e:error-message\x07\x00\x07message\
                  \x6b\x6c\xea\x3d",
            ),
        ];
        // Frames are written after what is there already.
        let mut out = Vec::new();
        for (headers, payload, expected) in cases {
            let begin = out.len();
            frame(&mut out, headers, payload);
            assert_eq!(&out[begin..], expected, "{headers:?}");
        }
    }
}
