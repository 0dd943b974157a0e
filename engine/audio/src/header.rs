//! What the header of a file claims, before a decoder believes it.
//!
//! Invariant: only what lies within the file is read, and each claim once.

use super::error::AudioError;
use super::mono::MAX_CHANNELS;

/// Bytes of a wav file before its first chunk, and of a chunk before its contents.
const RIFF_BYTES: usize = 12;
const CHUNK_BYTES: usize = 8;
/// The `fmt ` chunk's tag of a format that has a mask of channels, and where the mask lies.
const EXTENSIBLE: u16 = 0xfffe;
const MASK_AT: usize = 20;
/// How such files begin, and where these bytes lie.
const BEGINNINGS: [(&[u8], usize); 4] = [(b"RIFF", 0), (b"fLaC", 0), (b"OggS", 0), (b"ftyp", 4)];

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether it begins as a file whose header is read in one piece.
    pub(crate) is_known: bool,
    /// How many bytes it is to have, where the header says it, ...
    says: Option<u64>,
    /// ... and how many came.
    came: usize,
}

impl Header {
    /// Reads it. A wav file whose numbers no recording has is refused: its decoder would reckon
    /// with them, beyond what its integers hold.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, AudioError> {
        for format in formats(bytes) {
            check(format)?;
        }
        let begins = |(with, at): (&[u8], usize)| bytes.get(at..at + with.len()) == Some(with);
        let is_known = BEGINNINGS.into_iter().any(begins);
        Ok(Self { is_known, says: said_len(bytes), came: bytes.len() })
    }

    /// The file ended before any sound of it came.
    pub(crate) fn ended(&self) -> AudioError {
        AudioError::EndsEarly { came: self.came }
    }

    /// Why nothing could be read of the file: that it was cut off, if it was.
    pub(crate) fn reason(&self, error: AudioError) -> AudioError {
        let says = self.says.filter(|says| *says > self.came as u64);
        match (says, &error) {
            (
                Some(says),
                AudioError::NotAudio(_)
                | AudioError::NoSound
                | AudioError::NoSamples
                | AudioError::EndsEarly { .. },
            ) => AudioError::CutOff { says, came: self.came },
            _ => error,
        }
    }
}

/// What is wrong with a `fmt ` chunk.
fn check(format: &[u8]) -> Result<(), AudioError> {
    let Some(channels) = u16_at(format, 2) else { return Ok(()) };
    if channels == 0 || usize::from(channels) > MAX_CHANNELS {
        return Err(AudioError::Channels(channels.into()));
    }
    let mask = u32_at(format, MASK_AT).filter(|_| u16_at(format, 0) == Some(EXTENSIBLE));
    match mask {
        // Places for more channels are looked for above the highest bit that is set.
        Some(mask) if mask.leading_ones() > 0 && mask.count_ones() < channels.into() => {
            let problem = format!("its header has {channels} channels, but no places for them");
            Err(AudioError::Damaged(problem))
        }
        _ => Ok(()),
    }
}

/// The `fmt ` chunks of a wav file that come before its sound.
fn formats(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_wav = bytes.starts_with(b"RIFF") && bytes.get(8..RIFF_BYTES) == Some(b"WAVE");
    let mut rest = if is_wav { &bytes[RIFF_BYTES..] } else { &[] };
    let chunks = std::iter::from_fn(move || {
        let len = u32_at(rest, 4)? as usize;
        let (kind, contents) = (&rest[..4], &rest[CHUNK_BYTES..]);
        // To an even place.
        rest = contents.get(len.next_multiple_of(2)..).unwrap_or_default();
        Some((kind, contents)).filter(|(kind, _)| kind != b"data")
    });
    chunks.filter(|(kind, _)| kind == b"fmt ").map(|(_, contents)| contents)
}

