//! Reading behind the writer, for the ledger: out of the files, which the system has in memory yet.
//!
//! Invariant: only what the writer counts as written is read, so nothing torn is.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::record;
use super::segment::{self, HEADER_BYTES};
use super::{Entry, Journal, JournalError};

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

    /// What was settled after a place, so many at most, and the place after that.
    pub(crate) fn read(
        &self,
        mut at: Cursor,
        max_entries: usize,
    ) -> Result<(Vec<Entry>, Cursor), JournalError> {
        let mut names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        while entries.len() < max_entries {
            let (end, next) = self.shared.writer().extent(at.segment);
            if at.offset < end {
                let path = segment::path(&self.shared.dir, at.segment);
                at.offset = segment::read(&path, at.offset..end, |bytes| {
                    entries.extend(record::settled(bytes, &mut names)?);
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
        Ok((entries, at))
    }
}
