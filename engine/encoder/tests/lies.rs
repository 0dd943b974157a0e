//! Folders that lie: each gets an error that names the file, field or tensor, however large the
//! numbers are, before anything is made of them; and nothing makes opening panic.

mod support;

use std::collections::BTreeMap;

use engine_encoder::{LoadError, Model, open};
use serde_json::{Value, json};
use support::{files, testdata};

const HUGE: u64 = 1 << 63;

/// A golden model's files, to be changed.
struct Folder(BTreeMap<String, Vec<u8>>);

impl Folder {
    fn of(name: &str) -> Self {
        let read = |(name, path)| (name, std::fs::read(path).expect("a golden folder's file"));
        Self(files(&testdata().join(name)).into_iter().map(read).collect())
    }

    /// Sets fields of a JSON file, or elements of a list.
    fn set(mut self, file: &str, changes: &Value) -> Self {
        let mut value: Value = serde_json::from_slice(&self.0[file]).expect("JSON");
        match changes {
            Value::Object(changes) => {
                changes.iter().for_each(|(field, change)| value[field] = change.clone());
            }
            list => value = list.clone(),
        }
        self.0.insert(file.into(), value.to_string().into_bytes());
        self
    }

    /// Calls tensors of a file something else.
    fn rename(mut self, file: &str, from: &str, to: &str) -> Self {
        let bytes = self.0[file].clone();
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).expect("UTF-8");
        assert!(header.contains(from), "{from} is not in {header}");
        let header = header.replace(from, to);
        let mut renamed = (header.len() as u64).to_le_bytes().to_vec();
        renamed.extend(header.bytes());
        renamed.extend(&bytes[8 + length..]);
        self.0.insert(file.into(), renamed);
        self
    }

    fn without(mut self, file: &str) -> Self {
        self.0.remove(file).expect("it was there");
        self
    }

    fn open(&self) -> Result<Option<Model>, LoadError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut paths = BTreeMap::new();
        for (i, (name, contents)) in self.0.iter().enumerate() {
            // As in a content-addressed store: the path says nothing of the name.
            let path = dir.path().join(i.to_string());
            std::fs::write(&path, contents).expect("a file in the temporary directory");
            paths.insert(name.clone(), path);
        }
        open(&paths)
    }

    fn error(&self) -> String {
        match self.open() {
            Ok(_) => panic!("opened"),
            Err(error) => error.to_string(),
        }
    }
}

fn assert_parts(what: &str, error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{what}: {part:?} is not in: {error}");
    }
}

#[test]
fn configurations_that_cannot_be_or_do_not_fit() {
    for (name, changes, parts) in [
        ("bert", json!({"num_hidden_layers": HUGE}), &["num_hidden_layers", "1024"][..]),
        ("bert", json!({"num_hidden_layers": 0}), &["num_hidden_layers", "0"]),
        ("bert", json!({"num_hidden_layers": 3}), &["layer.2.", "missing; num_hidden_layers is 3"]),
        ("bert", json!({"num_hidden_layers": 1}), &["layer.1.", "wrong; num_hidden_layers is 1"]),
        ("bert", json!({"num_attention_heads": 3}), &["num_attention_heads", "3 does not divide"]),
        ("bert", json!({"num_attention_heads": 0}), &["num_attention_heads", "0"]),
        ("bert", json!({"num_attention_heads": 32}), &["num_attention_heads", "heads of 1"]),
        ("bert", json!({"hidden_size": HUGE}), &["hidden_size", "9223372036854775808"]),
        ("bert", json!({"hidden_size": -1}), &["hidden_size", "-1"]),
        (
            "bert",
            json!({"hidden_size": 34}),
            &["word_embeddings.weight", "[200, 32]", "hidden_size is 34"],
        ),
        ("bert", json!({"intermediate_size": HUGE}), &["intermediate_size"]),
        ("bert", json!({"vocab_size": HUGE}), &["vocab_size"]),
        ("bert", json!({"vocab_size": 201}), &["word_embeddings.weight", "vocab_size is 201"]),
        ("bert", json!({"max_position_embeddings": HUGE}), &["max_position_embeddings"]),
        (
            "bert",
            json!({"max_position_embeddings": 255}),
            &["position_embeddings.weight", "embeddings is 255"],
        ),
        ("bert", json!({"type_vocab_size": HUGE}), &["type_vocab_size"]),
        ("bert", json!({"layer_norm_eps": -1.0}), &["layer_norm_eps", "-1"]),
        ("bert", json!({"hidden_act": "mish"}), &["hidden_act", "mish", "gelu"]),
        ("bert", json!({"hidden_act": 7}), &["hidden_act"]),
        ("bert", json!({"is_decoder": true}), &["is_decoder", "true"]),
        ("bert", json!({"position_embedding_type": "relative_key"}), &["relative_key"]),
        ("roberta", json!({"pad_token_id": 258}), &["max_position_embeddings", "0"]),
        ("roberta", json!({"pad_token_id": u32::MAX}), &["max_position_embeddings"]),
    ] {
        let error = Folder::of(name).set("config.json", &changes).error();
        assert_parts(&format!("{name} {changes}"), &error, parts);
    }
}

