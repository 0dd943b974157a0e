//! `POST /v1/moderations`.

use serde_json::{Value, json};
use server_http::Moderator;

use super::*;

const PATH: &str = "/v1/moderations";
const LABELS: [&str; 3] = ["neutral", "threat", "insult"];

fn moderated(threshold: f32) -> Router {
    let metrics = Metrics::new();
    let info = classifier(&LABELS, Activation::Sigmoid);
    let harmless = vec!["neutral".to_owned()];
    let moderator = Moderator { model: "judge".to_owned(), threshold, harmless };
    let state = builder().model(Encoding::new(info).serve("judge", &metrics)).moderator(moderator);
    router(state.build())
}

fn scores(text: &str) -> Vec<f32> {
    let info = classifier(&LABELS, Activation::Sigmoid);
    row(&info, text).into_iter().map(sigmoid).collect()
}

#[tokio::test]
async fn texts_are_judged_by_the_operators_classifier() {
    let router = moderated(0.5);
    for model in [Value::Null, json!("omni-moderation-latest"), json!("judge")] {
        let body = json!({"model": model, "input": ["w1", "w2", "w3", "w4"]});
        let answer = well(&router, PATH, body).await;
        assert!(answer["id"].as_str().unwrap().starts_with("modr-"));
        assert_eq!(answer["model"], "judge");
        let mut flags = Vec::new();
        for (idx, text) in ["w1", "w2", "w3", "w4"].into_iter().enumerate() {
            let (result, scores) = (&answer["results"][idx], scores(text));
            let told = &result["category_scores"];
            let told = [&told["threat"], &told["insult"]].map(|s| s.as_f64().unwrap() as f32);
            assert_near(&told, &scores[1..]);
            let harms = [scores[1] >= 0.5, scores[2] >= 0.5];
            assert_eq!(result["categories"], json!({"threat": harms[0], "insult": harms[1]}));
            assert_eq!(result["flagged"], harms[0] || harms[1]);
            let types = json!({"threat": ["text"], "insult": ["text"]});
            assert_eq!(result["category_applied_input_types"], types);
            flags.push(harms[0] || harms[1]);
        }
        assert!(flags.contains(&true) && flags.contains(&false), "{flags:?}");
    }
    let strict = well(&moderated(0.0), PATH, json!({"input": "w1"})).await;
    assert_eq!(strict["results"][0]["flagged"], true);
}

#[tokio::test]
async fn parts_are_one_input_and_pictures_none() {
    let router = moderated(0.5);
    let parts = json!([{"type": "text", "text": "w1"}, {"type": "text", "text": "w2"}]);
    let answer = well(&router, PATH, json!({"input": parts})).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    let together = well(&router, PATH, json!({"input": "w1\nw2"})).await;
    assert_eq!(answer["results"], together["results"]);
    let picture = json!({"type": "image_url", "image_url": {"url": "data:"}});
    let parts = json!([{"type": "text", "text": "w1"}, picture]);
    assert_eq!(bad(&router, PATH, json!({"input": parts})).await.0, "input[1].type");
}

#[tokio::test]
async fn all_of_a_long_text_is_judged() {
    let router = moderated(0.5);
    // Fourteen words fit between what is put around them.
    let words: Vec<String> = (0..40).map(|number| format!("w{number}")).collect();
    let answer = well(&router, PATH, json!({"input": words.join(" ")})).await;
    let pieces = words.chunks(14).map(|words| scores(&words.join(" ")));
    let worst = pieces.map(|scores| scores[1]).fold(0.0, f32::max);
    let told = answer["results"][0]["category_scores"]["threat"].as_f64().unwrap() as f32;
    assert_near(&[told], &[worst]);
}

#[tokio::test]
async fn without_a_classifier_or_with_another_it_says_so() {
    let body = json!({"input": "w1"});
    let (param, message) = bad(&server(), PATH, body.clone()).await;
    assert_eq!(param, "model");
    assert!(message.contains("--moderation-model"), "{message}");
    let router = moderated(0.5);
    for model in ["mock", "rank"] {
        let (param, message) = bad(&router, PATH, json!({"model": model, "input": "w1"})).await;
        assert_eq!(param, "model");
        assert!(message.contains("`judge`"), "{message}");
    }
    let (status, _) = ask(&router, PATH, json!({"model": "gone", "input": "w1"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for (input, expected) in [
        (json!([]), "input"),
        (json!(["w1", ""]), "input[1]"),
        (json!(7), "input"),
        (json!(["w1", {"type": "text"}]), "input[1]"),
        (json!([{"type": "text"}]), "input[0].text"),
    ] {
        assert_eq!(bad(&router, PATH, json!({"input": input})).await.0, expected, "{input}");
    }
}
