//! The forms of an answer: JSON, text, subtitles.
//!
//! Invariant: a subtitle is one block: line breaks within a text become spaces.

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use engine_core::SpeechTask;
use server_api::{AudioFormat, Transcription, TranscriptionSegment, VerboseTranscription};

use super::asked::Asked;
use super::languages;
use super::run::{Said, Transcript, usage};

/// The answer.
pub(super) fn write(asked: &Asked, task: SpeechTask, transcript: Transcript) -> Response {
    match asked.format {
        AudioFormat::Json => {
            let usage = usage(transcript.seconds);
            Json(Transcription { text: transcript.text, usage }).into_response()
        }
        AudioFormat::VerboseJson => Json(verbose(asked, task, transcript)).into_response(),
        AudioFormat::Text => plain("text/plain", transcript.text + "\n"),
        AudioFormat::Srt => plain("text/plain", srt(&transcript.said)),
        AudioFormat::Vtt => plain("text/vtt", vtt(&transcript.said)),
    }
}

fn plain(kind: &str, text: String) -> Response {
    ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response()
}

fn verbose(asked: &Asked, task: SpeechTask, transcript: Transcript) -> VerboseTranscription {
    let Transcript { mut said, text, language, seconds } = transcript;
    let (task, language) = match task {
        SpeechTask::Transcribe => ("transcribe", languages::name(&language)),
        SpeechTask::Translate => ("translate", "english"),
    };
    let words = said.iter_mut().flat_map(|said| std::mem::take(&mut said.words));
    let words = asked.words.then(|| words.collect());
    let segment = |(id, Said { segment, text, .. }): (usize, Said)| TranscriptionSegment {
        id,
        seek: segment.seek,
        start: segment.start,
        end: segment.end,
        text,
        tokens: segment.tokens,
        temperature: segment.temperature,
        avg_logprob: segment.avg_logprob,
        compression_ratio: segment.compression_ratio,
        no_speech_prob: segment.no_speech_prob,
    };
    VerboseTranscription {
        task: task.to_owned(),
        language: language.to_owned(),
        duration: seconds,
        text,
        words,
        segments: asked.segments.then(|| said.into_iter().enumerate().map(segment).collect()),
        usage: usage(seconds),
    }
}

fn srt(said: &[Said]) -> String {
    let block = |(i, Said { segment, text, .. }): (usize, &Said)| {
        let (start, end) = (time(segment.start, ','), time(segment.end, ','));
        format!("{}\n{start} --> {end}\n{}\n\n", i + 1, line(text))
    };
    said.iter().enumerate().map(block).collect()
}

fn vtt(said: &[Said]) -> String {
    let block = |Said { segment, text, .. }: &Said| {
        let (start, end) = (time(segment.start, '.'), time(segment.end, '.'));
        // What would end the text of a subtitle, or begin a tag in it.
        let text = line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("{start} --> {end}\n{text}\n\n")
    };
    let blocks: String = said.iter().map(block).collect();
    format!("WEBVTT\n\n{blocks}")
}

/// A text on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `HH:MM:SS,mmm`.
fn time(seconds: f64, point: char) -> String {
    let millis = (seconds * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{millis:03}")
}

#[cfg(test)]
mod tests {
    use engine_core::Segment;

    use super::*;

    fn said(start: f64, end: f64, text: &str) -> Said {
        let segment = Segment { start, end, ..Segment::default() };
        Said { segment, text: text.to_owned(), words: Vec::new() }
    }

    #[test]
    fn subtitles_have_their_forms() {
        let all = [said(0.0, 3.32, " One <b>\nline."), said(59.9999, 3661.5, " Two & more.")];
        let want = "1\n00:00:00,000 --> 00:00:03,320\nOne <b> line.\n\n\
                    2\n00:01:00,000 --> 01:01:01,500\nTwo & more.\n\n";
        assert_eq!(srt(&all), want);
        let want = "WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nOne &lt;b&gt; line.\n\n\
                    00:01:00.000 --> 01:01:01.500\nTwo &amp; more.\n\n";
        assert_eq!(vtt(&all), want);
        assert_eq!(vtt(&[]), "WEBVTT\n\n");
    }
}
