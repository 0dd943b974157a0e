//! Which tensor gets which format, as llama.cpp chooses them.
//!
//! Matrices get the format asked for; the output head, which each token's probability comes from,
//! has six bits at least (the embedding, where it is the head). Rows that are no whole blocks get
//! the nearest format of 32, or halves. Vectors, and the small matrices that choose experts or add
//! positions, stay as they are.

use kernels::quant::DType;

use crate::tensor::Tensor;

/// Names of heads and of embeddings, as far as files differ.
const HEADS: [&str; 4] =
    ["output.weight", "lm_head.weight", "embed_out.weight", "output_layer.weight"];
const EMBEDDINGS: [&str; 5] = [
    "token_embd.weight",
    "embed_tokens.weight",
    "word_embeddings.weight",
    "wte.weight",
    "embed_in.weight",
];
/// Last parts of the names of matrices that stay as they are.
const KEPT: [&str; 9] = [
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "position_embd.weight",
    "token_types.weight",
    "mlp.gate.weight",
    "block_sparse_moe.gate.weight",
    "shared_expert_gate.weight",
    "router.weight",
    "wpe.weight",
];

/// What becomes of each of `tensors`.
pub(super) fn plan(tensors: &[Tensor], dtype: DType) -> Vec<DType> {
    let ends = |tensor: &Tensor, names: &[&str]| names.iter().any(|name| is_last(tensor, name));
    let has_head = tensors.iter().any(|tensor| ends(tensor, &HEADS));
    let planned = |tensor: &Tensor| {
        let (cols, shape) = (tensor.shape().last().copied().unwrap_or(1), tensor.shape());
        // More than one number in rows and columns: a norm's weight may be stored as a matrix.
        let matrix = shape.len() > 1 && cols > 1 && shape.iter().product::<usize>() > cols;
        if !matrix || !tensor.name().ends_with("weight") || ends(tensor, &KEPT) {
            return tensor.dtype();
        }
        let head = if has_head { ends(tensor, &HEADS) } else { ends(tensor, &EMBEDDINGS) };
        let few_bits = !matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::Q8_0);
        let wanted = if head && few_bits { DType::Q6K } else { dtype };
        fitting(wanted, cols)
    };
    tensors.iter().map(planned).collect()
}

/// Whether these are the last parts of a tensor's name.
fn is_last(tensor: &Tensor, name: &str) -> bool {
    let Some(before) = tensor.name().strip_suffix(name) else { return false };
    before.is_empty() || before.ends_with('.')
}

/// The format, or the nearest that rows of `cols` are whole blocks of.
fn fitting(dtype: DType, cols: usize) -> DType {
    let nearest = match dtype {
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        other => other,
    };
    let whole = |dtype: &DType| cols.is_multiple_of(dtype.block_len());
    [dtype, nearest].into_iter().find(whole).unwrap_or(DType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let len = shape.iter().product::<usize>() * 4;
        Tensor::new(name, DType::F32, shape, vec![0; len].into()).expect("its bytes")
    }

    #[test]
    fn matrices_heads_and_what_stays() {
        let tensors = [
            tensor("token_embd.weight", &[8, 256]),
            tensor("output.weight", &[8, 256]),
            tensor("attn_output.weight", &[8, 64]),
            tensor("ffn_up_exps.weight", &[2, 4, 256]),
            tensor("ffn_down.weight", &[8, 20]),
            tensor("ffn_gate_inp.weight", &[8, 256]),
            tensor("output_norm.weight", &[256]),
            tensor("norm.weight", &[1, 256]),
            tensor("attn_q.bias", &[8, 256]),
        ];
        use DType::{F16, F32, Q4K, Q5_0, Q6K, Q8_0};
        assert_eq!(plan(&tensors, Q4K), [Q4K, Q6K, Q5_0, Q4K, F16, F32, F32, F32, F32]);
        assert_eq!(plan(&tensors, Q8_0), [Q8_0, Q8_0, Q8_0, Q8_0, F16, F32, F32, F32, F32]);
        // Without a head, the embedding is it.
        assert_eq!(plan(&tensors[..1], Q4K), [Q6K]);
        let folder =
            [tensor("model.embed_tokens.weight", &[8, 64]), tensor("mlp.gate.weight", &[8, 64])];
        assert_eq!(plan(&folder, Q4K), [Q8_0, F32]);
    }
}
