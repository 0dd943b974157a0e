//! Why the journal does not take or give a record.

use std::io;
use std::path::PathBuf;

/// What keeps the journal from working.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system did not do something to a file: its disk may be full.
    #[error("cannot {what} {path}: {source}; see that its disk works and has room")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk did not keep what it was given: nobody can know what it has.
    #[error("the disk of {dir} failed to keep the journal ({what}): start again on one that works")]
    NotKept {
        /// The journal's folder.
        dir: PathBuf,
        /// What the system said.
        what: String,
    },
    /// Another process has it.
    #[error("another process has the journal in {dir}: give each process a folder of its own")]
    Locked {
        /// The journal's folder.
        dir: PathBuf,
    },
    /// A file in the folder is not a segment, or one of another version.
    #[error("{path} is not a journal of this version: read it with the version that wrote it")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A record is whole, and says nothing that this version knows.
    #[error("the record at byte {offset} of {path} is of another version: read it with that one")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
    },
    /// The ledger is too far behind.
    #[error(
        "the journal has {bytes} bytes that the ledger has not taken, the limit is {max}: see that \
         the database works"
    )]
    Full {
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        max: u64,
    },
}
