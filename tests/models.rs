//! What becomes of models by their size and their kind: the real binary, tiny models, and models
//! that claim more than any machine has.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use support::binary::{fail, import, run, succeed, text, tiny};
use tempfile::TempDir;

fn testdata(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engine").join(folder)
}

/// A copy of a tiny model without its weights, its configuration changed.
fn without_weights(dir: &Path, name: &str, changes: &Value) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir(&folder).expect("a folder");
    fs::copy(tiny("llama").join("tokenizer.json"), folder.join("tokenizer.json")).expect("a file");
    let config = fs::read(tiny("llama").join("config.json")).expect("it reads");
    let mut config: Map<String, Value> = serde_json::from_slice(&config).expect("it is JSON");
    config.extend(changes.as_object().cloned().unwrap_or_default());
    fs::write(folder.join("config.json"), Value::Object(config).to_string()).expect("a file");
    folder
}

/// A Llama in BF16 of half as much again as this machine's memory, of which no weight was ever
/// written.
fn large(dir: &Path) -> PathBuf {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("it reads");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a line");
    let total: u64 = total.trim().trim_end_matches("kB").trim().parse().expect("a number");
    let (layers, hidden) = (64, 4096);
    let width = (1024 * total * 3 / 2 / layers / (2 * 3 * hidden)).next_multiple_of(256);
    let sizes = json!({"num_hidden_layers": layers, "hidden_size": hidden, "head_dim": 128,
        "intermediate_size": width, "num_attention_heads": 32, "num_key_value_heads": 32,
        "tie_word_embeddings": true});
    let folder = without_weights(dir, "large", &sizes);
    let (mut header, mut end) = (Map::new(), 0);
    let mut add = |name: String, shape: &[u64]| {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
    };
    add("model.embed_tokens.weight".into(), &[300, hidden]);
    add("model.norm.weight".into(), &[hidden]);
    for layer in 0..layers {
        let square = [hidden, hidden];
        for (role, shape) in [
            ("self_attn.q_proj", &square[..]),
            ("self_attn.k_proj", &square),
            ("self_attn.v_proj", &square),
            ("self_attn.o_proj", &square),
            ("mlp.gate_proj", &[width, hidden]),
            ("mlp.up_proj", &[width, hidden]),
            ("mlp.down_proj", &[hidden, width]),
            ("input_layernorm", &[hidden]),
            ("post_attention_layernorm", &[hidden]),
        ] {
            add(format!("model.layers.{layer}.{role}.weight"), shape);
        }
    }
    let header = Value::Object(header).to_string();
    let start = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let path = folder.join("model.safetensors");
    fs::write(&path, &start).expect("a file");
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_len(start.len() as u64 + end).expect("a file with holes");
    folder
}