#[test]
fn configurations_of_other_kinds_that_cannot_be_or_do_not_fit() {
    for (name, changes, parts) in [
        ("mpnet", json!({"relative_attention_num_buckets": 0}), &["num_buckets", "0"][..]),
        ("mpnet", json!({"relative_attention_num_buckets": HUGE}), &["num_buckets"]),
        (
            "mpnet",
            json!({"relative_attention_num_buckets": 36}),
            &["relative_attention_bias", "buckets is 36"],
        ),
        ("distilbert", json!({"dim": 0}), &["\"dim\"", "0"]),
        ("distilbert", json!({"n_heads": 3}), &["\"n_heads\"", "3 does not divide"]),
        ("distilbert", json!({"n_layers": HUGE}), &["\"n_layers\"", "1024"]),
        ("distilbert", json!({"n_layers": 3}), &["transformer.layer.2.", "n_layers is 3"]),
        ("distilbert", json!({"hidden_dim": 49}), &["ffn.lin1.weight", "hidden_dim is 49"]),
        ("distilbert", json!({"activation": "mish"}), &["\"activation\"", "mish"]),
        ("modernbert", json!({"norm_eps": -1.0}), &["\"norm_eps\"", "-1"]),
        ("modernbert", json!({"hidden_activation": "mish"}), &["\"hidden_activation\"", "mish"]),
        ("modernbert", json!({"local_attention": u64::MAX}), &["local_attention"]),
        ("modernbert", json!({"layer_types": ["full_attention"]}), &["layer_types", "1 entries"]),
        ("modernbert", json!({"layer_types": null, "global_attn_every_n_layers": 0}), &["is 0"]),
        (
            "modernbert",
            json!({"rope_parameters": {"full_attention": {"rope_theta": -1.0}}}),
            &["rope_parameters.full_attention.rope_theta", "-1"],
        ),
        (
            "modernbert",
            json!({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}),
            &["rope_type", "yarn"],
        ),
        ("modernbert-classifier", json!({"classifier_pooling": "max"}), &["classifier_pooling"]),
        ("nomic-bert", json!({"rotary_emb_fraction": 0.5}), &["rotary_emb_fraction", "0.5"]),
        ("nomic-bert", json!({"prenorm": true}), &["prenorm", "true"]),
        ("nomic-bert", json!({"head_dim": u64::MAX}), &["head_dim"]),
        ("bert-classifier", json!({"id2label": {"0": "a"}}), &["classifier.weight", "[3, 32]"]),
        ("bert-classifier", json!({"id2label": {"0": "a", "7": "b"}}), &["id2label", "7"]),
        (
            "bert-reranker",
            json!({"sentence_transformers": {"activation_fn": "os.system"}}),
            &["activation_fn", "os.system", "Sigmoid"],
        ),
    ] {
        let error = Folder::of(name).set("config.json", &changes).error();
        assert_parts(&format!("{name} {changes}"), &error, parts);
    }
}

#[test]
fn modules_that_cannot_be_or_do_not_fit() {
    let of = |list: &[(&str, &str)]| {
        let module = |(path, kind): &(&str, &str)| json!({"path": path, "type": kind});
        Value::Array(list.iter().map(module).collect())
    };
    let transformer = ("", "sentence_transformers.models.Transformer");
    let pooling = ("1_Pooling", "sentence_transformers.models.Pooling");
    for (file, changes, parts) in [
        ("modules.json", of(&[]), &["no Pooling"][..]),
        ("modules.json", of(&[transformer]), &["no Pooling"]),
        ("modules.json", of(&[pooling]), &["type", "Pooling", "module 0"]),
        ("modules.json", of(&[transformer, pooling, pooling]), &["type", "module 2"]),
        ("modules.json", of(&[transformer, pooling, ("2", "my.Cnn")]), &["type", "my.Cnn"]),
        (
            "modules.json",
            of(&[transformer, ("../..", "sentence_transformers.models.Pooling")]),
            &["../../config.json", "missing"],
        ),
        ("modules.json", json!([7]), &["module 0 is not an object"]),
        ("modules.json", Value::Array(vec![json!({}); 65]), &["65 modules"]),
        ("1_Pooling/config.json", json!({"pooling_mode": "median"}), &["pooling_mode", "median"]),
        ("1_Pooling/config.json", json!({"pooling_mode": []}), &["pooling_mode", "0 of them"]),
        ("1_Pooling/config.json", json!({"pooling_mode": vec!["cls"; 7]}), &["7 of them"]),
        ("1_Pooling/config.json", json!({"pooling_mode": "cls"}), &["in_features", "192", "32"]),
        ("1_Pooling/config.json", json!({"include_prompt": "no"}), &["include_prompt"]),
        ("2_Dense/config.json", json!({"in_features": 191}), &["in_features", "191"]),
        ("2_Dense/config.json", json!({"out_features": HUGE}), &["out_features"]),
        ("2_Dense/config.json", json!({"out_features": 0}), &["out_features", "0"]),
        ("2_Dense/config.json", json!({"activation_function": "os.system"}), &["os.system"]),
        ("2_Dense/config.json", json!({"bias": false}), &["2_Dense/linear.bias", "no place"]),
        (
            "2_Dense/config.json",
            json!({"module_input_name": "token_embeddings"}),
            &["module_input"],
        ),
        ("3_LayerNorm/config.json", json!({"dimension": 25}), &["dimension", "25"]),
        ("4_Dense/config.json", json!({"out_features": 21}), &["4_Dense/linear.weight", "21"]),
    ] {
        let error = Folder::of("bert-poolings").set(file, &changes).error();
        assert_parts(&format!("{file} {changes}"), &error, parts);
    }
    let error = Folder::of("bert-poolings").without("2_Dense/model.safetensors").error();
    assert_parts("no weights", &error, &["2_Dense/model.safetensors", "missing"]);
}

