//! `POST /score` and `/v1/score`.

use serde_json::{Value, json};

use super::*;

fn scores(answer: &Value) -> Vec<f32> {
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|one| one["score"].as_f64().unwrap() as f32).collect()
}

#[tokio::test]
async fn one_is_scored_with_all_or_each_with_its_own() {
    let server = server();
    let info = reranker();
    let of = |first: &str, second: &str| sigmoid(pair_row(&info, first, second)[0]);
    for path in ["/score", "/v1/score"] {
        let body = json!({"model": "rank", "text_1": "w1", "text_2": ["w2", "w3 w4"]});
        let answer = well(&server, path, body).await;
        assert_near(&scores(&answer), &[of("w1", "w2"), of("w1", "w3 w4")]);
        assert!(answer["id"].as_str().unwrap().starts_with("score-"));
        assert!(answer["created"].as_i64().unwrap() > 1_700_000_000);
        assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("rank")));
        assert_eq!(answer["usage"], json!({"prompt_tokens": 11, "total_tokens": 11}));
        let one = &answer["data"][1];
        assert_eq!((&one["index"], &one["object"]), (&json!(1), &json!("score")));
        let body = json!({"model": "rank", "text_1": ["w1", "w5"], "text_2": ["w2", "w3"]});
        let answer = well(&server, path, body).await;
        assert_near(&scores(&answer), &[of("w1", "w2"), of("w5", "w3")]);
        let body =
            json!({"model": "rank", "text_1": "w1", "text_2": "w2", "use_activation": false});
        let answer = well(&server, path, body).await;
        assert_near(&scores(&answer), &[pair_row(&info, "w1", "w2")[0]]);
    }
    let info = embedder();
    let body = json!({"model": "emb", "text_1": ["w1", "w5"], "text_2": ["w2", "w5"]});
    let answer = well(&server, "/score", body).await;
    let near = cosine(&row(&info, "w1"), &row(&info, "w2"));
    assert_near(&scores(&answer), &[near, 1.0]);
}

#[tokio::test]
async fn bad_pairs_name_their_field() {
    let server = server();
    let long = vec!["w1"; 20].join(" ");
    let cases = [
        (json!({"text_1": ["w1", "w2"], "text_2": ["w1", "w2", "w3"]}), "text_1"),
        (json!({"text_1": ["w1", "w2"], "text_2": "w1"}), "text_1"),
        (json!({"text_1": [], "text_2": "w1"}), "text_1"),
        (json!({"text_1": "w1", "text_2": []}), "text_2"),
        (json!({"text_1": "w1"}), "text_2"),
        (json!({"text_1": "w1", "text_2": ["w1", long]}), "text_2[1]"),
        (json!({"text_1": "w1", "text_2": ["w1", 2]}), "text_2[1]"),
    ];
    for (mut body, expected) in cases {
        body["model"] = json!("rank");
        assert_eq!(bad(&server, "/score", body).await.0, expected);
    }
    let body =
        json!({"model": "rank", "text_1": "w1", "text_2": long, "truncate_prompt_tokens": -1});
    well(&server, "/score", body).await;
}

#[tokio::test]
async fn of_one_label_softmax_is_not_always_one() {
    let (router, _) = alone(Encoding::new(classifier(&["x"], Activation::Softmax)));
    let body = json!({"text_1": "w1", "text_2": ["w2", "w3"]});
    let answer = well(&router, "/score", body).await;
    let scores = scores(&answer);
    assert!(scores[0] < 1.0 && scores[0] != scores[1], "{scores:?}");
}
