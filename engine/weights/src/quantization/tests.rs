//! What folders say of their quantisation, right and wrong.

use kernels::quant::{DType, dequantize};
use serde_json::{Value, json};

use super::Scheme;
use crate::tensor::Tensor;

fn scheme(quantization: &Value) -> Result<Option<Scheme>, String> {
    let Value::Object(config) = json!({"quantization_config": quantization}) else {
        panic!("an object")
    };
    Scheme::from_config(&config).map_err(|fault| fault.to_string())
}

fn tensor(name: &str, dtype: DType, shape: &[usize], bytes: &[u8]) -> Tensor {
    Tensor::new(name, dtype, shape, bytes.to_vec().into()).expect("bytes of that shape")
}

/// A tensor whose bytes are all `byte`.
fn filled(name: &str, dtype: DType, shape: &[usize], byte: u8) -> Tensor {
    let len = shape.iter().product::<usize>() * dtype.block_bytes();
    tensor(name, dtype, shape, &vec![byte; len])
}

fn halves(name: &str, shape: &[usize], value: f32) -> Tensor {
    let bytes = half::f16::from_f32(value).to_le_bytes();
    tensor(name, DType::F16, shape, &bytes.repeat(shape.iter().product()))
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.shape().iter().product()];
    dequantize(tensor.dtype(), tensor.bytes(), &mut values);
    values
}

/// Two groups of 32 inputs, eight outputs: every number is 5, every stored zero point 7.
fn gptq() -> Vec<Tensor> {
    let groups = (0..64_i32).flat_map(|i| (i / 32).to_le_bytes()).collect::<Vec<_>>();
    vec![
        filled("m.qweight", DType::I32, &[8, 8], 0x55),
        filled("m.qzeros", DType::I32, &[2, 1], 0x77),
        halves("m.scales", &[2, 8], 0.5),
        tensor("m.g_idx", DType::I32, &[64], &groups),
    ]
}

const GPTQ: Scheme = Scheme::Gptq { bits: 4, group: Some(32), zero_offset: 1 };

#[test]
fn configurations_that_are_read() {
    for (quantization, want) in [
        (Value::Null, None),
        (
            json!({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}),
            Some(Scheme::Awq { group: Some(128) }),
        ),
        (json!({"quant_method": "gptq", "bits": 4, "group_size": 32}), Some(GPTQ)),
        (
            json!({"quant_method": "gptq", "bits": 8, "group_size": -1,
                "checkpoint_format": "gptq_v2"}),
            Some(Scheme::Gptq { bits: 8, group: None, zero_offset: 0 }),
        ),
        (json!({"quant_method": "fp8"}), Some(Scheme::Fp8 { block: [128, 128] })),
        (
            json!({"quant_method": "compressed-tensors", "format": "pack-quantized"}),
            Some(Scheme::CompressedTensors),
        ),
        (json!({"quant_method": "mxfp4"}), Some(Scheme::Mxfp4)),
    ] {
        assert_eq!(scheme(&quantization), Ok(want), "{quantization}");
    }
}

