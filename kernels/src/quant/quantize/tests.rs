//! Writing what reading gives back, and how near.

use std::path::Path;

use super::{super::dequantize, DType, can_quantize, quantize};

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/quantize").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn there_and_back(dtype: DType, numbers: &[f32]) -> Vec<f32> {
    let mut stored = vec![0; dtype.row_bytes(numbers.len()).expect("whole blocks")];
    quantize(dtype, numbers, &mut stored);
    let mut back = vec![f32::NAN; numbers.len()];
    dequantize(dtype, &stored, &mut back);
    back
}

fn root_mean_square(numbers: impl ExactSizeIterator<Item = f32>) -> f64 {
    let len = numbers.len() as f64;
    (numbers.map(|x| f64::from(x).powi(2)).sum::<f64>() / len).sqrt()
}

/// Others' errors on the same numbers, by `kernels/tools/make_quantize_golden.py`.
#[test]
fn errors_are_no_larger_than_others_make() {
    let numbers = golden("numbers.f32");
    let numbers: Vec<f32> = numbers.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let errors = String::from_utf8(golden("errors.txt")).expect("text");
    let mut compared = Vec::new();
    for line in errors.lines().filter(|line| !line.starts_with('#')) {
        let [format, whose, error] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let dtype = DType::ALL.into_iter().find(|dtype| dtype.name() == format).expect("a format");
        let back = there_and_back(dtype, &numbers);
        let ours = root_mean_square(back.iter().zip(&numbers).map(|(a, b)| a - b));
        let theirs: f64 = error.parse().expect("a number");
        // The last bit of a scale may fall otherwise.
        assert!(ours < 1.001 * theirs, "{format}: {ours}, {whose} {theirs}");
        assert!(ours > 0.5 * theirs, "{format}: {ours} is too good, {whose} {theirs}");
        compared.push(dtype);
    }
    assert!(DType::ALL.iter().all(|d| compared.contains(d) == (can_quantize(*d) && is_coarse(*d))));
}

fn is_coarse(dtype: DType) -> bool {
    !matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Numbers that a format holds come back as they were, whatever is searched for.
#[test]
fn what_a_format_holds_stays() {
    for dtype in DType::ALL.into_iter().filter(|dtype| can_quantize(*dtype)) {
        let numbers: Vec<f32> = (0..512)
            .map(|i| {
                // The least and the largest integers are in every sixteen.
                let q = [-8, 7, -3, 0][i % 4] as f32;
                q * [0.5, 0.25][i / 256]
            })
            .collect();
        let back = there_and_back(dtype, &numbers);
        let off = back.iter().zip(&numbers).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Scales and minima of the K-quants are products; two bits more than four do not divide
        // into these steps.
        let most = if dtype.block_len() == 256 { 0.15 } else { 0.02 };
        assert!(off <= most, "{dtype:?}: {off}");
    }
}

#[test]
fn zeros_and_lone_numbers() {
    for dtype in DType::ALL.into_iter().filter(|dtype| can_quantize(*dtype)) {
        let mut numbers = vec![0.0; 512];
        assert!(there_and_back(dtype, &numbers).iter().all(|x| *x == 0.0), "{dtype:?}");
        numbers[100] = -3.0;
        numbers[300] = 3.0;
        let back = there_and_back(dtype, &numbers);
        for (i, (x, want)) in back.iter().zip(&numbers).enumerate() {
            assert!((x - want).abs() < 0.05, "{dtype:?}[{i}]: {x} is not {want}");
        }
        numbers.fill(0.75);
        let back = there_and_back(dtype, &numbers);
        assert!(back.iter().all(|x| (x - 0.75).abs() < 0.02), "{dtype:?}: {:?}", &back[..8]);
    }
}
