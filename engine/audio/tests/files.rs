//! Files of each format that is read, made by ffmpeg (`tools/make_files.py`): the tone in them
//! comes out, wherever they are cut; and nothing of a file makes reading it panic or take more
//! memory.

use std::path::PathBuf;

use engine_audio::{AudioError, Limits, SAMPLE_RATE, decode};

/// Names, and how loud the tone is in them.
const FILES: [(&str, f64); 11] = [
    ("tone.mp3", 0.5),
    ("tone-tags.mp3", 0.5),
    ("tone.flac", 0.5),
    ("tone.ogg", 0.5),
    ("tone.m4a", 0.5),
    ("tone.aac", 0.5),
    ("tone-8k.wav", 0.5),
    ("tone-24.wav", 0.5),
    ("tone-float.wav", 0.5),
    ("tone-ulaw.wav", 0.5),
    // One of two channels is silent.
    ("tone-stereo.wav", 0.25),
];

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(name: &str, bytes: Vec<u8>) -> Result<Vec<f32>, AudioError> {
    decode(bytes, name.rsplit_once('.').map(|(_, extension)| extension), Limits::default())
}

/// How loud 440 Hz are in some samples.
fn loudness(samples: &[f32]) -> f64 {
    let angle = |i: usize| i as f64 / f64::from(SAMPLE_RATE) * 440.0 * std::f64::consts::TAU;
    let sum = |f: fn(f64) -> f64| -> f64 {
        samples.iter().enumerate().map(|(i, x)| f64::from(*x) * f(angle(i))).sum()
    };
    2.0 * sum(f64::sin).hypot(sum(f64::cos)) / samples.len() as f64
}

#[test]
fn each_format_is_read() {
    for (name, want) in FILES {
        let samples = read(name, file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        // 0.8 s; some codecs leave a frame of silence before, or after.
        assert!((12_700..15_500).contains(&samples.len()), "{name}: {} samples", samples.len());
        // A stretch that lies within the tone, wherever that begins.
        let loud = loudness(&samples[4_000..10_000]);
        // LAME takes a twentieth off.
        assert!((loud - want).abs() < 0.03, "{name}: {loud}");
        assert!(samples.iter().all(|x| x.is_finite() && x.abs() <= 1.0), "{name}");
    }
}

#[test]
fn the_name_does_not_matter() {
    for (name, _) in FILES {
        for extension in [None, Some("wav"), Some("mp3"), Some("exe")] {
            let samples = decode(file(name), extension, Limits::default());
            assert!(samples.is_ok(), "{name} as {extension:?}: {samples:?}");
        }
    }
}

#[test]
fn what_is_not_read_says_what_it_is() {
    assert_eq!(read("tone-opus.ogg", file("tone-opus.ogg")), Err(AudioError::UnknownCodec));
    assert_eq!(read("a.wav", Vec::new()), Err(AudioError::Empty));
    for bytes in [vec![0; 10_000], b"GIF89a and some more bytes of a picture".repeat(100)] {
        assert!(matches!(read("a.wav", bytes), Err(AudioError::NotAudio(_))));
    }
}

#[test]
fn limits_hold() {
    let bytes = file("tone.flac");
    let limits = Limits { max_bytes: bytes.len() - 1, ..Limits::default() };
    assert!(matches!(decode(bytes, None, limits), Err(AudioError::TooLarge { .. })));
    for (name, _) in FILES {
        let limits = Limits { max_seconds: 0, ..Limits::default() };
        let error = decode(file(name), None, limits);
        assert_eq!(error, Err(AudioError::TooLong { max_seconds: 0 }), "{name}");
    }
}

#[test]
fn cut_and_broken_files_end() {
    // Whatever comes out, something does: samples or an error, and not more than there is.
    let names = FILES.into_iter().map(|(name, _)| name).chain(["tone-opus.ogg"]);
    for name in names {
        let whole = file(name);
        for part in 0..20 {
            let cut = whole[..whole.len() * part / 20].to_vec();
            if let Ok(samples) = read(name, cut) {
                assert!(samples.len() < 16_000, "{name}: {} samples", samples.len());
            }
        }
        let mut state = 1_u32;
        for _ in 0..40 {
            let mut broken = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Headers, mostly: claims of sizes, rates and channels.
                let span = if state & 1 == 0 { 200.min(broken.len()) } else { broken.len() };
                let at = (state >> 8) as usize % span;
                broken[at] = if state & 2 == 0 { 0xff } else { (state >> 24) as u8 };
            }
            let _ = read(name, broken);
        }
    }
}