#[test]
fn configurations_that_are_refused_by_field() {
    let gptq = |key: &str, value: Value| {
        let mut quantization = json!({"quant_method": "gptq", "bits": 4, "group_size": 32});
        quantization[key] = value;
        quantization
    };
    for (quantization, parts) in [
        (json!(7), ["quantization_config", "not an object"]),
        (json!({"bits": 4}), ["quantization_config.quant_method", "is missing"]),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
            ["quantization_config.quant_method", "\"bitsandbytes\" is not read; awq, gptq, fp8"],
        ),
        (gptq("bits", json!(3)), ["quantization_config.bits", "3 bits"]),
        (gptq("group_size", json!(0)), ["quantization_config.group_size", "0 is neither"]),
        (gptq("group_size", json!(-2)), ["quantization_config.group_size", "-2 is neither"]),
        (gptq("checkpoint_format", json!("marlin")), ["checkpoint_format", "\"marlin\""]),
        (
            json!({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"}),
            ["quantization_config.version", "\"gemv\" is not read"],
        ),
        (
            json!({"quant_method": "fp8", "weight_block_size": [128, 0]}),
            ["quantization_config.weight_block_size", "[128, 0]"],
        ),
        (
            json!({"quant_method": "compressed-tensors", "format": "marlin-24"}),
            ["quantization_config.format", "\"marlin-24\""],
        ),
        (
            json!({"quant_method": "compressed-tensors", "format": "dense",
                "sparsity_config": {"format": "sparse-24-bitmask"}}),
            ["quantization_config.sparsity_config.format", "sparse-24"],
        ),
    ] {
        let error = scheme(&quantization).expect_err("an error");
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}

#[test]
fn the_first_version_of_gptq_stores_zero_points_less_one() {
    let [one] = &GPTQ.restore(gptq()).expect("a right module")[..] else { panic!("one tensor") };
    assert_eq!((one.name(), one.dtype(), one.shape()), ("m.weight", DType::Q4_0, &[8, 64][..]));
    assert!(values(one).iter().all(|x| *x == 0.5 * (5.0 - 8.0)), "{:?}", values(one));

    let second = Scheme::Gptq { bits: 4, group: Some(32), zero_offset: 0 };
    let [one] = &second.restore(gptq()).expect("a right module")[..] else { panic!("one tensor") };
    assert_eq!(one.dtype(), DType::Q5_0);
    assert!(values(one).iter().all(|x| *x == 0.5 * (5.0 - 7.0)), "{:?}", values(one));
}

/// What no block holds is kept in single precision, exactly.
#[test]
fn what_fits_no_block_is_kept_in_full() {
    let third = |shape: &[usize]| {
        let bytes = (1.0_f32 / 3.0e6).to_le_bytes().repeat(shape.iter().product());
        tensor("m.scales", DType::F32, shape, &bytes)
    };
    let mut small = gptq();
    small[2] = third(&[2, 8]);
    let mut shuffled = gptq();
    let groups: Vec<u8> = (0..64_i32).flat_map(|i| (i % 2).to_le_bytes()).collect();
    shuffled[3] = tensor("m.g_idx", DType::I32, &[64], &groups);
    for (tensors, scale) in [(small, 1.0 / 3.0e6), (shuffled, 0.5)] {
        let [one] = &GPTQ.restore(tensors).expect("a right module")[..] else { panic!("one") };
        assert_eq!(one.dtype(), DType::F32);
        assert!(values(one).iter().all(|x| *x == scale * -3.0), "{:?}", values(one));
    }
}

#[test]
fn modules_that_lie_are_refused_by_tensor() {
    let word = |value: i32| tensor("m.g_idx", DType::I32, &[64], &value.to_le_bytes().repeat(64));
    type Change<'a> = &'a dyn Fn(&mut Vec<Tensor>);
    let cases: [(&[&str], Change<'_>); 11] = [
        (&["m.qweight", "is missing"], &|t| drop(t.remove(0))),
        (&["m.qzeros", "is missing"], &|t| drop(t.remove(1))),
        (&["m.scales", "is missing"], &|t| drop(t.remove(2))),
        (&["m.qweight", "dtype F16 where I32"], &|t| t[0] = halves("m.qweight", &[8, 8], 1.0)),
        (&["m.qweight", "[64]", "no matrix"], &|t| {
            t[0] = filled("m.qweight", DType::I32, &[64], 0);
        }),
        (&["m.scales", "[3, 8]", "[2, 8]"], &|t| t[2] = halves("m.scales", &[3, 8], 1.0)),
        (&["m.scales", "dtype I8 where"], &|t| t[2] = filled("m.scales", DType::I8, &[2, 8], 1)),
        (&["m.qzeros", "[2, 2]", "[2, 1]"], &|t| {
            t[1] = filled("m.qzeros", DType::I32, &[2, 2], 0);
        }),
        (&["m.g_idx", "group 2 of 2"], &|t| t[3] = word(2)),
        (&["m.g_idx", "group -1 of 2"], &|t| t[3] = word(-1)),
        (&["n.weight", "dtype I8 is not what quantization_config"], &|t| {
            t.push(filled("n.weight", DType::I8, &[2, 32], 1));
        }),
    ];
    for (parts, change) in cases {
        let mut tensors = gptq();
        change(&mut tensors);
        let error = GPTQ.restore(tensors).expect_err("an error").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}

#[test]
fn other_schemes_lie_too() {
    let awq = Scheme::Awq { group: Some(32) };
    let fp8 = Scheme::Fp8 { block: [128, 128] };
    let int4 = |packed: &[usize], rows: i64| {
        let shape = [rows.to_le_bytes(), 64_i64.to_le_bytes()].concat();
        vec![
            filled("m.weight_packed", DType::I32, packed, 0),
            tensor("m.weight_shape", DType::I64, &[2], &shape),
            halves("m.weight_scale", &[8, 2], 1.0),
        ]
    };
    let weight = || filled("m.weight", DType::F8E4M3, &[256, 64], 0);
    let blocks = |shape: &[usize]| filled("m_blocks", DType::U8, shape, 0);
    let scales = |shape: &[usize]| filled("m_scales", DType::U8, shape, 0);
    let cases: [(&Scheme, Vec<Tensor>, &[&str]); 9] = [
        (&awq, gptq(), &["m.scales", "[2, 8]", "[1, 64]"]),
        (&fp8, vec![weight()], &["m.weight_scale", "is missing"]),
        (&fp8, vec![weight(), halves("m.weight_scale_inv", &[3, 1], 1.0)], &["[3, 1]", "[128"]),
        (&fp8, vec![weight(), filled("m.weight_scale", DType::U8, &[1], 1)], &["dtype U8 where"]),
        (&Scheme::CompressedTensors, int4(&[8, 9], 8), &["m.weight_packed", "9 words", "64"]),
        (&Scheme::CompressedTensors, int4(&[8, 8], 9), &["m.weight_packed", "[9, 8]"]),
        (&Scheme::CompressedTensors, int4(&[8, 8], -1), &["m.weight_shape", "64]"]),
        (&Scheme::Mxfp4, vec![blocks(&[4, 2, 16])], &["m_scales", "is missing"]),
        (&Scheme::Mxfp4, vec![blocks(&[4, 2, 8]), scales(&[4, 2])], &["m_blocks", "[4, 2, 8]"]),
    ];
    for (scheme, tensors, parts) in cases {
        let error = scheme.restore(tensors).expect_err("an error").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
}
