//! SentencePiece's precompiled map of characters to their normal form. Invariant: an index of the
//! file that lies outside of it is no match, never a crash.
//!
//! The form is that of Darts-clone's double array: a trie over bytes in 32-bit units, and texts
//! that end in a zero byte. Source: sentencepiece `src/normalizer.cc`.

/// The map of one model.
#[derive(Debug)]
pub(crate) struct Charsmap {
    units: Vec<u32>,
    texts: Vec<u8>,
}

impl Charsmap {
    /// Reads the bytes of `precompiled_charsmap`: the units' length in bytes, the units, the texts.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, &'static str> {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or("is too short")?;
        let len = u32::from_le_bytes(*len) as usize;
        let (units, texts) = rest.split_at_checked(len).ok_or("is shorter than it says")?;
        let (units, []) = units.as_chunks::<4>() else {
            return Err("has a part of a unit");
        };
        let units = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Self { units, texts: texts.to_vec() })
    }

    /// The normal form of the longest known beginning of `text`, and that beginning's length.
    pub(crate) fn normal<'a>(&'a self, text: &[u8]) -> Option<(&'a [u8], usize)> {
        let mut node = offset(*self.units.first()?);
        let mut found = None;
        for (at, &byte) in text.iter().enumerate() {
            node ^= u32::from(byte);
            let unit = self.unit(node).filter(|unit| byte != 0 && label(*unit) == u32::from(byte));
            let Some(unit) = unit else { break };
            node ^= offset(unit);
            if has_value(unit) {
                found = Some((self.unit(node)? & !(1 << 31), at + 1));
            }
        }
        let (start, len) = found?;
        let rest = self.texts.get(start as usize..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some((&rest[..end], len))
    }

    fn unit(&self, node: u32) -> Option<u32> {
        self.units.get(node as usize).copied()
    }
}

fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

/// The byte that leads here; the top bit marks a value, which no byte leads to.
fn label(unit: u32) -> u32 {
    unit & ((1 << 31) | 0xFF)
}

fn has_value(unit: u32) -> bool {
    (unit >> 8) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::Charsmap;

    #[test]
    fn broken_maps_are_named_and_match_nothing() {
        for bytes in [&[][..], &[1, 0, 0], &[8, 0, 0, 0, 1, 2], &[3, 0, 0, 0, 1, 2, 3]] {
            assert!(Charsmap::new(bytes).is_err(), "{bytes:?}");
        }
        let wild = Charsmap::new(&[4, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, b'a']).unwrap();
        assert_eq!(wild.normal(b"a"), None);
        assert_eq!(Charsmap::new(&[0; 4]).unwrap().normal(b"a"), None);
    }
}
