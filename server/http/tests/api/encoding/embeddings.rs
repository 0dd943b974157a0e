//! `POST /v1/embeddings`.

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine_core::{EncodeInput, EncoderInfo, EncoderOutput};
use engine_mock::MockEncoder;
use engine_text::Prompts;
use serde_json::{Value, json};

use super::*;
use crate::common::get;

const PATH: &str = "/v1/embeddings";

fn body(input: Value, more: Value) -> Value {
    let mut body = json!({"model": "emb", "input": input});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn embeddings(router: &Router, input: Value, more: Value) -> Vec<Vec<f32>> {
    let answer = well(router, PATH, body(input, more)).await;
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|one| floats(&one["embedding"])).collect()
}

#[tokio::test]
async fn a_text_becomes_an_embedding_in_openais_form() {
    let server = server();
    let mut answer = well(&server, PATH, body(json!("w1 w2 w3"), json!({"user": "me"}))).await;
    let embedding = floats(&answer["data"][0]["embedding"].take());
    assert_near(&embedding, &normalized(&row(&embedder(), "w1 w2 w3")));
    let expected = json!({"object": "list", "model": "emb",
        "data": [{"object": "embedding", "index": 0, "embedding": null}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5}});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn every_form_of_input_is_taken_and_order_is_kept() {
    let server = server();
    let texts = embeddings(&server, json!(["w1 w2", "w3", "w1 w2"]), json!({})).await;
    let info = embedder();
    let expected = ["w1 w2", "w3", "w1 w2"].map(|text| normalized(&row(&info, text)));
    texts.iter().zip(&expected).for_each(|(got, expected)| assert_near(got, expected));
    // Tokens are taken as they are: what is put around a text is theirs to bring.
    let tokens = embeddings(&server, json!([[0, 4, 5, 1], [0, 6, 1]]), json!({})).await;
    assert_eq!(tokens, texts[..2]);
    let one = embeddings(&server, json!([0, 6, 1]), json!({})).await;
    assert_eq!(one, texts[1..2]);
    let bare = embeddings(&server, json!("w3"), json!({"add_special_tokens": false})).await;
    assert_near(&bare[0], &normalized(&row_of(&info, vec![6])));
}

#[tokio::test]
async fn base64_holds_the_same_numbers_in_little_endian() {
    let server = server();
    let plain = embeddings(&server, json!("w1"), json!({"encoding_format": "float"})).await;
    let more = json!({"encoding_format": "base64"});
    let answer = well(&server, PATH, body(json!("w1"), more)).await;
    let bytes = BASE64_STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!((numbers, rest.len()), (plain[0].clone(), 0));
    let (param, message) =
        bad(&server, PATH, body(json!("w1"), json!({"encoding_format": "bytes"}))).await;
    assert_eq!(param, "encoding_format");
    assert!(message.contains("expected `float` or `base64`"), "{message}");
}

#[tokio::test]
async fn dimensions_cut_where_the_model_was_trained_for_it() {
    let server = server();
    let cut = embeddings(&server, json!("w1"), json!({"dimensions": 3})).await;
    let whole = row(&embedder(), "w1");
    assert_near(&cut[0], &normalized(&whole[..3]));
    let raw = embeddings(&server, json!("w1"), json!({"use_activation": false})).await;
    assert_near(&raw[0], &whole);
    for dimensions in [json!(0), json!(9), json!(-1), json!("3")] {
        let body = body(json!("w1"), json!({"dimensions": dimensions}));
        assert_eq!(bad(&server, PATH, body).await.0, "dimensions");
    }
    let output = EncoderOutput::Embedding { dim: DIM, normalized: true, truncatable: None };
    let (fixed, _) = alone(Encoding::new(EncoderInfo { output, ..embedder() }));
    let asked = |more: Value| {
        let mut body = body(json!("w1"), more);
        body["model"] = json!("enc");
        body
    };
    let (param, message) = bad(&fixed, PATH, asked(json!({"dimensions": 3}))).await;
    assert_eq!(param, "dimensions");
    assert!(message.contains("must be 8"), "{message}");
    well(&fixed, PATH, asked(json!({"dimensions": 8}))).await;
    let (param, _) = bad(&fixed, PATH, asked(json!({"use_activation": false}))).await;
    assert_eq!(param, "use_activation");
}

#[tokio::test]
async fn what_is_too_long_is_refused_or_cut() {
    let server = server();
    let long = vec!["w1"; MAX_INPUT_LEN - 1].join(" ");
    let (status, answer) = ask(&server, PATH, body(json!(["w1", long, "w2"]), json!({}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let error = &answer["error"];
    assert_eq!(
        (&error["param"], &error["code"]),
        (&json!("input[1]"), &json!("context_length_exceeded"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("16 tokens") && message.contains("17 tokens"), "{message}");

    let words: Vec<String> = (0..20).map(|number| format!("w{number}")).collect();
    let words = words.join(" ");
    let info = embedder();
    for (tokens, side, kept) in [
        (-1, None, (0..14).collect::<Vec<u32>>()),
        (5, None, vec![0, 1, 2]),
        (5, Some("right"), vec![0, 1, 2]),
        (5, Some("left"), vec![17, 18, 19]),
    ] {
        let more = json!({"truncate_prompt_tokens": tokens, "truncation_side": side});
        let got = embeddings(&server, json!(words), more).await;
        let kept = kept.iter().map(|number| 3 + number);
        let tokens = [CLS].into_iter().chain(kept).chain([SEP]).collect();
        assert_near(&got[0], &normalized(&row_of(&info, tokens)));
    }
    let more = json!({"truncate_prompt_tokens": 2});
    let got = embeddings(&server, json!([[3, 4, 5]]), more).await;
    assert_near(&got[0], &normalized(&row_of(&info, vec![3, 4])));
    for tokens in [0, 17, -2] {
        let body = body(json!("w1"), json!({"truncate_prompt_tokens": tokens}));
        assert_eq!(bad(&server, PATH, body).await.0, "truncate_prompt_tokens");
    }
    // Less than is put around a text.
    let body = body(json!("w1"), json!({"truncate_prompt_tokens": 1}));
    assert_eq!(bad(&server, PATH, body).await.0, "truncate_prompt_tokens");
}

#[tokio::test]
async fn one_bad_input_among_good_ones_is_named_and_nothing_is_computed() {
    let (router, handle) = alone(Encoding::new(embedder()));
    let good = "w1";
    let cases = [
        (json!([good, "", good]), "input[1]"),
        (json!([[3], [], [4]]), "input[1]"),
        (json!([[3], [4, 63]]), "input[1]"),
        (json!([good, good, 7]), "input[2]"),
        (json!([good, null]), "input[1]"),
        (json!([[3], [-1]]), "input[1][0]"),
        (json!([[3], "w1"]), "input[1]"),
        (json!(""), "input"),
        (json!([]), "input"),
        (json!([[]]), "input"),
        (json!({"text": "w1"}), "input"),
        (json!(null), "input"),
    ];
    for (input, expected) in cases {
        let body = json!({"model": "enc", "input": input});
        let (param, message) = bad(&router, PATH, body).await;
        assert_eq!(param, expected, "{input}: {message}");
    }
    let (param, _) = bad(&router, PATH, json!({"model": "enc"})).await;
    assert_eq!(param, "input");
    assert_eq!(handle.stats().steps, 0);
    well(&router, PATH, json!({"model": "enc", "input": good})).await;
}

#[tokio::test]
async fn two_thousand_and_forty_eight_inputs_and_no_more() {
    let server = server();
    let texts = |num: usize| -> Vec<String> { (0..num).map(|n| format!("w{}", n % 60)).collect() };
    let answers = embeddings(&server, json!(texts(2048)), json!({})).await;
    let info = embedder();
    assert_eq!(answers.len(), 2048);
    for (idx, got) in answers.iter().enumerate() {
        assert_near(got, &normalized(&row(&info, &format!("w{}", idx % 60))));
    }
    let (param, message) = bad(&server, PATH, body(json!(texts(2049)), json!({}))).await;
    assert_eq!(param, "input");
    assert!(message.contains("2049") && message.contains("2048"), "{message}");
}

#[tokio::test]
async fn a_model_of_another_kind_says_what_it_is() {
    let server = server();
    let cases = [
        (
            PATH,
            json!({"model": "mock", "input": "w1"}),
            "generates text; it cannot make embeddings",
        ),
        (
            PATH,
            json!({"model": "rank", "input": "w1"}),
            "classifies texts; it cannot make embeddings",
        ),
        (
            "/v1/completions",
            json!({"model": "emb", "prompt": "w1"}),
            "makes embeddings; it cannot gen",
        ),
        (
            "/v1/chat/completions",
            json!({"model": "emb", "messages": [{"role": "user", "content": "w1"}]}),
            "makes embeddings; it cannot generate text or chat",
        ),
        (
            "/v1/responses",
            json!({"model": "rank", "input": "w1"}),
            "classifies texts; it cannot gen",
        ),
        ("/v1/classify", json!({"model": "emb", "input": "w1"}), "it cannot classify"),
        (
            "/v1/rerank",
            json!({"model": "mock", "query": "w1", "documents": ["w2"]}),
            "cannot classify or rank",
        ),
    ];
    for (path, body, says) in cases {
        let (status, answer) = ask(&server, path, body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("model")), "{path}");
        assert_eq!(error["code"], "unsupported_model");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    let (param, _) = bad(&server, PATH, json!({"input": "w1"})).await;
    assert_eq!(param, "model", "OpenAI's route wants it");
    let (status, _) = ask(&server, PATH, json!({"model": "no", "input": "w1"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn models_of_all_kinds_are_listed_and_tokenize() {
    let server = server();
    let (_, _, text) = get(&server, "/v1/models").await;
    let list: Value = serde_json::from_str(&text).unwrap();
    let of = |model: &Value| {
        (model["id"].clone(), model["kind"].clone(), model["max_model_len"].clone())
    };
    let models: Vec<_> = list["data"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(
        models,
        [
            (json!("emb"), json!("embedder"), json!(16)),
            (json!("mock"), Value::Null, json!(512)),
            (json!("rank"), json!("classifier"), json!(16)),
        ]
    );
    let answer = well(&server, "/tokenize", json!({"model": "emb", "prompt": "w1 w2"})).await;
    assert_eq!((&answer["tokens"], &answer["max_model_len"]), (&json!([0, 4, 5, 1]), &json!(16)));
    // Without a name it is the model that generates, where there is one of them.
    let answer = well(&server, "/tokenize", json!({"prompt": "a"})).await;
    assert_eq!(answer["tokens"], json!([256, 97]));
    let (alone, _) = alone(Encoding::new(embedder()));
    let answer = well(&alone, "/tokenize", json!({"prompt": "w1"})).await;
    assert_eq!(answer["tokens"], json!([0, 4, 1]));
}

#[tokio::test]
async fn the_models_own_prompt_goes_before_texts_and_may_not_be_pooled() {
    for are_pooled in [true, false] {
        let config = br#"{"prompts": {"q": "w7 w8 "}, "default_prompt_name": "q"}"#;
        let prompts = Prompts { are_pooled, ..Prompts::from_files(Some(config), None).unwrap() };
        let (router, _) = alone(Encoding { prompts, ..Encoding::new(embedder()) });
        let answer = well(&router, PATH, json!({"model": "enc", "input": "w1"})).await;
        let tokens = vec![CLS, 10, 11, 4, SEP];
        let not_pooled = if are_pooled { 0 } else { 3 };
        let input = EncodeInput { tokens, not_pooled, ..EncodeInput::default() };
        let expected = MockEncoder::row(&embedder(), &input);
        assert_near(&floats(&answer["data"][0]["embedding"]), &normalized(&expected));
        assert_eq!(answer["usage"]["prompt_tokens"], 5);
    }
}

#[tokio::test]
async fn options_of_others_that_would_change_the_answer_are_refused() {
    let server = server();
    for more in
        [json!({"messages": [{}]}), json!({"embed_dtype": "float16"}), json!({"endianness": "big"})]
    {
        let name = more.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(bad(&server, PATH, body(json!("w1"), more)).await.0, json!(name));
    }
}
