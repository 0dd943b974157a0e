//! Kernels against their references, on every instruction set of this machine.

use kernels::{
    Isa,
    matmul::{self, Matrix, Product, Rows},
    pool::Pool,
    quant::DType,
};

/// Numbers in −1..1 from a fixed sequence.
fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Bytes of a stored matrix: any bytes but those that make infinite or huge 16-bit scales.
fn stored(dtype: DType, rows: usize, cols: usize) -> Vec<u8> {
    let len = dtype.row_bytes(cols).expect("whole blocks") * rows;
    match dtype {
        DType::F32 => noise(rows * cols, 7).iter().flat_map(|x| x.to_le_bytes()).collect(),
        _ => noise(len, 9).iter().map(|x| (x * 60.0 + 60.0) as u8 & 0x3f).collect(),
    }
}

/// Rows of whole vectors.
fn padded(x: &[f32], m: usize) -> (Vec<f32>, usize) {
    let cols = x.len() / m;
    let stride = cols.next_multiple_of(16);
    let mut padded = vec![0.0; m * stride];
    for (to, from) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(cols)) {
        to[..cols].copy_from_slice(from);
    }
    (padded, stride)
}

fn product(isa: Isa, x: &[f32], m: usize, weight: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![1.0; m * weight.rows];
    let (data, stride) = padded(x, m);
    let rows = Rows { data: &data, stride, m };
    let mut pool = Pool::new(2).expect("threads");
    let mut products = [Product { weight, out: &mut out, accumulate: true }];
    matmul::matmul((isa, &mut pool), rows, &mut products);
    products[0].accumulate = false;
    let added = products[0].out.to_vec();
    matmul::matmul((isa, &mut pool), rows, &mut products);
    for (added, out) in added.iter().zip(&out) {
        assert_eq!(*added, 1.0 + out);
    }
    out
}

#[test]
fn products_match_the_reference_for_every_dtype() {
    let all = [
        (DType::F32, 50),
        (DType::F16, 48),
        (DType::BF16, 64),
        (DType::Q8_0, 64),
        (DType::Q4_0, 96),
        (DType::Q4_1, 576),
        (DType::Q5_0, 64),
        (DType::Q5_1, 64),
        (DType::Q4K, 256),
        (DType::Q5K, 256),
        (DType::Q6K, 512),
    ];
    for (dtype, cols) in all {
        let (rows, m) = (37, 7);
        let data = stored(dtype, rows, cols);
        let bias = noise(rows, 3);
        let weight = Matrix { data: &data, dtype, rows, cols, bias: Some(&bias) };
        let x = noise(m * cols, 5);
        let mut want = vec![0.0; m * rows];
        matmul::reference::matmul(&x, m, &weight, &mut want);
        let scale = want.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(scale > 0.0 && scale.is_finite(), "{dtype:?} {scale}");
        for isa in Isa::available() {
            for (got, want) in product(isa, &x, m, weight).iter().zip(&want) {
                assert!((got - want).abs() <= 4e-6 * scale, "{dtype:?} {isa:?} {got} {want}");
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_every_batch_and_on_every_path() {
    let (rows, cols) = (70, 128);
    let data = stored(DType::Q4_1, rows, cols);
    let weight = Matrix { data: &data, dtype: DType::Q4_1, rows, cols, bias: None };
    let x = noise(13 * cols, 11);
    let all = product(Isa::Portable, &x, 13, weight);
    for isa in Isa::available() {
        for m in [1, 2, 3, 4, 5, 13] {
            assert_eq!(product(isa, &x[..m * cols], m, weight), all[..m * rows], "{isa:?} {m}");
        }
    }
}

#[test]
fn several_matrices_share_one_call() {
    let cols = 64;
    let (a, b) = (stored(DType::Q8_0, 5, cols), stored(DType::F32, 33, cols));
    let weight_a = Matrix { data: &a, dtype: DType::Q8_0, rows: 5, cols, bias: None };
    let weight_b = Matrix { data: &b, dtype: DType::F32, rows: 33, cols, bias: None };
    let x = noise(3 * cols, 1);
    let (mut out_a, mut out_b) = (vec![0.0; 15], vec![0.0; 99]);
    let mut both = [
        Product { weight: weight_a, out: &mut out_a, accumulate: false },
        Product { weight: weight_b, out: &mut out_b, accumulate: false },
    ];
    let mut pool = Pool::new(2).expect("threads");
    matmul::matmul((Isa::detect(), &mut pool), Rows { data: &x, stride: cols, m: 3 }, &mut both);
    assert_eq!(out_a, product(Isa::Portable, &x, 3, weight_a));
    assert_eq!(out_b, product(Isa::Portable, &x, 3, weight_b));
}
