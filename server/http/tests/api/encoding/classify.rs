//! `POST /classify` and `/v1/classify`.

use serde_json::json;

use super::*;

const LABELS: [&str; 3] = ["joy", "fear", "anger"];

fn softmax(row: &[f32]) -> Vec<f32> {
    let sum: f32 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / sum).collect()
}

#[tokio::test]
async fn texts_get_a_probability_for_each_label() {
    let info = classifier(&LABELS, Activation::Softmax);
    let (router, _) = alone(Encoding::new(info.clone()));
    for path in ["/classify", "/v1/classify"] {
        let body = json!({"model": "enc", "input": ["w1", "w2 w3"]});
        let answer = well(&router, path, body).await;
        assert!(answer["id"].as_str().unwrap().starts_with("classify-"));
        assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("enc")));
        assert_eq!(answer["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
        for (idx, text) in ["w1", "w2 w3"].into_iter().enumerate() {
            let one = &answer["data"][idx];
            let probs = softmax(&row(&info, text));
            assert_near(&floats(&one["probs"]), &probs);
            let best = (0..3).max_by(|a, b| probs[*a].total_cmp(&probs[*b])).unwrap();
            assert_eq!(one["label"], LABELS[best]);
            assert_eq!((&one["index"], &one["num_classes"]), (&json!(idx), &json!(3)));
        }
    }
    let body = json!({"input": [[0, 4, 1]], "use_activation": false});
    let answer = well(&router, "/classify", body).await;
    assert_near(&floats(&answer["data"][0]["probs"]), &row(&info, "w1"));
}

#[tokio::test]
async fn several_labels_may_hold_where_the_model_says_so() {
    let info = classifier(&LABELS, Activation::Sigmoid);
    let (router, _) = alone(Encoding::new(info.clone()));
    let answer = well(&router, "/classify", json!({"input": "w1"})).await;
    let expected: Vec<f32> = row(&info, "w1").into_iter().map(sigmoid).collect();
    assert_near(&floats(&answer["data"][0]["probs"]), &expected);
}

#[tokio::test]
async fn bad_inputs_name_their_field() {
    let (router, _) = alone(Encoding::new(classifier(&LABELS, Activation::Softmax)));
    let long = vec!["w1"; 20].join(" ");
    for (body, expected) in [
        (json!({}), "input"),
        (json!({"input": ["w1", ""]}), "input[1]"),
        (json!({"input": ["w1", long]}), "input[1]"),
        (json!({"input": "w1", "truncate_prompt_tokens": 99}), "truncate_prompt_tokens"),
    ] {
        assert_eq!(bad(&router, "/classify", body).await.0, expected);
    }
    let body = json!({"input": long, "truncate_prompt_tokens": -1});
    let answer = well(&router, "/classify", body).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 16);
}

#[tokio::test]
async fn texts_are_cut_from_the_side_that_is_named_and_framed_if_wanted() {
    let info = classifier(&LABELS, Activation::Softmax);
    let (router, _) = alone(Encoding::new(info.clone()));
    for (side, kept) in [("left", "w3"), ("right", "w1")] {
        let body = json!({"input": "w1 w2 w3", "truncate_prompt_tokens": 3,
            "truncation_side": side, "user": "somebody"});
        let answer = well(&router, "/classify", body).await;
        assert_near(&floats(&answer["data"][0]["probs"]), &softmax(&row(&info, kept)));
    }
    let body = json!({"input": "w1", "add_special_tokens": false});
    let answer = well(&router, "/classify", body).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 1);
}
