//! The routes of text-embeddings-inference.

use engine_core::EncodeInput;
use engine_mock::MockEncoder;
use serde_json::{Value, json};
use server_http::{AuthError, Authenticate, Caller};

use super::*;
use crate::common::get;

/// The status and the words of an error in that server's shape.
async fn error(router: &Router, path: &str, body: Value) -> (u16, String, String) {
    let (status, answer) = ask(router, path, body).await;
    let fields: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["error", "error_type"], "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (status.as_u16(), text("error"), text("error_type"))
}

#[tokio::test]
async fn embed_answers_with_arrays_alone() {
    let server = server();
    let info = embedder();
    let answer = well(&server, "/embed", json!({"inputs": "w1"})).await;
    assert_eq!(answer.as_array().unwrap().len(), 1);
    assert_near(&floats(&answer[0]), &normalized(&row(&info, "w1")));
    let body = json!({"inputs": ["w1", "w2"], "normalize": false});
    let answer = well(&server, "/embed", body).await;
    assert_near(&floats(&answer[1]), &row(&info, "w2"));
    let answer = well(&server, "/embed", json!({"inputs": "w1", "dimensions": 2})).await;
    assert_near(&floats(&answer[0]), &normalized(&row(&info, "w1")[..2]));
    let long: Vec<String> = (0..20).map(|number| format!("w{number}")).collect();
    let body = json!({"inputs": long.join(" "), "truncate": true, "truncation_direction": "Left"});
    let answer = well(&server, "/embed", body).await;
    assert_near(&floats(&answer[0]), &normalized(&row(&info, &long[6..].join(" "))));
}

#[tokio::test]
async fn prompts_are_named() {
    let config = br#"{"prompts": {"query": "w7 "}}"#;
    let prompts = Prompts::from_files(Some(config), None).unwrap();
    let (router, _) = alone(Encoding { prompts, ..Encoding::new(embedder()) });
    let body = json!({"inputs": "w1", "prompt_name": "query"});
    let answer = well(&router, "/embed", body).await;
    let input = EncodeInput { tokens: vec![CLS, 10, 4, SEP], ..EncodeInput::default() };
    let expected = MockEncoder::row(&embedder(), &input);
    assert_near(&floats(&answer[0]), &normalized(&expected));
    let body = json!({"inputs": "w1", "prompt_name": "other"});
    let (status, message, _) = error(&router, "/embed", body).await;
    assert_eq!(status, 413);
    assert!(message.contains("'prompt_name'") && message.contains("query"), "{message}");
}

#[tokio::test]
async fn rerank_with_texts_answers_as_that_server_does() {
    let server = server();
    let info = reranker();
    let texts = ["w1", "w2", "w3"];
    let body = json!({"model": "rank", "query": "w9", "texts": texts, "return_text": true});
    let answer = well(&server, "/rerank", body).await;
    let mut expected: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(idx, text)| (sigmoid(pair_row(&info, "w9", text)[0]), idx))
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rank, (score, idx)) in answer.as_array().unwrap().iter().zip(expected) {
        assert_eq!((&rank["index"], &rank["text"]), (&json!(idx), &json!(texts[idx])));
        assert_near(&[rank["score"].as_f64().unwrap() as f32], &[score]);
    }
    let body = json!({"model": "rank", "query": "w9", "texts": ["w1"], "raw_scores": true});
    let answer = well(&server, "/rerank", body).await;
    assert_eq!(answer[0].get("text"), None);
    let raw = pair_row(&info, "w9", "w1")[0];
    assert_near(&[answer[0]["score"].as_f64().unwrap() as f32], &[raw]);
    let long = vec!["w1"; 20].join(" ");
    let body = json!({"model": "rank", "query": "w9", "texts": ["w1", long]});
    let (status, message, kind) = error(&server, "/rerank", body.clone()).await;
    assert_eq!((status, kind.as_str()), (413, "Validation"));
    assert!(message.contains("'texts[1]'"), "{message}");
    let mut cut = body;
    cut["truncate"] = json!(true);
    well(&server, "/rerank", cut).await;
}

#[tokio::test]
async fn predict_takes_texts_pairs_and_batches() {
    let info = classifier(&["a", "b", "c"], Activation::Softmax);
    let (router, _) = alone(Encoding::new(info.clone()));
    let raw = |inputs: Value| json!({"inputs": inputs, "raw_scores": true});
    let expected = |row: Vec<f32>| {
        let mut all: Vec<_> = row.into_iter().zip(["a", "b", "c"]).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all
    };
    let check = |answer: &Value, row: Vec<f32>| {
        let answer = answer.as_array().unwrap();
        assert_eq!(answer.len(), 3);
        for (one, (score, label)) in answer.iter().zip(expected(row)) {
            assert_eq!(one["label"], label);
            assert_near(&[one["score"].as_f64().unwrap() as f32], &[score]);
        }
    };
    check(&well(&router, "/predict", raw(json!("w1"))).await, row(&info, "w1"));
    check(&well(&router, "/predict", raw(json!(["w1", "w2"]))).await, pair_row(&info, "w1", "w2"));
    let batch = well(&router, "/predict", raw(json!([["w1"], ["w1", "w2"]]))).await;
    check(&batch[0], row(&info, "w1"));
    check(&batch[1], pair_row(&info, "w1", "w2"));
    let answer = well(&router, "/predict", json!({"inputs": "w1"})).await;
    let sum: f64 =
        answer.as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{answer}");
}

