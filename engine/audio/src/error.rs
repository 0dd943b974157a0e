//! What is wrong with an audio file, in words for whoever sent it.
//!
//! Invariant: nothing of the file's contents is repeated but numbers.

use super::mono::MAX_CHANNELS;

/// A file that is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It has too many bytes.
    #[error("it has {bytes} bytes; {max} are the most")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// No format that is known.
    #[error("it is not audio in a format that is read here (wav, mp3, flac, ogg, m4a, aac): {0}")]
    NotAudio(String),
    /// A container without sound.
    #[error("it has no track of sound")]
    NoSound,
    /// A known container with sound in an unknown form.
    #[error("it has a codec that is not supported; PCM, MP3, FLAC, Vorbis and AAC are")]
    UnknownCodec,
    /// It contradicts its format.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A rate that nothing is recorded at.
    #[error("it has a sample rate of {0} Hz, which is not supported")]
    Rate(u32),
    /// Channels that no recording has.
    #[error("its header says {0} channels; from 1 to {max} are read", max = MAX_CHANNELS)]
    Channels(usize),
    /// It ends before its header says, and nothing of its sound is there.
    #[error("it seems to be cut off: its header says {says} bytes, {came} came")]
    CutOff {
        /// Bytes that it is to have.
        says: u64,
        /// Bytes given.
        came: usize,
    },
    /// It ends before any sound, where the header does not say how long it is.
    #[error("it seems to be cut off: {came} bytes came, which end before any sound")]
    EndsEarly {
        /// Bytes given.
        came: usize,
    },
    /// Its rate or channels change within.
    #[error("it changes its sample rate or channels on the way")]
    Changes,
    /// It has no samples.
    #[error("it has no samples")]
    NoSamples,
    /// It is longer than may be.
    #[error("it is longer than {max_seconds} s")]
    TooLong {
        /// Seconds allowed.
        max_seconds: usize,
    },
}
