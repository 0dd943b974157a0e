//! Each form of an answer, and what each field does.

use serde_json::json;
use server_guard::{Action, DenyList, Guard, Guards};

use super::*;
use crate::common::get;

const MODEL: (&str, &str) = ("model", "ears");

fn transcription(letters: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let fields = [&[MODEL], fields].concat();
    form(TRANSCRIPTIONS, Some(&wav(letters)), &fields)
}

fn translation(letters: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let fields = [&[MODEL], fields].concat();
    form(TRANSLATIONS, Some(&wav(letters)), &fields)
}

#[tokio::test]
async fn each_form_says_the_same() {
    let (router, file) = (server(), wav("hi"));
    let ask = |format: &'static str| {
        let fields = [("model", "ears"), ("response_format", format)];
        form("/v1/audio/transcriptions", Some(&file), &fields)
    };
    let usage = json!({"type": "duration", "seconds": 2});
    let whole = json!({"text": "h i", "usage": usage});
    assert_eq!(well(&router, ask("json")).await, whole);
    let fields = [("model", "ears")];
    assert_eq!(well(&router, form(TRANSCRIPTIONS, Some(&file), &fields)).await, whole);
    assert_eq!(said(&router, ask("text")).await, "h i\n");
    let srt = "1\n00:00:00,000 --> 00:00:01,000\nh\n\n2\n00:00:01,000 --> 00:00:02,000\ni\n\n";
    assert_eq!(said(&router, ask("srt")).await, srt);
    let vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nh\n\n00:00:01.000 --> 00:00:02.000\ni\n\n";
    assert_eq!(said(&router, ask("vtt")).await, vtt);
    let segment = |id: usize, letter: char| {
        json!({"id": id, "seek": id * 100, "start": id as f64, "end": id as f64 + 1.0,
            "text": format!(" {letter}"), "tokens": [257, 32, letter as u32, 258],
            "temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 0.5,
            "no_speech_prob": 0.125})
    };
    let verbose = json!({"task": "transcribe", "language": "german", "duration": 2.0,
        "text": "h i", "segments": [segment(0, 'h'), segment(1, 'i')], "usage": usage});
    assert_eq!(well(&router, ask("verbose_json")).await, verbose);
}

#[tokio::test]
async fn fields_reach_the_model() {
    let router = server();
    let text = |answer: Value| answer["text"].as_str().unwrap().to_owned();
    let asked = |fields: &[(&str, &str)]| well(&router, transcription("ab", fields));
    // The end of what is told beforehand, as it stands in a transcript: with a space before it.
    assert_eq!(text(asked(&[("prompt", "so")]).await), "a so b");
    assert_eq!(text(asked(&[("prompt", "")]).await), "a b");
    let long = format!("{}0123456789abcdef", "x".repeat(1000));
    assert_eq!(text(asked(&[("prompt", &long)]).await), "a0123456789abcdef b");
    // Marks that are written out are no text.
    assert_eq!(text(asked(&[("prompt", "s<eos>o")]).await), "a so b");
    assert_eq!(text(asked(&[("temperature", "0.4")]).await), "a? b");
    for (language, name) in [("en", "english"), ("EN", "english"), ("German", "german")] {
        let fields = [("language", language), ("response_format", "verbose_json")];
        assert_eq!(asked(&fields).await["language"], name);
    }
    let fields = [("timestamp_granularities[]", "segment"), ("response_format", "verbose_json")];
    assert_eq!(asked(&fields).await["segments"].as_array().unwrap().len(), 2);
    // What nobody knows is ignored, as everywhere.
    assert_eq!(text(asked(&[("odd", "x"), ("chunking_strategy", "auto")]).await), "a b");
}

