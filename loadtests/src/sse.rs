//! The `data:` lines of a stream of server-sent events.
//!
//! Invariant: an event is at most [`MAX_LINE_BYTES`] long, so a broken server cannot fill memory.

use std::io::{BufRead, Read};

use anyhow::{Result, bail};

const MAX_LINE_BYTES: u64 = 1 << 20;

/// The next event's data; `None` when the stream ended. Comments and other fields are skipped.
///
/// Every event of OpenAI's API is one line, so a line is an event.
pub(crate) fn next_data(reader: &mut impl BufRead) -> Result<Option<String>> {
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == MAX_LINE_BYTES {
            bail!("an event is longer than {MAX_LINE_BYTES} bytes");
        }
        let line = std::str::from_utf8(&line)?.trim_end_matches(['\r', '\n']);
        if let Some(data) = line.strip_prefix("data:") {
            return Ok(Some(data.strip_prefix(' ').unwrap_or(data).to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next_data;

    #[test]
    fn data_lines_are_events_and_the_rest_is_skipped() {
        let mut stream: &[u8] = b": hello\n\ndata: {\"a\":1}\r\n\nevent: x\ndata:[DONE]\n\n";
        assert_eq!(next_data(&mut stream).unwrap().as_deref(), Some("{\"a\":1}"));
        assert_eq!(next_data(&mut stream).unwrap().as_deref(), Some("[DONE]"));
        assert_eq!(next_data(&mut stream).unwrap(), None);
    }

    #[test]
    fn an_endless_line_is_an_error() {
        let long = vec![b'x'; 2 << 20];
        assert!(next_data(&mut long.as_slice()).is_err());
    }
}
