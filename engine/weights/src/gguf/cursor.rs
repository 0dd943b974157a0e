//! Reading little-endian numbers and strings off the front of a byte slice.
//!
//! Invariant: no length that the file claims is believed before that many bytes are there.

use crate::error::Fault;

/// Bytes of the longest string read (a chat template of a few hundred KB is the longest known).
const MAX_STRING_BYTES: u64 = 1 << 24;

/// What is left to read.
#[derive(Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, num_bytes: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(num_bytes).ok_or_else(|| {
            let left = self.rest.len();
            Fault::file(format!("truncated: {num_bytes} bytes wanted where {left} are left"))
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length of at most `max`, as GGUF writes lengths: 64 bits.
    pub(super) fn length(&mut self, what: &str, max: u64) -> Result<usize, Fault> {
        let length = self.u64()?;
        if length > max {
            return Err(Fault::file(format!("{what} is {length}, more than the {max} accepted")));
        }
        usize::try_from(length).map_err(|_| Fault::file(format!("{what} is {length}")))
    }

    /// A string's bytes; whether they are UTF-8 is for the reader of that string to ask.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.length("a string's length", MAX_STRING_BYTES)?;
        self.take(length)
    }

    /// A name: UTF-8 and short.
    pub(super) fn name(&mut self, what: &str, max: u64) -> Result<&'a str, Fault> {
        let length = self.length(&format!("the length of {what}"), max)?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| Fault::file(format!("{what} is not UTF-8")))
    }
}
