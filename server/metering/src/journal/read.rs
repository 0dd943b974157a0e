//! Reading behind the writer, for the ledger: out of the files, which the system has in memory yet.
//!
//! Invariant: only what the writer counts as written is read, so nothing torn is.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::names::Names;
use super::record;
use super::segment::{self, HEADER_BYTES};
use super::{Entry, Journal, JournalError};

/// What one reading leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Reading {
    names: Names,
    room: Vec<u8>,
}

/// A place in the journal, between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Cursor {
    /// Before the first record of a segment.
    pub(super) fn start_of(segment: u64) -> Self {
        Self { segment, offset: HEADER_BYTES }
    }
}

impl Journal {
    /// What the ledger has.
    pub(crate) fn acknowledged(&self) -> Cursor {
        self.shared.writer().acknowledged()
    }

    /// Gives what was settled after a place until there are so many, and the place after that.
    pub(crate) fn read_into(
        &self,
        entries: &mut Vec<Entry>,
        mut at: Cursor,
        max_entries: usize,
    ) -> Result<Cursor, JournalError> {
        let mut reading = self.shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Reading { names, room } = &mut *reading;
        while entries.len() < max_entries {
            let (end, next) = self.shared.writer().extent(at.segment);
            if at.offset < end {
                let path = segment::path(&self.shared.dir, at.segment);
                at.offset = segment::read(&path, at.offset..end, room, |bytes| {
                    entries.extend(record::settled(bytes, names)?);
                    Some(match entries.len() < max_entries {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    })
                })?;
                if at.offset < end && entries.len() < max_entries {
                    return Err(JournalError::Unknown { path, offset: at.offset });
                }
            } else if let Some(next) = next {
                at = Cursor::start_of(next);
            } else {
                break;
            }
        }
        Ok(at)
    }
}