/// How many bytes the file is to have, of formats whose headers say it.
fn said_len(bytes: &[u8]) -> Option<u64> {
    if bytes.starts_with(b"RIFF") {
        // What is written as it is recorded does not know.
        let len = u32_at(bytes, 4).filter(|len| *len != u32::MAX)?;
        return Some(CHUNK_BYTES as u64 + u64::from(len));
    }
    if bytes.starts_with(b"ID3") {
        // Of tags that come first: seven bits a byte.
        let len = bytes.get(6..10)?.iter().fold(0, |len, byte| len << 7 | u64::from(byte & 0x7f));
        return Some(10 + len);
    }
    let is_mp4 = bytes.get(4..8) == Some(b"ftyp");
    is_mp4.then(|| end_of_boxes(bytes)).flatten()
}

/// Where the last box of an MP4 file ends.
fn end_of_boxes(bytes: &[u8]) -> Option<u64> {
    let mut at = 0_u64;
    while at < bytes.len() as u64 {
        let head = &bytes[usize::try_from(at).ok()?..];
        let len = match head.first_chunk().map(|len| u32::from_be_bytes(*len)) {
            // To the end of the file, wherever that is.
            Some(0) => return None,
            // Eight bytes more hold it.
            Some(1) => u64::from_be_bytes(*head.get(8..)?.first_chunk()?),
            Some(len) => len.into(),
            None => CHUNK_BYTES as u64,
        };
        at = at.checked_add(len.max(CHUNK_BYTES as u64))?;
    }
    Some(at)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4(boxes: &[(u32, usize)]) -> Vec<u8> {
        let kinds: [&[u8]; 2] = [b"ftyp", b"mdat"];
        let mut file = Vec::new();
        for ((says, has), kind) in boxes.iter().zip(kinds) {
            file.extend(says.to_be_bytes());
            file.extend(kind);
            file.resize(file.len() + has, 0);
        }
        file
    }

    #[test]
    fn the_length_is_told_where_the_header_says_it() {
        assert_eq!(said_len(b"RIFF\x24\0\0\0WAVE"), Some(44));
        assert_eq!(said_len(b"RIFF\xff\xff\xff\xffWAVE"), None);
        assert_eq!(said_len(b"RIFF\x24"), None);
        assert_eq!(said_len(b"ID3\x04\0\0\0\0\x02\x01"), Some(10 + 257));
        assert_eq!(said_len(b"fLaC\0\0\0\x22"), None);
        assert_eq!(said_len(&mp4(&[(16, 8), (100, 20)])), Some(116));
        assert_eq!(said_len(&mp4(&[(16, 8), (28, 20)])), Some(44));
        assert_eq!(said_len(&mp4(&[(16, 8), (0, 20)])), None);
        // A length in eight bytes, and one that no file has.
        let mut long = mp4(&[(16, 8), (1, 20)]);
        for (len, end) in [(100, Some(116)), (u64::MAX, None)] {
            long[24..32].copy_from_slice(&u64::to_be_bytes(len));
            assert_eq!(said_len(&long), end);
        }
    }

    #[test]
    fn only_a_wav_file_has_chunks_and_only_those_before_its_sound_are_read() {
        let chunk = |kind: &[u8], contents: &[u8]| {
            let len = (contents.len() as u32).to_le_bytes();
            let pad = vec![0; contents.len() % 2];
            [kind, &len, contents, &pad].concat()
        };
        let chunks = [
            chunk(b"odd ", b"abc"),
            chunk(b"fmt ", b"one"),
            chunk(b"data", b""),
            chunk(b"fmt ", b""),
        ];
        let file = [b"RIFF\0\0\0\0WAVE", &chunks.concat()[..]].concat();
        assert_eq!(formats(&file).count(), 1);
        assert!(formats(&file).all(|format| format.starts_with(b"one")));
        let other = [b"RIFF\0\0\0\0AVI ", &chunks.concat()[..]].concat();
        assert_eq!(formats(&other).count(), 0);
    }
}
