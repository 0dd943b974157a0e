//! What a folder's segments say, after whatever ended their process.
//!
//! Invariant: what is cut off is a prefix's rest. A request is told of once: as it was settled, or
//! by its last mark.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::names::Names;
use super::record::Record;
use super::segment::{self, HEADER_BYTES};
use super::{Entry, JournalError};
use crate::RequestId;

/// What a journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Requests that were settled, in that order.
    pub settled: Vec<Entry>,
    /// Those that were not, as their last marks have them, in the order they were opened.
    pub lost: Vec<Entry>,
    /// Bytes that are no whole record: what a kill tore, or what a disk lost.
    pub cut_bytes: u64,
}

/// What is known of the segments of an earlier process.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Their numbers, and how long they are up to where they are torn.
    pub(super) segments: Vec<(u64, u64)>,
    pub(super) lost: Vec<Entry>,
    pub(super) cut_bytes: u64,
}

/// Requests that were begun and not settled yet.
#[derive(Default)]
struct Open(HashMap<RequestId, Entry>);

/// What the journal of a folder tells, while no process writes it.
///
/// # Errors
/// If a file is none of this version's, or cannot be read.
pub fn replay(dir: &Path) -> Result<Replay, JournalError> {
    let mut settled = Vec::new();
    let mut known = HashSet::new();
    let found = walk(dir, |entry| {
        // A write that failed late may have been repeated.
        if known.insert(entry.opened.request.clone()) {
            settled.push(entry);
        }
    })?;
    Ok(Replay { settled, lost: found.lost, cut_bytes: found.cut_bytes })
}

/// The same with what was settled left where it is.
pub(super) fn scan(dir: &Path) -> Result<Found, JournalError> {
    walk(dir, |_| {})
}

fn walk(dir: &Path, mut settled: impl FnMut(Entry)) -> Result<Found, JournalError> {
    let (mut found, mut open) = (Found::default(), Open::default());
    let (mut names, mut room) = (Names::default(), Vec::new());
    for number in segment::list(dir)? {
        let path = segment::path(dir, number);
        let size = match segment::size(&path) {
            // A segment to come may have turned out not to be needed.
            Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            size => size?,
        };
        let len = if size < HEADER_BYTES {
            0
        } else {
            segment::read(&path, HEADER_BYTES..size, &mut room, |bytes| {
                if let Some(entry) = open.follow(Record::decode(bytes, &mut names)?) {
                    settled(entry);
                }
                Some(ControlFlow::Continue(()))
            })?
        };
        found.segments.push((number, len));
        found.cut_bytes += segment::end_of_bytes(&path, len..size)? - len;
    }
    found.lost = open.0.into_values().collect();
    found.lost.sort_by(|a, b| {
        let order = |entry: &Entry| (entry.opened.opened_at, entry.opened.request.clone());
        order(a).cmp(&order(b))
    });
    Ok(found)
}

impl Open {
    /// Takes a record in, and gives the request that it settles.
    fn follow(&mut self, record: Record) -> Option<Entry> {
        match record {
            Record::Begun(entry) => {
                self.0.insert(entry.opened.request.clone(), entry);
                None
            }
            Record::Mark(mark) => {
                if let Some(entry) = self.0.get_mut(&mark.request) {
                    entry.settled_at = mark.at;
                    entry.usage = mark.usage;
                    entry.cost = mark.cost;
                }
                None
            }
            Record::Settled(entry) => {
                self.0.remove(&entry.opened.request);
                Some(entry)
            }
        }
    }
}
