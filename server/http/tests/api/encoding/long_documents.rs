//! Documents that are longer than a model reads, in Cohere's, Jina's and vLLM's form of ranking.

use serde_json::{Value, json};

use super::*;

/// The query is `w9`; the second of two documents is too long.
fn body(more: Value) -> Value {
    let mut body = json!({"model": "rank", "query": "w9", "documents": ["w2", long()]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// `w0 w1 …`
fn long() -> String {
    words_of(0..20)
}

fn words_of(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ")
}

/// What is said of the long one.
fn result(answer: &Value) -> &Value {
    let results = answer["results"].as_array().unwrap();
    results.iter().find(|result| result["index"] == 1).unwrap()
}

fn score(answer: &Value) -> f32 {
    result(answer)["relevance_score"].as_f64().unwrap() as f32
}

#[track_caller]
fn assert_score_of(answer: &Value, query: &str, left: &str) {
    assert_near(&[score(answer)], &[sigmoid(pair_row(&reranker(), query, left)[0])]);
}

#[tokio::test]
async fn a_document_is_cut_to_what_the_model_reads_beside_the_query() {
    let server = server();
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        for more in [json!({}), json!({"truncation": true})] {
            let answer = well(&server, path, body(more)).await;
            // Three of the 16 are around, and one is the query.
            assert_score_of(&answer, "w9", &words_of(0..12));
            // What was computed is counted: a pair of 5 and one of 16.
            let usage = json!({"prompt_tokens": 21, "total_tokens": 21});
            assert_eq!(answer["usage"], usage, "{path}");
            // What is returned is what was sent.
            let text = &result(&answer)["document"]["text"];
            assert!(text == &json!(long()) || path == "/v2/rerank", "{answer}");
        }
    }
    let answer = well(&server, "/v1/rerank", body(json!({"truncation_side": "left"}))).await;
    assert_score_of(&answer, "w9", &words_of(8..20));
    // The query stays whole, however long it is.
    let query = words_of(20..32);
    let answer = well(&server, "/v1/rerank", body(json!({"query": query}))).await;
    assert_score_of(&answer, &query, "w0");
}

#[tokio::test]
async fn limits_that_are_named_cut_as_they_say() {
    let server = server();
    for (more, num_left) in [
        (json!({"max_tokens_per_doc": 3}), 3),
        (json!({"max_tokens_per_doc": 3, "truncation": false}), 3),
        (json!({"max_tokens_per_doc": 4096}), 12),
        (json!({"truncate_prompt_tokens": -1}), 12),
        (json!({"truncate_prompt_tokens": 10}), 6),
        (json!({"truncate_prompt_tokens": 10, "max_tokens_per_doc": 2}), 2),
    ] {
        let answer = well(&server, "/v1/rerank", body(more)).await;
        assert_score_of(&answer, "w9", &words_of(0..num_left));
    }
    // Of both together the longer one is cut, as vLLM does: here the query.
    let query = words_of(20..40);
    let more = json!({"query": query, "documents": ["w2", "w1"], "truncate_prompt_tokens": -1});
    let answer = well(&server, "/v1/rerank", body(more)).await;
    assert_score_of(&answer, &words_of(20..32), "w1");
}

#[tokio::test]
async fn coheres_route_reads_no_more_than_4096_tokens_unasked() {
    let info = EncoderInfo { max_input_len: 8192, max_batch_tokens: 16_384, ..reranker() };
    let (server, _) = alone(Encoding::new(info));
    let document = vec!["w1"; 5000].join(" ");
    let ask = |more: Value| {
        let mut body = json!({"query": "w9", "documents": [document]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (path, more, expected) in [
        ("/v2/rerank", json!({}), 4096),
        ("/v2/rerank", json!({"max_tokens_per_doc": 4500}), 4500),
        ("/v2/rerank", json!({"truncation": false}), 5000),
        ("/v1/rerank", json!({}), 5000),
    ] {
        let answer = well(&server, path, ask(more)).await;
        assert_eq!(answer["usage"]["prompt_tokens"], expected + 4, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_to_be_cut_is_refused() {
    let server = server();
    let (param, message) = bad(&server, "/v1/rerank", body(json!({"truncation": false}))).await;
    assert_eq!(param, "documents[1]");
    assert!(message.contains("24 tokens"), "{message}");
    // A query that leaves nothing to documents is at fault itself.
    for (query, model) in [(words_of(0..13), "rank"), (long(), "rank"), (long(), "emb")] {
        let more = json!({"query": query, "model": model});
        let (status, answer) = ask(&server, "/v1/rerank", body(more)).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("query")));
        assert_eq!(error["code"], "context_length_exceeded", "{answer}");
    }
}

#[tokio::test]
async fn an_embedder_reads_as_much_of_a_document_as_it_can() {
    let server = server();
    let info = embedder();
    let query = row(&info, "w9");
    for (more, left) in [
        (json!({}), words_of(0..14)),
        (json!({"truncation_side": "left"}), words_of(6..20)),
        (json!({"max_tokens_per_doc": 2}), words_of(0..2)),
    ] {
        let mut body = body(json!({"model": "emb"}));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = well(&server, "/v1/rerank", body).await;
        assert_near(&[score(&answer)], &[cosine(&query, &row(&info, &left))]);
    }
    let more = json!({"model": "emb", "truncation": false});
    assert_eq!(bad(&server, "/v1/rerank", body(more)).await.0, "documents[1]");
}

#[tokio::test]
async fn what_is_too_long_to_tokenize_is_cut_before_it_is() {
    let server = server();
    let run = "x".repeat(300_000);
    let bytes = "w1 ".repeat(1_500_000);
    for (document, num_left) in [(run, 1), (bytes, 12)] {
        for side in ["right", "left"] {
            let more = json!({"documents": ["w2", document], "truncation_side": side});
            let answer = well(&server, "/v2/rerank", body(more)).await;
            assert_eq!(answer["usage"]["prompt_tokens"], 5 + 4 + num_left);
        }
        let more = json!({"documents": ["w2", document], "truncation": false});
        assert_eq!(bad(&server, "/v2/rerank", body(more)).await.0, "documents[1]");
    }
}
