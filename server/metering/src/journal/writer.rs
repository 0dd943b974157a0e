//! The end of the journal: what is written, what of it the disk has, and what may go.
//!
//! Invariant: a segment's length is that of its whole records. For how each request that runs may
//! end there is room, which was set aside before it was let in. Where a disk fails all the same,
//! how it ended waits in memory with its segment kept; while one waits, nobody else is let in, so
//! no more wait than ran.

mod room;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, SegmentFile};
use super::flusher::Due;
use super::frame;
use super::read::Cursor;
use super::scan::Found;
use super::segment::{self, HEADER_BYTES, Segment, io_error};
use super::{Claim, Ended, Entry, JournalError, JournalOptions, record};

#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: JournalOptions,
    segments: BTreeMap<u64, Segment>,
    file: Arc<dyn SegmentFile>,
    /// The highest number that a file may have.
    number: u64,
    /// A failed write could not be taken back, so what follows goes to a new segment.
    is_torn: bool,
    /// Of all segments.
    bytes: u64,
    /// How much was ever appended, and how much of it the disk has.
    position: u64,
    synced: u64,
    /// Segments that came to their end since the last sync, and whether one has begun.
    ended: Vec<Arc<dyn SegmentFile>>,
    has_begun: bool,
    /// Why the disk is not trusted any more.
    not_kept: Option<String>,
    /// How requests ended, which no disk took yet, and what was kept for them.
    waiting: VecDeque<(Entry, Claim)>,
    /// The room of all claims.
    claimed: u64,
    /// The next segment, and its number, if it is there.
    spare: Option<(u64, Arc<dyn SegmentFile>)>,
    /// Where the next record is put together.
    frame: Vec<u8>,
    acknowledged: Cursor,
    is_stopping: bool,
}

