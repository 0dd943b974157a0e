//! Writes small GGUF files, right ones and wrong ones.

/// A file being made; every part can be changed before it is written.
#[derive(Clone)]
pub(crate) struct Gguf {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    /// Claimed numbers, where they are not the true ones.
    pub(crate) num_tensors: Option<u64>,
    pub(crate) num_keys: Option<u64>,
    /// Key, type and payload.
    pub(crate) metadata: Vec<(String, u32, Vec<u8>)>,
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) data: Vec<u8>,
}

/// One tensor's description.
#[derive(Clone)]
pub(crate) struct TensorInfo {
    pub(crate) name: String,
    /// Innermost first, as in the file.
    pub(crate) dims: Vec<u64>,
    pub(crate) type_id: u32,
    pub(crate) offset: u64,
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

pub(crate) fn array(element_type: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    let head = [&element_type.to_le_bytes()[..], &(elements.len() as u64).to_le_bytes()].concat();
    [head, elements.concat()].concat()
}

pub(crate) fn strings(texts: &[&str]) -> Vec<u8> {
    array(8, &texts.iter().map(|text| string(text)).collect::<Vec<_>>())
}

impl Gguf {
    /// A llama of one layer and five tokens that opens.
    pub(crate) fn tiny() -> Self {
        let mut gguf = Self {
            magic: *b"GGUF",
            version: 3,
            num_tensors: None,
            num_keys: None,
            metadata: Vec::new(),
            tensors: Vec::new(),
            data: Vec::new(),
        };
        gguf.set("general.architecture", 8, string("llama"));
        let sizes = [
            ("context_length", 64_u32),
            ("embedding_length", 32),
            ("block_count", 1),
            ("feed_forward_length", 64),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ];
        for (key, value) in sizes {
            gguf.set(&format!("llama.{key}"), 4, value.to_le_bytes().into());
        }
        gguf.set("llama.attention.layer_norm_rms_epsilon", 6, 1e-5_f32.to_le_bytes().into());
        gguf.set("tokenizer.ggml.model", 8, string("gpt2"));
        gguf.set("tokenizer.ggml.tokens", 9, strings(&["<s>", "</s>", "a", "b", "ab"]));
        gguf.set("tokenizer.ggml.merges", 9, strings(&["a b"]));
        gguf.set("tokenizer.ggml.bos_token_id", 4, 0_u32.to_le_bytes().into());
        gguf.set("tokenizer.ggml.add_bos_token", 7, vec![1]);
        gguf.set("tokenizer.chat_template", 8, string("{{ messages }}"));

        for (name, dims) in [
            ("token_embd.weight", vec![32, 5]),
            ("output_norm.weight", vec![32]),
            ("blk.0.attn_norm.weight", vec![32]),
            ("blk.0.attn_q.weight", vec![32, 32]),
            ("blk.0.attn_k.weight", vec![32, 16]),
            ("blk.0.attn_v.weight", vec![32, 16]),
            ("blk.0.attn_output.weight", vec![32, 32]),
            ("blk.0.ffn_norm.weight", vec![32]),
            ("blk.0.ffn_gate.weight", vec![32, 64]),
            ("blk.0.ffn_up.weight", vec![32, 64]),
            ("blk.0.ffn_down.weight", vec![64, 32]),
        ] {
            gguf.add(name, &dims);
        }
        gguf
    }

    /// Sets or replaces a field.
    pub(crate) fn set(&mut self, key: &str, value_type: u32, payload: Vec<u8>) {
        self.remove(key);
        self.metadata.push((key.into(), value_type, payload));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(other, ..)| other != key);
    }

    /// Adds an F32 tensor of growing numbers, dims innermost first.
    pub(crate) fn add(&mut self, name: &str, dims: &[u64]) {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        let offset = self.data.len() as u64;
        let num_elements = dims.iter().product::<u64>();
        self.data.extend((0..num_elements).flat_map(|i| (i as f32).to_le_bytes()));
        self.tensors.push(TensorInfo { name: name.into(), dims: dims.into(), type_id: 0, offset });
    }

    /// The tensor of this name.
    pub(crate) fn tensor(&mut self, name: &str) -> &mut TensorInfo {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("such a tensor")
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.num_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.num_keys.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        for (key, value_type, payload) in &self.metadata {
            out.extend(string(key));
            out.extend(value_type.to_le_bytes());
            out.extend(payload);
        }
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }
}
