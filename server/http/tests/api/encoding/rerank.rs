//! `POST /rerank`, `/v1/rerank` and `/v2/rerank` in Cohere's, Jina's and vLLM's form.

use serde_json::{Value, json};

use super::*;

const DOCUMENTS: [&str; 4] = ["w1 w2", "w3", "w4 w5 w6", "w7"];

fn body(more: Value) -> Value {
    let mut body = json!({"model": "rank", "query": "w9", "documents": DOCUMENTS});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Indices and scores, by the mock's own rows.
fn expected(score: impl Fn(&str) -> f32) -> Vec<(usize, f32)> {
    let mut ranks: Vec<_> = DOCUMENTS.map(score).into_iter().enumerate().collect();
    ranks.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranks
}

#[track_caller]
fn assert_ranks(results: &Value, expected: &[(usize, f32)]) {
    let results = results.as_array().unwrap();
    let indices: Vec<_> = results.iter().map(|r| r["index"].as_u64().unwrap() as usize).collect();
    assert_eq!(indices, expected.iter().map(|(idx, _)| *idx).collect::<Vec<_>>());
    let scores = results.iter().map(|r| r["relevance_score"].as_f64().unwrap() as f32);
    let scores: Vec<f32> = scores.collect();
    assert_near(&scores, &expected.iter().map(|(_, score)| *score).collect::<Vec<_>>());
}

#[tokio::test]
async fn documents_come_the_best_first_with_what_it_took() {
    let server = server();
    let expected = expected(|text| sigmoid(pair_row(&reranker(), "w9", text)[0]));
    let returns = [("/rerank", true, "1"), ("/v1/rerank", true, "1"), ("/v2/rerank", false, "2")];
    for (path, has_documents, version) in returns {
        let answer = well(&server, path, body(json!({}))).await;
        assert_ranks(&answer["results"], &expected);
        assert!(answer["id"].as_str().unwrap().starts_with("rerank-"));
        assert_eq!(answer["model"], "rank");
        // Each pair has the query and three tokens around.
        let num_tokens = 4 * 4 + 7;
        let usage = json!({"prompt_tokens": num_tokens, "total_tokens": num_tokens});
        assert_eq!(answer["usage"], usage);
        let meta =
            json!({"api_version": {"version": version}, "billed_units": {"search_units": 1}});
        assert_eq!(answer["meta"], meta);
        let first = &answer["results"][0];
        let document = json!({"text": DOCUMENTS[expected[0].0]});
        assert_eq!(first.get("document"), has_documents.then_some(&document), "{path}");
    }
}

#[tokio::test]
async fn options_of_ranking_do_what_they_say() {
    let server = server();
    let info = reranker();
    let by_default = expected(|text| sigmoid(pair_row(&info, "w9", text)[0]));
    let answer = well(&server, "/v1/rerank", body(json!({"top_n": 2}))).await;
    assert_ranks(&answer["results"], &by_default[..2]);
    for all in [4, 100] {
        let answer = well(&server, "/v1/rerank", body(json!({"top_n": all}))).await;
        assert_ranks(&answer["results"], &by_default);
    }
    let answer = well(&server, "/v1/rerank", body(json!({"return_documents": false}))).await;
    assert_eq!(answer["results"][0].get("document"), None);
    let answer = well(&server, "/v2/rerank", body(json!({"return_documents": true}))).await;
    assert!(answer["results"][0]["document"]["text"].is_string());
    let answer = well(&server, "/v1/rerank", body(json!({"use_activation": false}))).await;
    assert_ranks(&answer["results"], &expected(|text| pair_row(&info, "w9", text)[0]));
    let objects: Vec<_> = DOCUMENTS.iter().map(|text| json!({"text": text, "id": 1})).collect();
    let answer = well(&server, "/v1/rerank", body(json!({"documents": objects}))).await;
    assert_ranks(&answer["results"], &by_default);
    // Where one model can rank, it need not be named.
    let (alone, _) = alone(Encoding::new(reranker()));
    let answer = well(&alone, "/rerank", body(json!({"model": null}))).await;
    assert_ranks(&answer["results"], &by_default);
}

#[tokio::test]
async fn an_empty_document_among_others_is_ranked() {
    let server = server();
    let documents = ["w1", "", "w2"];
    let score = |text: &str| sigmoid(pair_row(&reranker(), "w9", text)[0]);
    let by_angle = |text: &str| cosine(&row(&embedder(), "w9"), &row(&embedder(), text));
    for (model, scores) in [("rank", documents.map(score)), ("emb", documents.map(by_angle))] {
        let more = json!({"model": model, "documents": documents});
        let answer = well(&server, "/v2/rerank", body(more)).await;
        let mut expected: Vec<_> = scores.into_iter().enumerate().collect();
        expected.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        assert_ranks(&answer["results"], &expected);
    }
}

#[tokio::test]
async fn a_model_with_several_labels_is_not_meant_where_none_is_named() {
    let metrics = Arc::new(Metrics::new());
    let labels = classifier(&["a", "b", "c"], Activation::Softmax);
    let models = AppState::builder()
        .model(Encoding::new(embedder()).serve("emb", &metrics))
        .model(Encoding::new(labels).serve("labels", &metrics));
    let server = router(models.metrics(metrics).build());
    let tei = json!({"query": "w9", "texts": DOCUMENTS, "documents": null, "model": null});
    let score = json!({"text_1": "w9", "text_2": "w1"});
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        let answer = well(&server, path, body(json!({"model": null}))).await;
        assert_eq!(answer["model"], "emb");
    }
    assert!(well(&server, "/rerank", tei).await.is_array());
    assert_eq!(well(&server, "/score", score).await["model"], "emb");
    let (param, message) = bad(&server, "/rerank", body(json!({"model": "labels"}))).await;
    assert_eq!(param, "model");
    assert!(message.contains("3 labels"), "{message}");
}

#[tokio::test]
async fn an_embedder_ranks_by_angles() {
    let server = server();
    let info = embedder();
    let query = row(&info, "w9");
    let answer = well(&server, "/v1/rerank", body(json!({"model": "emb"}))).await;
    assert_ranks(&answer["results"], &expected(|text| cosine(&query, &row(&info, text))));
}

#[tokio::test]
async fn bad_rankings_name_their_field() {
    let server = server();
    let many = vec!["w1"; 2049];
    let cases = [
        (json!({"query": null}), "query"),
        (json!({"query": ""}), "query"),
        (json!({"documents": null}), "documents"),
        (json!({"documents": []}), "documents"),
        (json!({"documents": many}), "documents"),
        (json!({"documents": ["w1", 7]}), "documents[1]"),
        (json!({"documents": ["w1", {"id": 7}]}), "documents[1].text"),
        (json!({"documents": ["", " \n"]}), "documents"),
        (json!({"top_n": 0}), "top_n"),
        (json!({"top_n": -1}), "top_n"),
        (json!({"truncation": "END"}), "truncation"),
        (json!({"max_tokens_per_doc": 0}), "max_tokens_per_doc"),
        (json!({"truncate_prompt_tokens": 17}), "truncate_prompt_tokens"),
        (json!({"model": null}), "model"),
    ];
    for (more, expected) in cases {
        for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
            let (param, message) = bad(&server, path, body(more.clone())).await;
            assert_eq!(param, expected, "{message}");
        }
    }
    let several = classifier(&["a", "b"], Activation::Softmax);
    let (several, _) = alone(Encoding::new(several));
    let (param, message) = bad(&several, "/v1/rerank", body(json!({"model": "enc"}))).await;
    assert_eq!(param, "model");
    assert!(message.contains("2 labels"), "{message}");
}
