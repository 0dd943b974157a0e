//! Every stored format means what the `gguf` Python package says, bit for bit, and ours what its
//! published parts say (files by `kernels/tools/make_dequantize_golden.py`).

use std::path::Path;

use kernels::quant::{DType, dequantize};

fn golden(dtype: DType, extension: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dequantize");
    let path = dir.join(format!("{}.{extension}", dtype.name()));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_format_agrees_with_the_gguf_package() {
    for dtype in DType::ALL {
        let stored = golden(dtype, "blocks");
        let want = golden(dtype, "f32");
        let (want, rest) = want.as_chunks::<4>();
        assert!(rest.is_empty() && want.len() >= 512, "{}", dtype.name());
        assert_eq!(dtype.row_bytes(want.len()), Some(stored.len()), "{}", dtype.name());

        let mut got = vec![f32::NAN; want.len()];
        dequantize(dtype, &stored, &mut got);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let want = f32::from_le_bytes(*want);
            let name = dtype.name();
            assert_eq!(got.to_bits(), want.to_bits(), "{name}[{i}]: {got} is not {want}");
        }
    }
}

#[test]
fn ggml_ids_lead_back_to_their_formats() {
    for dtype in DType::ALL {
        match dtype.ggml_id() {
            Some(id) => assert_eq!(DType::from_ggml(id), Some(dtype)),
            None => assert!(!dtype.name().contains('Q'), "{dtype:?} is GGUF's"),
        }
    }
    // Q8_1, Q8_K, whole numbers, and numbers that ggml gave up or has not given out yet.
    for id in [4, 9, 15, 24, 27, 31, 36, 1000, u32::MAX] {
        assert_eq!(DType::from_ggml(id), None, "{id}");
    }
}