#[test]
fn tensors_that_are_missing_or_over() {
    const FILE: &str = "model.safetensors";
    for (name, from, to, parts) in [
        ("bert", "layer.1.output.dense.bias", "layer.1.output.dense.other", &["other"][..]),
        (
            "bert",
            "layer.1.output.dense.bias",
            "layer.2.output.dense.bias",
            &["encoder.layer.1.output.dense.bias", "is missing"],
        ),
        ("distilbert", "layer.1.ffn.lin1.bias", "layer.1.ffn.lin3.bias", &["lin3"]),
        ("modernbert", "layers.1.attn_norm.weight", "layers.0.attn_norm.weight", &["attn_norm"]),
        ("modernbert", "final_norm.weight", "last_norm.weight", &["last_norm"]),
        ("bert-reranker", "classifier.bias", "classified.bias", &["classified"]),
    ] {
        let error = Folder::of(name).rename(FILE, from, to).error();
        assert_parts(from, &error, parts);
    }
    // Fused ones of another shape.
    let wider = json!({"intermediate_size": 49});
    let error = Folder::of("modernbert").set("config.json", &wider).error();
    assert_parts(
        "fused",
        &error,
        &["layers.0.mlp.Wi.weight", "[96, 32]", "intermediate_size is 49"],
    );
}

#[test]
fn an_encoder_that_is_not_known_is_refused_by_name() {
    for class in ["DebertaV2ForSequenceClassification", "MambaModel"] {
        let error = Folder::of("bert").set("config.json", &json!({"architectures": [class]}));
        let error = error.error();
        assert_parts(class, &error, &[class, "architectures", "is not supported"]);
    }
}

#[test]
fn what_is_no_encoder_is_left_to_others() {
    let of = |classes: Value| {
        let folder = Folder::of("bert").without("modules.json");
        folder.set("config.json", &json!({"architectures": classes})).open().expect("no error")
    };
    assert!(of(json!(["LlamaForCausalLM"])).is_none());
    assert!(of(json!(["BertForMaskedLM"])).is_none());
    assert!(of(json!(["BertModel", "BertModel"])).is_none());
    assert!(of(Value::Null).is_none());
    assert!(of(json!(["BertModel"])).is_some());
    assert!(open(&BTreeMap::new()).expect("no error").is_none());
}

#[test]
fn old_folders_say_their_poolings_and_lengths_otherwise() {
    let old = json!({"pooling_mode": null, "embedding_dimension": null,
        "word_embedding_dimension": 32, "pooling_mode_cls_token": true,
        "pooling_mode_mean_tokens": false});
    let mut folder = Folder::of("bert").set("1_Pooling/config.json", &old);
    folder.0.insert("sentence_bert_config.json".into(), br#"{"max_seq_length": 100}"#.to_vec());
    let model = folder.open().expect("it opens").expect("an encoder");
    assert_eq!(model.output.poolings, [engine_encoder::spec::Pooling::Cls]);
    assert_eq!(model.spec.stack.max_input_len, 100);
    folder.0.insert("sentence_bert_config.json".into(), br#"{"max_seq_length": 0}"#.to_vec());
    assert_parts("no length", &folder.error(), &["max_seq_length", "0"]);
}

#[test]
fn files_cut_anywhere_are_refused() {
    for name in ["bert-poolings", "modernbert-classifier"] {
        let folder = Folder::of(name);
        for file in folder.0.keys().filter(|file| *file != "golden.json") {
            for part in [0, 1, 2, 3] {
                let mut cut = Folder(folder.0.clone());
                let len = cut.0[file].len() * part / 4;
                cut.0.get_mut(file).expect("it is there").truncate(len);
                assert!(cut.open().is_err(), "{name}: {file} cut to {len} bytes");
            }
        }
    }
}