/// A quantised folder of 256 TiB, likewise.
fn huge_awq(dir: &Path) -> PathBuf {
    let awq = json!({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"});
    let folder = without_weights(dir, "awq", &json!({"quantization_config": awq}));
    let shards: Vec<_> = (0..64).map(|i| format!("model-{i}.safetensors")).collect();
    let map: Map<_, _> = shards.iter().map(|name| (name.clone(), json!(name))).collect();
    let index = json!({"weight_map": map}).to_string();
    fs::write(folder.join("model.safetensors.index.json"), index).expect("a file");
    for shard in shards {
        let file = fs::File::create(folder.join(shard)).expect("a file");
        file.set_len(4 << 40).expect("a file with holes");
    }
    folder
}

/// What an import says that fails, and must not write more than some megabytes.
fn refused(data_dir: &Path, folder: &Path, more: &[&str]) -> String {
    let output = support::binary::limited(data_dir)
        .args(["model", "import", &folder.display().to_string(), "--name", "huge"])
        .args(more)
        .output()
        .expect("the binary starts");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let staged = fs::read_dir(data_dir.join("models/staging")).expect("the folder is there");
    assert_eq!(staged.count(), 0, "{err}");
    assert!(succeed(data_dir, &["model", "list"]).contains("no models"));
    err
}

/// Elsewhere nobody says how much memory there is.
#[cfg(target_os = "linux")]
#[test]
fn a_model_that_is_too_large_is_refused_before_it_is_copied() {
    let dir = TempDir::new().expect("a folder");
    for folder in [large(dir.path()), huge_awq(dir.path())] {
        let error = refused(dir.path(), &folder, &[]);
        for told in ["huge was not stored: it needs ", "iB of memory (weights ", "machine has"] {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert!(error.contains("--force"), "{error}");
    }
    // Whoever insists is still told of the disk.
    let error = refused(dir.path(), &dir.path().join("awq"), &["--force"]);
    for told in ["no room", " 268435457 MiB are needed", " MiB are free", "--data-dir"] {
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn what_is_stored_already_is_told_once() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let folder = tiny("llama").display().to_string();
    let output = run(dir.path(), &["model", "import", &folder, "--name", "again"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.contains("imported again"), "{out}{err}");
    let list = succeed(dir.path(), &["model", "list", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("it is JSON");
    let num_files = list[0]["files"].as_array().map_or(0, Vec::len);
    let told: Vec<_> = err.lines().filter(|line| line.contains("already stored")).collect();
    assert_eq!(told.len(), 1, "{err}");
    assert!(num_files > 1 && told[0].contains(&format!("{num_files} files (")), "{err}");
}

#[test]
fn an_architecture_that_is_not_known_is_refused_with_all_that_are() {
    let dir = TempDir::new().expect("a folder");
    let folder = without_weights(dir.path(), "x", &json!({"architectures": ["MambaModel"]}));
    let weights = "model.safetensors";
    fs::copy(tiny("llama").join(weights), folder.join(weights)).expect("a file");
    let name = b"general.architecture";
    let mut gguf = fs::read(tiny("gguf/model.gguf")).expect("it reads");
    let at = gguf.windows(name.len()).position(|part| part == name).expect("it is there");
    // After the type and the length.
    gguf[at + name.len() + 12..][..5].copy_from_slice(b"mamba");
    let file = dir.path().join("x.gguf");
    fs::write(&file, gguf).expect("a file");
    let classes: &[_] = &[
        "\"MambaModel\" is not supported; supported are",
        "\n  decoders: LlamaForCausalLM, ",
        "\n  decoders that see: Idefics3ForConditionalGeneration, ",
        "\n  encoders (",
        "BertModel, BertForSequenceClassification, ",
        "\n  speech: WhisperForConditionalGeneration",
    ];
    let names: &[_] =
        &["\"mamba\" is not supported", "\n  decoders: llama, ", "\n  encoders (", "nomic-bert"];
    for (path, told) in [(&folder, classes), (&file, names)] {
        let path = path.display().to_string();
        let error = fail(dir.path(), &["model", "import", &path, "--name", "x"]);
        for told in told {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert_eq!(error.matches("supported are").count(), 1, "{error}");
    }
}

/// A whisper with the tokenizer of something else, which is small enough.
fn whisper(dir: &Path) -> PathBuf {
    let folder = dir.join("whisper");
    fs::create_dir(&folder).expect("a folder");
    for name in
        ["config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json"]
    {
        fs::copy(testdata("speech/testdata/english").join(name), folder.join(name))
            .expect("a file");
    }
    let tokenizer = testdata("encoder/testdata/bert-classifier/tokenizer.json");
    fs::copy(tokenizer, folder.join("tokenizer.json")).expect("a file");
    folder
}

#[test]
fn what_only_decoders_can_is_refused_by_kind() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let adapter = testdata("llm/testdata/adapters/llama-attention").display().to_string();
    succeed(dir.path(), &["model", "import", &adapter, "--base", "llama", "--name", "law"]);
    let encoder = testdata("encoder/testdata/bert-classifier");
    for (folder, name) in [(encoder, "bert"), (whisper(dir.path()), "whisper")] {
        let folder = folder.display().to_string();
        succeed(dir.path(), &["model", "import", &folder, "--name", name]);
    }
    let list = || succeed(dir.path(), &["model", "list", "--json"]);
    let before = list();
    for (name, kind) in [
        ("bert", "bert is an encoder (BertForSequenceClassification): "),
        ("whisper", "whisper is a model of speech (WhisperForConditionalGeneration): "),
        ("llama:law", "llama:law is an adapter of llama: "),
    ] {
        let quantize = ["model", "quantize", name, "--to", "q8_0", "--name", "new"];
        let base = ["model", "import", &adapter, "--base", name, "--name", "x"];
        for (args, only) in [
            (&quantize[..], "only decoders can be quantised"),
            (&base[..], "adapters go on decoders only"),
        ] {
            let error = fail(dir.path(), args);
            assert!(error.starts_with(&format!("error: {kind}{only}")), "{error}");
            assert!(!error.contains("--no-perplexity") && error.lines().count() == 1, "{error}");
        }
        assert_eq!(list(), before);
    }
    let error = fail(dir.path(), &["run", "bert", "hello"]);
    assert!(error.contains("an encoder") && error.contains("only decoders write"), "{error}");
}

#[test]
fn quantize_tells_first_that_the_model_grows() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let gguf = tiny("gguf-formats").join("model.gguf").display().to_string();
    succeed(dir.path(), &["model", "import", &gguf, "--name", "formats"]);
    let quantize = |name: &str, to: &str| {
        let args = ["model", "quantize", name, "--to", to, "--no-perplexity"];
        let output = run(dir.path(), &args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && out.contains("stored"), "{out}{err}");
        let told: Vec<_> = err.lines().filter(|line| line.contains("larger")).collect();
        assert!(told.len() < 2, "{err}");
        // As it was told, before and after.
        let sizes = out.lines().find_map(|line| line.strip_prefix("size ")).expect("sizes");
        let (before, after) = sizes.split_once(" before, ").expect("both");
        if let Some(told) = told.first() {
            let (before, after) = (before.trim(), after.trim_end_matches(" after"));
            let sizes = format!("{} makes {name} larger: about ", to.to_uppercase());
            assert!(told.contains(&sizes) && told.ends_with(&format!("from {before}")), "{told}");
            let unit = after.split(' ').next_back().expect("a unit");
            assert!(told.contains(unit), "{after}: {told}");
        }
        told.len()
    };
    assert_eq!(quantize("llama", "q8_0"), 0);
    assert_eq!(quantize("llama-q8_0", "q4_0"), 0);
    assert_eq!(quantize("llama-q8_0", "f16"), 1);
    assert_eq!(quantize("formats", "f32"), 1);
}
