//! A record in its frame: its length, its checksum, itself.
//!
//! Invariant: of what is not whole nothing is read: neither a torn frame nor zeros in its place.

/// Length and CRC-32, four bytes each, the lowest first.
const HEAD: usize = 8;
/// Six names and some numbers are shorter.
const MAX_PAYLOAD: usize = 4096;

/// The longest frame.
pub(super) const MAX_FRAME: usize = HEAD + MAX_PAYLOAD;

/// Has bytes be what is put down of a record, in its frame.
pub(super) fn put(frame: &mut Vec<u8>, record: impl FnOnce(&mut Vec<u8>)) {
    frame.clear();
    frame.resize(HEAD, 0);
    record(frame);
    let (head, payload) = frame.split_at_mut(HEAD);
    debug_assert!(payload.len() <= MAX_PAYLOAD, "names are bounded");
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

/// The payload of the frame that bytes begin with, if it is whole.
pub(super) fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (len, crc) = head.split_at(4);
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).ok();
    let len = usize::try_from(number(len)?).ok()?;
    // A record has a byte at least: zeros, which a lost write may leave, are none.
    if !(1..=MAX_PAYLOAD).contains(&len) {
        return None;
    }
    let payload = rest.get(..len)?;
    (crc32fast::hash(payload) == number(crc)?).then_some(payload)
}

/// How long the frame of a payload is.
pub(super) fn len_of(payload: &[u8]) -> usize {
    HEAD + payload.len()
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::super::record::Record;
    use super::*;
    use crate::{MAX_ID_BYTES, Picos, RequestId, UnixMillis, Usage};

    #[test]
    fn a_frame_is_read_whole_or_not() {
        let mark = |name: &str| {
            let request = RequestId::new(name).unwrap();
            let (usage, cost) = (Usage::NONE, Picos::new(i128::MIN));
            let record = Record::Mark(Mark { request, at: UnixMillis(u64::MAX), usage, cost });
            let mut frame = Vec::new();
            put(&mut frame, |out| record.encode(out));
            frame
        };
        let two = [mark("r"), mark("s")].concat();
        let first = payload(&two).unwrap();
        assert_eq!(len_of(first), mark("r").len());
        for len in 0..mark("r").len() {
            assert_eq!(payload(&two[..len]), None);
        }
        for idx in 0..mark("r").len() {
            let mut flipped = two.clone();
            flipped[idx] ^= 1;
            assert_eq!(payload(&flipped), None, "{idx}");
        }
        assert_eq!(payload(&[0; 64]), None);
        let longest = mark(&"x".repeat(MAX_ID_BYTES));
        assert!(payload(&longest).is_some() && longest.len() < MAX_FRAME / 6);
    }
}