#[test]
fn a_recording_that_ends_early_is_read_as_far_as_it_goes() {
    let mut wrong = Vec::new();
    for (name, _) in FILES {
        let whole = file(name);
        let all = read(name, whole.clone()).unwrap().len();
        // Half of this one is room for tags, before its sound.
        let start = if name == "tone.flac" { 8256 } else { 0 };
        for part in 3..10 {
            let came = start + (whole.len() - start) * part / 10;
            let samples = read(name, whole[..came].to_vec());
            let is_right = match &samples {
                // What it holds is told at its end; a box after the one that is cut is not seen.
                Err(AudioError::CutOff { says, came: told }) if name == "tone.m4a" => {
                    *told == came && (came as u64..=whole.len() as u64).contains(says)
                }
                // All of its sound is in one page, which counts whole or not at all.
                Err(error) if name == "tone.ogg" => *error == AudioError::EndsEarly { came },
                Err(_) => false,
                Ok(samples) => (part - 2..=part).contains(&(10 * samples.len() / all)),
            };
            if !is_right {
                let samples = samples.map(|samples| samples.len());
                wrong.push(format!("{name}, {part} tenths: {samples:?} of {all}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_file_that_ends_before_its_sound_seems_to_be_cut_off() {
    for name in ["tone-8k.wav", "tone.m4a", "tone-tags.mp3", "tone.flac", "tone.ogg"] {
        let whole = file(name);
        for came in [24, 34] {
            let error = read(name, whole[..came].to_vec()).unwrap_err();
            assert!(error.to_string().contains("cut off"), "{name}: {error}");
            assert!(error.to_string().contains(&came.to_string()), "{name}: {error}");
        }
    }
    // The header is there, and one byte of the sound.
    let error = read("tone.flac", file("tone.flac")[..8257].to_vec());
    assert_eq!(error, Err(AudioError::EndsEarly { came: 8257 }));
    // Of wav files it is told how long they are to be.
    let whole = file("tone-8k.wav");
    let cut = AudioError::CutOff { says: whole.len() as u64, came: 34 };
    assert_eq!(read("a.wav", whole[..34].to_vec()), Err(cut));
}

/// A wav file with this `fmt ` chunk.
fn wav(format: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8], contents: &[u8]| {
        [kind, &(contents.len() as u32).to_le_bytes(), contents].concat()
    };
    let chunks = [&b"WAVE"[..], &chunk(b"fmt ", format), &chunk(b"data", &[0; 4000])].concat();
    chunk(b"RIFF", &chunks)
}

/// An extensible format of 16 bits at 16 kHz.
fn extensible(channels: u16, mask: u32) -> Vec<u8> {
    let mut format = [0xfffe, channels].map(u16::to_le_bytes).concat();
    format.extend([16_000_u32, 32_000].map(u32::to_le_bytes).concat());
    // Bytes of a frame, bits, bytes that follow, bits that count.
    format.extend([2_u16, 16, 22, 16].map(u16::to_le_bytes).concat());
    format.extend(mask.to_le_bytes());
    format.extend(b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
    format
}

#[test]
fn numbers_of_no_recording_are_refused_before_a_decoder_reckons_with_them() {
    let mut plain = file("tone-8k.wav");
    plain[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    assert_eq!(read("a.wav", plain), Err(AudioError::Channels(65_535)));
    assert_eq!(read("a.wav", wav(&extensible(2, 3))).map(|samples| samples.len()), Ok(1000));
    // Whatever the header says, the decoder does not panic, which is told so.
    let panicked = |result: &Result<_, AudioError>| {
        result.as_ref().is_err_and(|error| error.to_string().contains("gave up"))
    };
    let masks = (0..32).flat_map(|bit| [1 << bit, u32::MAX << bit, (1 << bit) - 1]);
    for mask in masks {
        for channels in (0..70).chain([255, 0x8000, u16::MAX - 1, u16::MAX]) {
            let result = read("a.wav", wav(&extensible(channels, mask)));
            assert!(!panicked(&result), "{channels} channels, {mask:x}");
            let is_refused = matches!(result, Err(AudioError::Channels(_)));
            assert_eq!(is_refused, !(1..=26).contains(&channels), "{channels}: {result:?}");
        }
    }
}