#[tokio::test]
async fn words_have_times_where_they_are_asked_for() {
    let (router, name) = (server(), "timestamp_granularities[]");
    let verbose = ("response_format", "verbose_json");
    let asked = |fields: &[(&str, &str)]| well(&router, transcription("ab", fields));
    // The model's tokens take a tenth of a second each: a mark, a space, a letter.
    let word = |word: &str, start: f64, end: f64| json!({"word": word, "start": start, "end": end});
    let words = json!([word("a", 0.1, 0.3), word("b", 1.1, 1.3)]);
    let answer = asked(&[verbose, (name, "word")]).await;
    assert_eq!((&answer["words"], answer.get("segments")), (&words, None));
    let both = asked(&[verbose, (name, "segment"), (name, "word")]).await;
    assert_eq!(both["words"], words);
    let plain = asked(&[verbose]).await;
    assert_eq!((&both["segments"], plain.get("words")), (&plain["segments"], None));
    // Punctuation belongs to the word before it, and what is told beforehand has its own times.
    let told = asked(&[verbose, (name, "word"), ("prompt", "so, x")]).await;
    let first = json!([word("a", 0.1, 0.3), word("so,", 0.3, 0.7), word("x", 0.7, 0.9)]);
    assert_eq!(told["words"].as_array().unwrap()[..3], first.as_array().unwrap()[..]);
    // What lies after the recording's end is cut off.
    let fields = [MODEL, verbose, (name, "word")];
    let short = form(TRANSCRIPTIONS, Some(&wav_of(&[9000; 1600])), &fields);
    assert_eq!(well(&router, short).await["words"], json!([word("g", 0.1, 0.1)]));
}

#[tokio::test]
async fn words_of_translations_and_of_what_is_checked_have_no_times() {
    let fields = [("timestamp_granularities[]", "word"), ("response_format", "verbose_json")];
    let translated = refused(&server(), translation("ab", &fields)).await;
    let deny: Arc<dyn Guard> = Arc::new(DenyList::parse("secret", Action::Mask).unwrap());
    let guards = Guards { input: Vec::new(), output: vec![deny] };
    let guarded = router(builder().guards(guards).build());
    let checked = refused(&guarded, transcription("ab", &fields)).await;
    for ((status, param, message), says) in [(translated, "translations"), (checked, "checks")] {
        assert_eq!((status, &param), (StatusCode::BAD_REQUEST, &json!(fields[0].0)));
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn translations_are_in_english() {
    let router = server();
    let fields = [("prompt", "so"), ("temperature", "0.5"), ("response_format", "verbose_json")];
    let answer = well(&router, translation("ab", &fields)).await;
    assert_eq!(answer["text"], "a so!? b");
    assert_eq!((&answer["task"], &answer["language"]), (&json!("translate"), &json!("english")));
    assert_eq!(well(&router, translation("ab", &[])).await["text"], "a! b");
    let (fields, file) = ([("model", "ears"), ("response_format", "text")], wav("c"));
    assert_eq!(said(&router, form(TRANSLATIONS, Some(&file), &fields)).await, "c!\n");
}

#[tokio::test]
async fn a_stream_says_it_as_it_is_found() {
    let router = server();
    let fields = [("stream", "true")];
    let (status, headers, text) = call(&router, transcription("abc", &fields)).await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &SSE.parse().unwrap()));
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    let mut events: Vec<&str> =
        events.iter().map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let delta = |delta: &str| json!({"type": "transcript.text.delta", "delta": delta});
    let done = json!({"type": "transcript.text.done", "text": "a b c",
        "usage": {"type": "duration", "seconds": 3}});
    assert_eq!(events, [delta("a"), delta(" b"), delta(" c"), done]);
    let fields = [("stream", "false")];
    assert_eq!(well(&router, transcription("abc", &fields)).await["text"], "a b c");
}

const SSE: &str = "text/event-stream";

#[tokio::test]
async fn a_recording_of_one_sample_is_one() {
    let router = server();
    let request = form(TRANSCRIPTIONS, Some(&wav_of(&[9000])), &[MODEL]);
    let answer = well(&router, request).await;
    assert_eq!(answer["usage"], json!({"type": "duration", "seconds": 1}));
    assert_eq!(answer["text"], "g");
}

#[tokio::test]
async fn what_it_is_and_what_was_done_is_told() {
    let router = server();
    well(&router, transcription("ab", &[])).await;
    let (_, _, text) = get(&router, "/v1/models/ears").await;
    let model: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&model["kind"], &model["max_model_len"]), (&json!("transcriber"), &json!(64)));
    let (_, _, metrics) = get(&router, "/metrics").await;
    for line in [
        "agentbase_requests_total{model=\"ears\",outcome=\"finished\"} 1",
        "agentbase_engine_steps_total{model=\"ears\"} 2",
        "agentbase_generated_tokens_total{model=\"ears\"} 8",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}