#[tokio::test]
async fn predict_cuts_what_is_too_long_from_the_side_that_is_named() {
    let (router, _) = alone(Encoding::new(classifier(&["a", "b"], Activation::Softmax)));
    let texts = ["w1 ".repeat(20) + "w2", "w2".to_owned() + &" w1".repeat(20)];
    let long = |text: &str| json!({"inputs": text});
    assert_eq!(error(&router, "/predict", long(&texts[0])).await.0, 413);
    let cut = async |text: &str, side: &str| {
        let body = json!({"inputs": text, "truncate": true, "truncation_direction": side});
        well(&router, "/predict", body).await
    };
    // Cut from the left only the first still has w2, cut from the right only the second.
    let [lefts, rights] = ["Left", "Right"].map(|side| [(&texts[0], side), (&texts[1], side)]);
    for [one, other] in [lefts, rights] {
        assert_ne!(cut(one.0, one.1).await, cut(other.0, other.1).await);
    }
}

#[tokio::test]
async fn similarity_is_the_cosine() {
    let server = server();
    let info = embedder();
    let body = json!({"inputs": {"source_sentence": "w1", "sentences": ["w2", "w1"]}});
    let answer = well(&server, "/similarity", body).await;
    let near = cosine(&row(&info, "w1"), &row(&info, "w2"));
    assert_near(&floats(&answer), &[near, 1.0]);
    let body = json!({"inputs": {"source_sentence": "w1", "sentences": []}});
    let (status, message, _) = error(&server, "/similarity", body).await;
    assert_eq!(status, 413);
    assert!(message.contains("inputs.sentences"), "{message}");
}

#[tokio::test]
async fn info_tells_of_the_one_encoder() {
    let info = |router: Router| async move {
        let (status, _, text) = get(&router, "/info").await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let (status, told) = info(alone(Encoding::new(embedder())).0).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&told["model_id"], &told["max_input_length"]), (&json!("enc"), &json!(16)));
    assert_eq!(told["max_client_batch_size"], 2048);
    assert!(told["model_type"].get("embedding").is_some());
    let (_, told) = info(alone(Encoding::new(reranker())).0).await;
    assert_eq!(told["model_type"]["reranker"]["id2label"], json!({"0": "LABEL_0"}));
    let several = classifier(&["a", "b"], Activation::Softmax);
    let (_, told) = info(alone(Encoding::new(several)).0).await;
    assert_eq!(told["model_type"]["classifier"]["label2id"], json!({"a": 0, "b": 1}));
    let (_, told) = info(server()).await;
    assert_eq!(told["error_type"], "Validation");
}

#[tokio::test]
async fn errors_have_that_servers_shape_whoever_found_them() {
    let server = server();
    let long = vec!["w1"; 20].join(" ");
    let cases = [
        ("/embed", json!({}), "'inputs'"),
        ("/embed", json!({"inputs": []}), "'inputs'"),
        ("/embed", json!({"inputs": ["w1", ""]}), "'inputs[1]'"),
        ("/embed", json!({"inputs": ["w1", long]}), "'inputs[1]'"),
        ("/embed", json!({"inputs": vec!["w1"; 2049]}), "2049"),
        ("/embed", json!({"inputs": "w1", "truncation_direction": "Up"}), "truncation_direction"),
        ("/embed", json!({"inputs": "w1", "model": "rank"}), "cannot make embeddings"),
        ("/predict", json!({"inputs": ["a", "b", "c"], "model": "rank"}), "inputs"),
        ("/predict", json!({"inputs": [["a"], [""]], "model": "rank"}), "'inputs[1]'"),
        ("/predict", json!({"inputs": "a", "model": "emb"}), "cannot classify"),
        ("/rerank", json!({"query": "", "texts": ["a"], "model": "rank"}), "'query'"),
        ("/rerank", json!({"texts": ["a"], "model": "rank"}), "'query'"),
        ("/rerank", json!({"query": "a", "texts": [], "model": "rank"}), "'texts'"),
        ("/rerank", json!({"query": "a", "texts": ["a"]}), "'model'"),
    ];
    for (path, body, says) in cases {
        let (status, message, kind) = error(&server, path, body).await;
        assert_eq!((status, kind.as_str()), (413, "Validation"), "{message}");
        assert!(message.contains(says), "{path}: {message}");
    }
    let (status, _, kind) = error(&server, "/embed", json!({"inputs": "a", "model": "no"})).await;
    assert_eq!((status, kind.as_str()), (404, "Validation"));
}

/// Lets nobody in.
struct Nobody;

impl Authenticate for Nobody {
    fn check(&self, _bearer: Option<&str>) -> Result<Caller, AuthError> {
        Err(AuthError::Missing)
    }
}

#[tokio::test]
async fn without_a_key_there_is_no_answer_in_that_servers_shape_either() {
    let server = router(builder().auth(Arc::new(Nobody)).build());
    for path in ["/embed", "/similarity", "/predict"] {
        let (status, message, _) = error(&server, path, json!({"inputs": "w1"})).await;
        assert_eq!(status, 401, "{path}: {message}");
    }
    let (status, _, text) = get(&server, "/info").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
    for path in ["/rerank", "/v1/embeddings", "/v1/moderations"] {
        let (status, answer) = ask(&server, path, json!({"input": "w1"})).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::UNAUTHORIZED, &json!("invalid_api_key"))
        );
    }
}