impl Writer {
    /// Begins a segment after those that were found.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut options: JournalOptions,
        found: &Found,
    ) -> Result<Self, JournalError> {
        // So that some can go while others stay.
        options.segment_bytes = options.segment_bytes.min(options.max_bytes / 4);
        let number = found.segments.last().map_or(0, |(last, _)| last + 1);
        let file = room::create(&*disk, &segment::path(dir, number), options.segment_bytes)?;
        let first = found.segments.first().map_or(number, |(first, _)| *first);
        let found = found.segments.iter().map(|(number, len)| (*number, *len));
        let segments: BTreeMap<_, _> = found
            .chain([(number, HEADER_BYTES)])
            .map(|(number, len)| (number, Segment::empty(len)))
            .collect();
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            options,
            bytes: segments.values().map(|segment| segment.len).sum(),
            segments,
            file,
            number,
            is_torn: false,
            position: 0,
            synced: 0,
            ended: Vec::new(),
            has_begun: true,
            not_kept: None,
            waiting: VecDeque::new(),
            claimed: 0,
            spare: None,
            frame: Vec::new(),
            acknowledged: Cursor::start_of(first),
            is_stopping: false,
        })
    }

    /// Keeps so much room for how one more request ends.
    pub(super) fn claim(&mut self, room: u64) -> Result<Claim, JournalError> {
        self.check(room)?;
        self.claimed += room;
        Ok(Claim { begun_in: None, room })
    }

    /// Whether it takes so much more.
    pub(super) fn check(&mut self, more: u64) -> Result<(), JournalError> {
        self.check_kept()?;
        let max = self.options.max_bytes;
        if self.bytes >= max {
            return Err(JournalError::Full { bytes: self.bytes, max });
        }
        self.retry()?;
        self.secure(more)
    }

    /// Writes what a request has delivered so far, if there is room beside what is claimed; the
    /// first time with all else of it.
    pub(super) fn mark(
        &mut self,
        so_far: &Ended<'_>,
        claim: &mut Claim,
    ) -> Result<(), JournalError> {
        self.retry()?;
        self.secure(so_far.opened.max_end_bytes())?;
        if claim.begun_in.is_some() {
            return self.write(|out| record::put_mark(out, so_far)).map(drop);
        }
        self.write(|out| record::put_begun(out, so_far))?;
        let (number, segment) = self.current();
        segment.num_open += 1;
        claim.begun_in = Some(number);
        Ok(())
    }

    /// Writes what is put down of a record after those that wait: the position after it.
    pub(super) fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<u64, JournalError> {
        self.retry()?;
        self.write(put)
    }

    /// Writes how a request ended, or has it wait.
    pub(super) fn settle(&mut self, ended: &Ended<'_>, claim: Claim) -> Result<u64, JournalError> {
        let written = self.append(|out| record::put_settled(out, ended));
        match written {
            Ok(_) => self.close(claim),
            Err(_) => self.waiting.push_back((ended.entry(), claim)),
        }
        written
    }

    /// Writes what waits.
    pub(super) fn retry(&mut self) -> Result<(), JournalError> {
        while let Some((entry, claim)) = self.waiting.pop_front() {
            if let Err(error) = self.write(|out| record::put_settled(out, &entry.ended())) {
                self.waiting.push_front((entry, claim));
                return Err(error);
            }
            self.close(claim);
        }
        Ok(())
    }

    /// A request has ended.
    fn close(&mut self, claim: Claim) {
        self.claimed = self.claimed.saturating_sub(claim.room);
        if let Some(segment) = claim.begun_in.and_then(|number| self.segments.get_mut(&number)) {
            segment.num_open = segment.num_open.saturating_sub(1);
            segment.closed_at = self.position;
        }
    }

    /// What was found open has been settled by what was appended since.
    pub(super) fn close_found(&mut self) {
        for segment in self.segments.values_mut() {
            segment.closed_at = self.position;
        }
    }

    fn current(&mut self) -> (u64, &mut Segment) {
        let (number, segment) = self.segments.iter_mut().next_back().expect("one is written to");
        (*number, segment)
    }

    fn write(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<u64, JournalError> {
        frame::put(&mut self.frame, put);
        let frame_len = self.frame.len() as u64;
        let (number, Segment { len, .. }) = self.current();
        let is_full = *len > HEADER_BYTES && *len + frame_len > self.options.segment_bytes;
        let number = if self.is_torn || is_full { self.rotate()? } else { number };
        let len = self.current().1.len;
        if let Err(source) = self.file.append(len, &self.frame) {
            self.is_torn = self.file.truncate(len).is_err();
            return Err(io_error("write", &segment::path(&self.dir, number))(source));
        }
        self.current().1.len += frame_len;
        self.bytes += frame_len;
        self.position += frame_len;
        Ok(self.position)
    }

    /// What the disk was not told to keep yet.
    pub(super) fn due(&mut self) -> Option<Due> {
        let is_due = self.position > self.synced || self.has_begun || !self.ended.is_empty();
        if !is_due || self.not_kept.is_some() {
            return None;
        }
        let mut files = std::mem::take(&mut self.ended);
        files.push(Arc::clone(&self.file));
        let dir = std::mem::take(&mut self.has_begun).then(|| self.dir.clone());
        Some(Due { position: self.position, files, dir })
    }

    /// What became of it. After a failure the system may think that the disk has what it has not,
    /// so nothing is believed any more.
    pub(super) fn done(&mut self, due: &Due, kept: io::Result<()>) {
        match kept {
            Ok(()) => self.synced = due.position,
            Err(error) => self.not_kept = Some(error.to_string()),
        }
    }

    pub(super) fn has_unsynced(&self) -> bool {
        self.position > self.synced && self.not_kept.is_none()
    }

    /// Whether the disk has all up to a position.
    pub(super) fn is_synced(&self, position: u64) -> Result<bool, JournalError> {
        self.check_kept()?;
        Ok(self.synced >= position)
    }

    fn check_kept(&self) -> Result<(), JournalError> {
        match &self.not_kept {
            Some(what) => Err(JournalError::NotKept { dir: self.dir.clone(), what: what.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn acknowledged(&self) -> Cursor {
        self.acknowledged
    }

    /// Where a segment ends now, and which comes next.
    pub(super) fn extent(&self, number: u64) -> (u64, Option<u64>) {
        let len = self.segments.get(&number).map_or(0, |segment| segment.len);
        (len, self.segments.range(number + 1..).next().map(|(next, _)| *next))
    }

    /// Removes what lies before a place and has no open request, the oldest first: marks of a
    /// request lie after its beginning. The disk has how those ended, or a loss of power would
    /// lose all of them.
    pub(super) fn acknowledge(&mut self, upto: Cursor) {
        self.acknowledged = upto;
        while let Some((number, segment)) = self.segments.first_key_value() {
            let Segment { len, num_open, closed_at } = segment;
            if *number >= upto.segment || *num_open > 0 || *closed_at > self.synced {
                return;
            }
            match fs::remove_file(segment::path(&self.dir, *number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return,
                _ => self.bytes -= len,
            }
            self.segments.pop_first();
        }
    }

    /// How many bytes lie behind what was acknowledged, and whether anything waits.
    pub(super) fn behind(&self) -> (u64, bool) {
        let Cursor { segment, offset } = self.acknowledged;
        let begun = self.segments.get(&segment).map_or(0, |it| it.len.saturating_sub(offset));
        let later = self.segments.range(segment + 1..);
        let later = later.map(|(_, segment)| segment.len.saturating_sub(HEADER_BYTES)).sum::<u64>();
        (begun + later, !self.waiting.is_empty())
    }

    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }
}
