//! GGUF files that lie: each gets an error that names the field or tensor, and says what is wrong.

use engine_llm::weights::TextSource;

use crate::{
    error_of,
    gguf_writer::{Gguf, array, string, strings},
    open,
};

/// What opening says after this change to a right file.
fn error_after(change: impl Fn(&mut Gguf)) -> String {
    let mut gguf = Gguf::tiny();
    change(&mut gguf);
    error_of(&[("model.gguf", &gguf.bytes())])
}

/// Parts of the error that a change must lead to.
type Case<'a> = (&'a [&'a str], &'a dyn Fn(&mut Gguf));

fn check(cases: &[Case<'_>]) {
    for (parts, change) in cases {
        let error = error_after(change);
        for part in *parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert!(error.len() < 600, "too long: {error}");
    }
}

fn u32_bytes(value: u32) -> Vec<u8> {
    value.to_le_bytes().into()
}

#[test]
fn the_unchanged_file_opens() {
    let gguf = Gguf::tiny();
    let model = open(&[("model.gguf", &gguf.bytes())]).expect("a right file");
    assert_eq!(model.spec.attention.num_kv_heads, 2);
    assert_eq!(model.spec.max_model_len, 64);
    assert!(model.spec.head.tied);
    assert_eq!(model.weights.names().count(), 11);
    let down = model.weights.get("blk.0.ffn_down.weight").expect("the tensor");
    assert_eq!(down.shape(), [32, 64]);
    assert_eq!(down.bytes()[4..8], 1.0_f32.to_le_bytes());
    let TextSource::Gguf(vocab) = model.text else { panic!("the text is in the GGUF") };
    assert_eq!(vocab.tokens.iter().collect::<Vec<_>>(), ["<s>", "</s>", "a", "b", "ab"]);
    assert_eq!((vocab.bos, vocab.eos, vocab.add_bos), (Some(0), None, Some(true)));
    assert_eq!(vocab.chat_template.as_deref(), Some("{{ messages }}"));
}

#[test]
fn version_2_and_an_own_alignment_open() {
    let mut gguf = Gguf::tiny();
    gguf.version = 2;
    gguf.set("general.alignment", 4, u32_bytes(16));
    open(&[("model.gguf", &gguf.bytes())]).expect("a right file");
}

#[test]
fn a_container_that_lies() {
    check(&[
        (&["does not start with"], &|g| g.magic = *b"GGML"),
        (&["version 1"], &|g| g.version = 1),
        (&["version 4"], &|g| g.version = 4),
        (&["big-endian"], &|g| g.version = 3_u32.swap_bytes()),
        (&["1152921504606846976 tensors"], &|g| g.num_tensors = Some(1 << 60)),
        (&["1152921504606846976 metadata keys"], &|g| g.num_keys = Some(1 << 60)),
        (&["0 dimensions"], &|g| g.num_tensors = Some(65_536)),
        (&["0 is not a power of two", "general.alignment"], &|g| {
            g.set("general.alignment", 4, u32_bytes(0));
        }),
        (&["48 is not a power of two"], &|g| g.set("general.alignment", 4, u32_bytes(48))),
        (&["general.alignment", "2147483648"], &|g| {
            g.set("general.alignment", 4, u32_bytes(1 << 31));
        }),
    ]);
}

#[test]
fn metadata_that_lies() {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let nested = |depth| (0..depth).fold(array(4, &[]), |inner, _| array(9, &[inner]));
    check(&[
        (&["llama.block_count", "is missing"], &|g| g.remove("llama.block_count")),
        (&["llama.block_count", "is there twice"], &|g| {
            g.metadata.push(("llama.block_count".into(), 4, u32_bytes(1)));
        }),
        (&["llama.block_count", "\"1\" where"], &|g| g.set("llama.block_count", 8, string("1"))),
        (&["llama.block_count", "-1 where"], &|g| g.set("llama.block_count", 5, u32_bytes(!0))),
        (&["general.architecture", "\"qwen9\""], &|g| {
            g.set("general.architecture", 8, string("qwen9"));
        }),
        (&["a.key", "unknown value type 13"], &|g| g.set("a.key", 13, vec![])),
        (&["a.key", "2 is not a boolean"], &|g| g.set("a.key", 7, vec![2])),
        (&["a.key", "nested deeper"], &|g| g.set("a.key", 9, nested(5))),
        (&["a.key", "string's length is 2147483648"], &|g| {
            g.set("a.key", 8, (1_u64 << 31).to_le_bytes().into());
        }),
        (&[TOKENS, "array's length is 1152921504606846976"], &|g| {
            g.set(TOKENS, 9, [&u32_bytes(8)[..], &(1_u64 << 60).to_le_bytes()].concat());
        }),
        (&["length of a metadata key is 65536"], &|g| g.set(&"k".repeat(65_536), 7, vec![0])),
        (&["tokenizer.chat_template", "not UTF-8"], &|g| {
            g.set("tokenizer.chat_template", 8, [&1_u64.to_le_bytes()[..], &[255]].concat());
        }),
        (&["split.count", "2"], &|g| g.set("split.count", 2, vec![2, 0])),
        (&["llama.feed_forward_length", "9223372036854775808"], &|g| {
            g.set("llama.feed_forward_length", 10, (1_u64 << 63).to_le_bytes().into());
        }),
        (&["llama.expert_used_count"], &|g| g.set("llama.expert_count", 4, u32_bytes(8))),
    ]);
}

#[test]
fn a_tokenizer_that_does_not_fit() {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    check(&[
        (&[TOKENS, "2 tokens", "token_embd.weight has 5 rows"], &|g| {
            g.set(TOKENS, 9, strings(&["a", "b"]));
        }),
        (&[TOKENS, "an array of 5 where", "each element a string"], &|g| {
            g.set(TOKENS, 9, array(0, &vec![vec![0]; 5]))
        }),
        (&["tokenizer.ggml.scores", "1 entries for 5 tokens"], &|g| {
            g.set("tokenizer.ggml.scores", 9, array(6, &[vec![0; 4]]));
        }),
        (&["tokenizer.ggml.eos_token_id", "5 is outside"], &|g| {
            g.set("tokenizer.ggml.eos_token_id", 4, u32_bytes(5));
        }),
        (&["tokenizer.ggml.model", "is missing"], &|g| g.remove("tokenizer.ggml.model")),
    ]);
}

#[test]
fn sizes_that_cannot_be() {
    let set = |g: &mut Gguf, key: &str, value| g.set(&format!("llama.{key}"), 4, u32_bytes(value));
    check(&[
        (&["llama.block_count", "0 is not between"], &|g| set(g, "block_count", 0)),
        (&["llama.block_count", "4294967295"], &|g| set(g, "block_count", u32::MAX)),
        (&["head_count", "3 does not divide", "32"], &|g| set(g, "attention.head_count", 3)),
        (&["head_count", "0 does not divide"], &|g| set(g, "attention.head_count", 0)),
        (&["llama.attention.head_count_kv", "3 does not divide"], &|g| {
            set(g, "attention.head_count_kv", 3)
        }),
        (&["llama.attention.key_length", "of 9"], &|g| set(g, "attention.key_length", 9)),
        (&["value_length", "9"], &|g| set(g, "attention.value_length", 9)),
        (&["llama.rope.dimension_count", "10"], &|g| set(g, "rope.dimension_count", 10)),
        (&["llama.embedding_length", "0"], &|g| {
            set(g, "embedding_length", 0);
            set(g, "attention.key_length", 8);
        }),
        (&["llama.attention.layer_norm_rms_epsilon", "NaN"], &|g| {
            g.set("llama.attention.layer_norm_rms_epsilon", 6, f32::NAN.to_le_bytes().into());
        }),
        (&["llama.rope.freq_base", "-1"], &|g| {
            g.set("llama.rope.freq_base", 6, (-1.0_f32).to_le_bytes().into());
        }),
        (&["llama.rope.scaling.type", "\"dynamic\""], &|g| {
            g.set("llama.rope.scaling.type", 8, string("dynamic"));
        }),
        (&["llama.rope.scaling.factor", "0 is not"], &|g| {
            g.set("llama.rope.scaling.type", 8, string("linear"));
            g.set("llama.rope.scaling.factor", 6, 0.0_f32.to_le_bytes().into());
        }),
        (&["rope_freqs.weight", "0 is not a positive number"], &|g| {
            g.add("rope_freqs.weight", &[4]);
        }),
        (&["rope_freqs.weight", "shape [5]"], &|g| g.add("rope_freqs.weight", &[5])),
    ]);
}

#[test]
fn tensors_that_lie() {
    const UP: &str = "blk.0.ffn_up.weight";
    check(&[
        (&[UP, "unsupported ggml type 99"], &|g| g.tensor(UP).type_id = 99),
        (&[UP, "unsupported ggml type 9"], &|g| g.tensor(UP).type_id = 9),
        (&[UP, "Q2_K", "multiple of 256"], &|g| g.tensor(UP).type_id = 10),
        (&[UP, "0 dimensions"], &|g| g.tensor(UP).dims.clear()),
        (&[UP, "5 dimensions"], &|g| g.tensor(UP).dims = vec![1; 5]),
        (&[UP, "shape [64, 0]"], &|g| g.tensor(UP).dims[0] = 0),
        (&[UP, "is not possible"], &|g| g.tensor(UP).dims = vec![1 << 40, 1 << 40]),
        (&[UP, "is not possible"], &|g| g.tensor(UP).dims = vec![u64::MAX, 2]),
        (&[UP, "Q4_K", "multiple of 256"], &|g| g.tensor(UP).type_id = 12),
        (&[UP, "Q8_0", "multiple of 32"], &|g| {
            g.tensor(UP).type_id = 8;
            g.tensor(UP).dims = vec![33, 64];
        }),
        (&[UP, "not a multiple of 32"], &|g| g.tensor(UP).offset += 4),
        (&[UP, "pass the end of the file"], &|g| g.tensor(UP).offset = 1 << 40),
        (&[UP, "pass the end of the file"], &|g| g.tensor(UP).offset = u64::MAX - 31),
        (&["overlaps tensor"], &|g| g.tensor(UP).offset -= 32),
        (&[UP, "is there twice"], &|g| g.tensor("blk.0.ffn_gate.weight").name = UP.into()),
        (&["blk.0.ffn_down.weight", "pass the end", "truncated"], &|g| {
            g.data.truncate(g.data.len() - 1);
        }),
        (&["length of a tensor's name is 257"], &|g| g.tensor(UP).name = "x".repeat(257)),
    ]);
}

#[test]
fn tensors_that_are_not_the_model() {
    const UP: &str = "blk.0.ffn_up.weight";
    check(&[
        (&[UP, "is missing"], &|g| g.tensor(UP).name = "blk.0.ffn_upp.weight".into()),
        (&[UP, "has shape [32, 64]", "ask for [64, 32]"], &|g| g.tensor(UP).dims = vec![64, 32]),
        (&["blk.0.attn_q.weight", "[32, 32]", "[40, 32]"], &|g| {
            g.set("llama.attention.key_length", 4, u32_bytes(10));
            g.set("llama.rope.dimension_count", 4, u32_bytes(10));
        }),
        (&["blk.1.attn_norm.weight", "is missing"], &|g| {
            g.set("llama.block_count", 4, u32_bytes(2));
        }),
        (&["blk.0.ffn_gate_inp.weight", "has no place"], &|g| {
            g.add("blk.0.ffn_gate_inp.weight", &[32, 8]);
        }),
        (&["blk.0.attn_k.bias", "is missing"], &|g| g.add("blk.0.attn_q.bias", &[32])),
        (&["token_embd.weight", "not a matrix"], &|g| {
            g.tensor("token_embd.weight").dims = vec![160];
        }),
    ]);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = Gguf::tiny().bytes();
    for len in (0..bytes.len()).step_by(61).chain(0..400) {
        let error = error_of(&[("model.gguf", &bytes[..len])]);
        assert!(error.contains("truncated"), "{len} bytes: {error}");
    }
}
