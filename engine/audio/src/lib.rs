//! Audio files in, samples out: wav, mp3, flac, ogg (Vorbis), m4a and AAC become one channel at
//! [`SAMPLE_RATE`].
//!
//! Invariant: files are not trusted. Whatever they claim, the answer is samples or an error, soon,
//! and what is kept meanwhile is bounded by [`Limits`], not by what a header says.

mod error;
mod header;
mod mono;
mod resample;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

pub use self::error::AudioError;
use self::header::Header;
use self::mono::Mono;

/// Samples of a second, of what comes out.
pub const SAMPLE_RATE: u32 = 16_000;
/// Packets of one file: a second of any format has far fewer than a thousand.
const MAX_PACKETS_PER_SECOND: usize = 1000;
/// Packets that cannot be decoded before the file is given up: a few bad ones are left out, as
/// players do.
const MAX_BAD_PACKETS: usize = 64;

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub max_bytes: usize,
    /// Length of the audio.
    pub max_seconds: usize,
}

impl Default for Limits {
    /// OpenAI's limit of a file's size, and an hour.
    fn default() -> Self {
        Self { max_bytes: 25 << 20, max_seconds: 3600 }
    }
}

/// Decodes a file to one channel at [`SAMPLE_RATE`]; `extension` is that of its name, if it has
/// one. What the file is, its bytes say.
///
/// # Errors
/// [`AudioError`] says what is wrong with the file, in words for whoever sent it.
pub fn decode(
    bytes: Vec<u8>,
    extension: Option<&str>,
    limits: Limits,
) -> Result<Vec<f32>, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    if bytes.len() > limits.max_bytes {
        return Err(AudioError::TooLarge { bytes: bytes.len(), max: limits.max_bytes });
    }
    let header = Header::read(&bytes)?;
    // Decoders are fuzzed by their authors; one that panics all the same costs its own file.
    catch_unwind(AssertUnwindSafe(|| read(bytes, extension, limits, header)))
        .unwrap_or(Err(AudioError::Damaged("the decoder gave up on it".to_owned())))
        .map_err(|error| header.reason(error))
}

fn read(
    bytes: Vec<u8>,
    extension: Option<&str>,
    limits: Limits,
    header: Header,
) -> Result<Vec<f32>, AudioError> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, format, metadata)
        .map_err(|error| match error {
            Error::IoError(_) if header.is_known => header.ended(),
            error => AudioError::NotAudio(error.to_string()),
        })?;
    let (track, mut decoder) = open(&*format)?;
    let is_to_come = format.tracks().iter().any(|track| track.num_frames.unwrap_or(0) > 0);
    let mut mono = Mono::new(limits.max_seconds);
    let mut bad_packets = 0;
    for _ in 0..limits.max_seconds.saturating_mul(MAX_PACKETS_PER_SECOND) {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            // What is cut off ends where it ends; so does a stream with another one after it.
            Ok(None) | Err(Error::IoError(_) | Error::ResetRequired) => {
                return mono.finish().map_err(|error| match error {
                    // The last packet that came may be a part of one.
                    AudioError::NoSamples if is_to_come && bad_packets < 2 => header.ended(),
                    error => error,
                });
            }
            Err(error) => return Err(damaged(&error)),
        };
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(samples) => add(&mut mono, &samples)?,
            Err(Error::DecodeError(_) | Error::IoError(_)) if bad_packets < MAX_BAD_PACKETS => {
                bad_packets += 1;
            }
            Err(error) => return Err(damaged(&error)),
        }
    }
    Err(AudioError::TooLong { max_seconds: limits.max_seconds })
}

/// The first track of sound, and what decodes it.
fn open(format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>), AudioError> {
    let track = format.default_track(TrackType::Audio).ok_or(AudioError::NoSound)?;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.filter(|params| params.codec != CODEC_ID_NULL_AUDIO);
    let params = params.ok_or(AudioError::UnknownCodec)?;
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| match error {
            Error::Unsupported(_) => AudioError::UnknownCodec,
            error => damaged(&error),
        })?;
    Ok((track.id, decoder))
}

fn add(mono: &mut Mono, samples: &GenericAudioBufferRef<'_>) -> Result<(), AudioError> {
    let spec = samples.spec();
    let (rate, channels) = (spec.rate(), spec.channels().count());
    mono.add(rate, channels, |interleaved| samples.copy_to_vec_interleaved(interleaved))
}

fn damaged(error: &Error) -> AudioError {
    AudioError::Damaged(error.to_string())
}
