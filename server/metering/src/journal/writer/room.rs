//! Segments: the one that is written to, and the next, which is there before it is needed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::Writer;
use crate::journal::JournalError;
use crate::journal::disk::{Disk, SegmentFile};
use crate::journal::frame::MAX_FRAME;
use crate::journal::segment::{self, HEADER, HEADER_BYTES, Segment, io_error};

impl Writer {
    /// Sees that there is room for all that is claimed and for so much more.
    ///
    /// One segment more is set aside for it. What so many run that this does not hold either may
    /// have to wait in memory, if the disk is full then.
    pub(super) fn secure(&mut self, more: u64) -> Result<(), JournalError> {
        // A segment's end may be too short for a record.
        let need = self.claimed.saturating_add(more).saturating_add(MAX_FRAME as u64);
        if self.spare.is_none() && self.room() < need {
            let number = self.next_number();
            self.spare = Some((number, self.make(number)?));
        }
        Ok(())
    }

    /// How many bytes the segment that is written to takes yet.
    fn room(&mut self) -> u64 {
        let max = if self.is_torn { 0 } else { self.options.segment_bytes };
        max.saturating_sub(self.current().1.len)
    }

    /// What a next segment is to be called, and be made by, if it is time for that.
    pub(in crate::journal) fn wants_spare(&mut self) -> Option<(u64, Making)> {
        let is_time = self.spare.is_none() && self.room() < self.options.segment_bytes / 2;
        is_time.then(|| {
            let (disk, dir) = (Arc::clone(&self.disk), self.dir.clone());
            let segment_bytes = self.options.segment_bytes;
            let making = move |number| create(&*disk, &segment::path(&dir, number), segment_bytes);
            (self.next_number(), Box::new(making) as Making)
        })
    }

    /// It was made. If not, whoever needs it tries, and says why not.
    pub(in crate::journal) fn take_spare(&mut self, number: u64, file: Arc<dyn SegmentFile>) {
        // What was made meanwhile may be written to already, and has a higher number.
        let is_late = self.current().0 > number || self.spare.is_some();
        if is_late {
            let _ = fs::remove_file(segment::path(&self.dir, number));
        } else {
            self.spare = Some((number, file));
        }
        self.has_begun = true;
    }

    /// A number that no file has. One that fails is left as it is, and is an empty segment.
    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn make(&mut self, number: u64) -> Result<Arc<dyn SegmentFile>, JournalError> {
        let path = segment::path(&self.dir, number);
        let file = create(&*self.disk, &path, self.options.segment_bytes)?;
        self.has_begun = true;
        Ok(file)
    }

    /// Begins a segment.
    pub(super) fn rotate(&mut self) -> Result<u64, JournalError> {
        let (number, file) = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let number = self.next_number();
                (number, self.make(number)?)
            }
        };
        self.ended.push(std::mem::replace(&mut self.file, file));
        self.segments.insert(number, Segment::empty(HEADER_BYTES));
        self.bytes += HEADER_BYTES;
        (self.is_torn, self.has_begun) = (false, true);
        Ok(number)
    }

    /// Nothing is written any more: gives back what was set aside, and all files if the ledger has
    /// what is in them.
    pub(in crate::journal) fn end(&mut self) {
        if let Some((number, _)) = self.spare.take() {
            let _ = fs::remove_file(segment::path(&self.dir, number));
        }
        let is_open = self.segments.values().any(|segment| segment.num_open > 0);
        if self.behind() != (0, false) || is_open {
            let len = self.current().1.len;
            // Whoever reads next takes the rest for nothing anyway.
            let _ = self.file.truncate(len);
            return;
        }
        // The oldest first: how a request ended lies after its beginning.
        for number in self.segments.keys() {
            if fs::remove_file(segment::path(&self.dir, *number)).is_err() {
                return;
            }
        }
    }
}

/// Makes the segment with a number; it may take a while.
pub(in crate::journal) type Making =
    Box<dyn FnOnce(u64) -> Result<Arc<dyn SegmentFile>, JournalError>>;

pub(super) fn create(
    disk: &dyn Disk,
    path: &Path,
    segment_bytes: u64,
) -> Result<Arc<dyn SegmentFile>, JournalError> {
    // One record is let into a segment, however long it is.
    let capacity = segment_bytes.max(HEADER_BYTES + MAX_FRAME as u64);
    let file = disk.create(path, capacity).map_err(io_error("make", path))?;
    file.append(0, HEADER).map_err(io_error("write", path))?;
    Ok(file)
}
